/**
 * Keeps one session alive: connects, notices a loss, waits, connects again. Knows nothing of WHIP, WHEP or pages.
 */

import { ApiError } from './api.js';
import { Backoff } from './backoff.js';

/** @typedef {Pick<import('./session.js').Session, 'pc' | 'url' | 'close'>} Session */
/** @typedef {'idle' | 'connecting' | 'live' | 'reconnecting' | 'failed'} Phase */
/** `retryAt` is the local time (ms since 1970) of the next attempt, null while one is under way. @typedef {{ phase: Phase, reason: string | null, retryAt: number | null }} LinkState */

/** From the answer to a working media path; the server gives up after 15 s by default. */
const SETUP_MS = 12_000;
/** A pause in connectivity often heals by itself within this time. */
const GRACE_MS = 2_000;
/** A session that lasted this long earns a short first delay again. */
const LASTING_MS = 5_000;
/** Answers that will be the same next time. */
const FINAL = new Set([400, 401, 403, 404, 405, 406, 413, 415, 422]);

/**
 * @typedef {object} LinkOptions
 * @property {(signal: AbortSignal) => Promise<Session>} connect
 * @property {(state: LinkState) => void} changed
 * @property {(error: ApiError) => void} [denied] the link has failed and another token could help
 * @property {boolean} [yields] a first 409 is final: somebody else has the place (true for a publisher)
 * @property {Backoff} [backoff]
 */

/** A session that comes back by itself. */
export class Link {
  #options;
  #backoff;
  /** @type {LinkState} */
  #state = { phase: 'idle', reason: null, retryAt: null };
  /** @type {AbortController | null} */
  #life = null;
  /** @type {Session | null} */
  #session = null;
  /** Ends the listening to the present session. @type {AbortController | null} */
  #hearing = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #wasLive = false;
  /** @type {number | null} */
  #liveSince = null;
  #reconnects = 0;

  /** @param {LinkOptions} options */
  constructor(options) {
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff();
  }

  /** @returns {LinkState} */
  get state() {
    return this.#state;
  }

  /** The present peer connection, or null. */
  get pc() {
    return this.#session?.pc ?? null;
  }

  /** Path of the present session on the server, or null. */
  get url() {
    return this.#session?.url ?? null;
  }

  /** How many times a lost session was replaced by a working one. */
  get reconnects() {
    return this.#reconnects;
  }

  /** True from `start` until `stop` or a final failure. */
  get isRunning() {
    return this.#life !== null;
  }

  /** Connects; does nothing while running. */
  start() {
    if (this.#life) return;
    this.#life = new AbortController();
    this.#wasLive = false;
    this.#backoff.reset();
    void this.#attempt(this.#life.signal, null);
  }

  /** Ends the session and stays idle. @param {{ keepalive?: boolean }} [options] keepalive when the page is going away */
  async stop(options) {
    const session = this.#end();
    this.#set('idle', null, null);
    await session?.close(options);
  }

  /** Ends the session and stays failed, for a cause only the caller can see. @param {string} reason */
  fail(reason) {
    const session = this.#end();
    this.#set('failed', reason, null);
    void session?.close();
  }

  /** Replaces the present session by a new one at once. @param {string} reason */
  restart(reason) {
    if (!this.#life) return;
    const { signal } = this.#life;
    void this.#drop()?.close();
    void this.#attempt(signal, reason);
  }

  /** Tries now when waiting to, for example because the network has come back. */
  retryNow() {
    if (this.#life && !this.#session && this.#state.retryAt !== null) this.restart(this.#state.reason ?? '');
  }

  /** @param {AbortSignal} signal @param {string | null} reason */
  async #attempt(signal, reason) {
    clearTimeout(this.#timer);
    this.#set(reason === null ? 'connecting' : 'reconnecting', reason, null);
    /** @type {Session} */
    let session;
    try {
      session = await this.#options.connect(signal);
    } catch (error) {
      if (!signal.aborted) this.#refused(error);
      return;
    }
    if (signal.aborted) await session.close();
    else this.#adopt(session);
  }

  /** @param {Session} session */
  #adopt(session) {
    this.#drop()?.close();
    this.#session = session;
    this.#hearing = new AbortController();
    const { signal } = this.#hearing;
    const look = () => this.#look(session);
    session.pc.addEventListener('connectionstatechange', look, { signal });
    for (const { sender } of session.pc.getTransceivers()) sender.transport?.addEventListener('statechange', look, { signal });
    this.#timer = setTimeout(() => this.#lose('the media path did not open'), SETUP_MS);
    look();
  }

  /** @param {Session} session */
  #look({ pc }) {
    // A server that ends a session closes DTLS; the browser's connection state alone would not say so.
    const ended = pc.getTransceivers().some(({ sender }) => sender.transport?.state === 'closed');
    if (ended) this.#lose('the server ended the session');
    else if (pc.connectionState === 'connected') this.#live();
    else if (pc.connectionState === 'disconnected') this.#waver();
    else if (pc.connectionState === 'failed' || pc.connectionState === 'closed') this.#lose('the connection was lost');
  }

  #live() {
    clearTimeout(this.#timer);
    if (this.#state.phase === 'live') return;
    if (this.#liveSince === null) {
      if (this.#wasLive) this.#reconnects += 1;
      this.#liveSince = Date.now();
      this.#wasLive = true;
    }
    this.#set('live', null, null);
  }

  #waver() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lose('the connection was lost'), GRACE_MS);
    this.#set('reconnecting', 'the connection is interrupted', Date.now() + GRACE_MS);
  }

  /** @param {string} reason */
  #lose(reason) {
    if (this.#liveSince !== null && Date.now() - this.#liveSince >= LASTING_MS) this.#backoff.reset();
    void this.#drop()?.close();
    this.#wait(reason, 0);
  }

  /** @param {unknown} error */
  #refused(error) {
    if (!(error instanceof ApiError)) {
      this.fail(error instanceof Error ? error.message : String(error));
      return;
    }
    const taken = error.status === 409 && this.#options.yields === true && !this.#wasLive;
    if (!FINAL.has(error.status) && !taken) {
      this.#wait(error.message, error.retryAfterMs ?? 0);
      return;
    }
    this.fail(error.message);
    if (error.isDenied) this.#options.denied?.(error);
  }

  /** @param {string} reason @param {number} least milliseconds */
  #wait(reason, least) {
    const life = this.#life;
    if (!life) return;
    const delay = Math.max(this.#backoff.next(), least);
    this.#timer = setTimeout(() => this.#attempt(life.signal, reason), delay);
    this.#set('reconnecting', reason, Date.now() + delay);
  }

  /** Forgets the present session without ending it. */
  #drop() {
    clearTimeout(this.#timer);
    this.#hearing?.abort();
    const session = this.#session;
    this.#session = null;
    this.#liveSince = null;
    return session;
  }

  #end() {
    this.#life?.abort();
    this.#life = null;
    return this.#drop();
  }

  /** @param {Phase} phase @param {string | null} reason @param {number | null} retryAt */
  #set(phase, reason, retryAt) {
    this.#state = { phase, reason, retryAt };
    this.#options.changed(this.#state);
  }
}
