/**
 * One channel's WebSocket: events after the last one heard, commands with their answers, and a new connection whenever the
 * present one is dead. A command is sent once: what became of one without an answer is looked up, never tried again.
 */

import { ApiError } from './api.js';
import { Backoff } from './backoff.js';

/** @typedef {import('./moments.js').ChannelEvent} ChannelEvent */
/** @typedef {'idle' | 'connecting' | 'live' | 'reconnecting'} LinePhase */
/** `retryAt` is when it is tried again, null while that is done. @typedef {{ phase: LinePhase, retryAt: number | null }} LineState */
/** What a command came to. @typedef {{ data: any, version: any }} Done */
/** @typedef {{ cmd: string, fields: Record<string, unknown> }} Command */
/** @typedef {Command & { resolve: (done: Done) => void, reject: (error: ApiError) => void }} Waiting */
/** The parts of a WebSocket that are used. @typedef {Pick<WebSocket, 'send' | 'close' | 'onopen' | 'onmessage' | 'onclose'>} Wire */
/**
 * @typedef {object} SocketListener
 * @property {(event: ChannelEvent, first: boolean) => void} event `first` is true for the first one of a connection
 * @property {() => void} changed the state is another one
 * @property {(error: ApiError) => void} denied the server wants another token; the socket has stopped
 * @property {() => void} unavailable it seems that WebSockets cannot be had; the socket has stopped
 */
/**
 * @typedef {object} SocketOptions
 * @property {() => Wire} open
 * @property {() => { token?: string, control?: string }} tokens
 * @property {() => number | null} cursor number of the last event heard
 * @property {(command: Command) => Promise<Done>} settle looks up what became of a command whose answer was lost
 */

/** The server says something every 5 s: twice missed is dead, and people know within 10 s. */
const SILENCE_MS = 9_000;
/** Refusals in a row, without a word of the server, after which it is not tried any more. */
const REFUSALS = 2;

/** The code with which a server closes that has no place for another socket. */
const NO_ROOM = 1013;

/** See the module. */
export class ChannelSocket {
  #options;
  #listener;
  #backoff;
  /** @type {Wire | null} */
  #wire = null;
  /** @type {LineState} */
  #state = { phase: 'idle', retryAt: null };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watchdog;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pause;
  /** What the server calls this page's socket; the next one takes its place. @type {string | null} */
  #name = null;
  /** The tokens that the server was told, as text. */
  #told = '';
  #isFirst = true;
  #refusals = 0;
  #commands = 0;
  /** Commands on their way over the present connection. @type {Map<string, Waiting>} */
  #sent = new Map();
  /** Commands of a connection that died. @type {Waiting[]} */
  #lost = [];

  /** @param {SocketOptions} options @param {SocketListener} listener @param {Backoff} [backoff] */
  constructor(options, listener, backoff = new Backoff()) {
    this.#options = options;
    this.#listener = listener;
    this.#backoff = backoff;
  }

  get state() {
    return this.#state;
  }

  /** Connects; does nothing while it is connected or tries to. */
  start() {
    if (this.#state.phase === 'idle') this.#connect('connecting');
  }

  /** Stops until the next `start`; what has no answer is looked up. */
  stop() {
    this.#drop();
    clearTimeout(this.#pause);
    this.#set('idle', null);
    this.#settle();
  }

  /** Takes another connection instead of the one that works, and goes on after the last event heard. */
  reopen() {
    if (this.#state.phase !== 'live') return;
    this.#drop();
    this.#connect('connecting');
  }

  /** Tries again now when it waits to. */
  retryNow() {
    if (this.#state.retryAt !== null) this.#connect('reconnecting');
  }

  /**
   * Has something done, once. Rejects with an `ApiError`, with status 0 where nothing was or seems to be done.
   * @param {string} cmd
   * @param {Record<string, unknown>} [fields]
   * @returns {Promise<Done>}
   */
  command(cmd, fields = {}) {
    if (this.#state.phase !== 'live') {
      return Promise.reject(new ApiError(0, 'There is no connection to the server; nothing was sent.'));
    }
    this.#commands += 1;
    const id = `c${this.#commands}`;
    return new Promise((resolve, reject) => {
      this.#sent.set(id, { cmd, fields, resolve, reject });
      this.#renew();
      this.#wire?.send(JSON.stringify({ ...fields, id, cmd }));
    });
  }

  /** @param {LinePhase} phase */
  #connect(phase) {
    clearTimeout(this.#pause);
    this.#isFirst = true;
    const wire = this.#options.open();
    this.#wire = wire;
    wire.onopen = () => wire.send(JSON.stringify(this.#hello()));
    wire.onmessage = ({ data }) => this.#hear(JSON.parse(String(data)));
    wire.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#feed();
    this.#set(phase, null);
  }

  /** Tells of tokens that somebody has given since. */
  #renew() {
    const tokens = JSON.stringify(this.#options.tokens());
    if (tokens !== this.#told) this.#wire?.send(tokens);
    this.#told = tokens;
  }

  #hello() {
    const [resume, tokens] = [this.#options.cursor(), this.#options.tokens()];
    this.#told = JSON.stringify(tokens);
    return {
      ...tokens,
      ...(resume === null ? {} : { resume }),
      ...(this.#name === null ? {} : { replaces: this.#name }),
    };
  }

  /** @param {any} message */
  #hear(message) {
    this.#feed();
    if (message.type === 'welcome') this.#welcome(message.socket);
    else if ('ok' in message || 'error' in message) this.#answer(message);
    else if (typeof message.n === 'number') {
      const first = this.#isFirst;
      this.#isFirst = false;
      this.#backoff.reset();
      this.#listener.event(message, first);
    }
  }

  /** From here on nothing that was sent before is carried out. @param {string} name */
  #welcome(name) {
    this.#name = name;
    this.#refusals = 0;
    this.#set('live', null);
    this.#settle();
  }

  /** @param {any} answer */
  #answer({ id, error, version, data, snapshot }) {
    const waiting = this.#sent.get(id);
    this.#sent.delete(id);
    if (snapshot) this.#listener.event(snapshot, false);
    if (!waiting) return;
    if (!error) return waiting.resolve({ data, version });
    const refused = new ApiError(error.status ?? 0, error.detail ?? error.title ?? 'the server refused');
    refused.moment = error.moment ?? null;
    waiting.reject(refused);
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    const { phase } = this.#state;
    const wasRefused = phase !== 'live' && (code === 1006 || code === NO_ROOM);
    this.#drop();
    if (code === 4401 || code === 4403) {
      this.stop();
      return this.#listener.denied(new ApiError(code - 4000, reason));
    }
    this.#refusals = wasRefused ? this.#refusals + 1 : 0;
    if (this.#refusals >= REFUSALS) {
      this.#refusals = 0;
      this.stop();
      return this.#listener.unavailable();
    }
    this.#wait();
  }

  #wait() {
    const delay = this.#backoff.next();
    this.#pause = setTimeout(() => this.#connect('reconnecting'), delay);
    this.#set('reconnecting', Date.now() + delay);
  }

  /** Expects another word of the server before long. */
  #feed() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      this.#drop();
      this.#wait();
    }, SILENCE_MS);
  }

  /** Gives the present connection up; it is heard no more, whatever it still says. */
  #drop() {
    clearTimeout(this.#watchdog);
    const wire = this.#wire;
    this.#wire = null;
    this.#lost.push(...this.#sent.values());
    this.#sent.clear();
    if (!wire) return;
    wire.onopen = wire.onmessage = wire.onclose = null;
    wire.close();
  }

  #settle() {
    for (const { cmd, fields, resolve, reject } of this.#lost.splice(0)) {
      this.#options.settle({ cmd, fields }).then(resolve, reject);
    }
  }

  /** @param {LinePhase} phase @param {number | null} retryAt */
  #set(phase, retryAt) {
    this.#state = { phase, retryAt };
    this.#listener.changed();
  }
}
