/**
 * How a page that steers is connected to its channel: by a WebSocket, or by the event stream and requests where a WebSocket
 * cannot be had. The socket is tried again when the stream has come about, and now and then.
 */

import { renewSession } from './api.js';
import { EventStream, channelEvents } from './events.js';
import { atHome } from './home.js';
import { apiPath } from './route.js';
import { settle } from './settle.js';
import { ChannelSocket } from './socket.js';
import { tokens } from './token.js';

/** @typedef {import('./api.js').ApiError} ApiError */
/** @typedef {import('./events.js').Listener} Listener */
/** @typedef {import('./moments.js').ChannelEvent} ChannelEvent */
/** @typedef {import('./socket.js').Done} Done */
/** @typedef {import('./socket.js').LineState} LineState */

/** How often the cookies of whoever signed in are renewed: sooner than they are over. */
const RENEWAL_MS = 10 * 60_000;
/** How often a page without a socket tries to get one. */
const AGAIN_MS = 60_000;

/** The address of a channel's socket. @param {string} channel */
export function socketAddress(channel) {
  const address = new URL(atHome(`${apiPath(channel)}/ws`), location.href);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  return address.href;
}

/** See the module; read like an `EventStream`. */
export class Line {
  #listener;
  #socket;
  #stream;
  /** @type {number | null} */
  #cursor = null;
  #bySocket = true;
  #streams = false;
  #isOn = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #renewing;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #again;

  /** @param {string} channel @param {Listener} listener @param {() => import('./socket.js').Wire} [open] */
  constructor(channel, listener, open = () => new WebSocket(socketAddress(channel))) {
    this.#listener = listener;
    const event = (/** @type {ChannelEvent} */ told, /** @type {boolean} */ first) => this.#take(told, first);
    this.#socket = new ChannelSocket(
      { open, tokens: tokensOfPage, cursor: () => this.#cursor, settle: (command) => settle(channel, command) },
      {
        event,
        changed: () => this.#socketChanged(),
        denied: (error) => void this.#denied(error),
        unavailable: () => this.#fallBack(),
      },
    );
    const opener = channelEvents(channel);
    this.#stream = new EventStream((_, signal) => opener(this.#cursor === null ? '' : String(this.#cursor), signal), {
      event,
      connected: (is) => this.#streamChanged(is),
      denied: (error) => listener.denied(error),
    });
  }

  /** The connection, for people. @returns {LineState} */
  get state() {
    if (this.#bySocket) return this.#socket.state;
    return { phase: this.#streams ? 'live' : 'reconnecting', retryAt: null };
  }

  /** Whether commands go over the socket; otherwise they are requests. */
  get takesCommands() {
    return this.#bySocket;
  }

  /** See `ChannelSocket`. @param {string} cmd @param {Record<string, unknown>} [fields] @returns {Promise<Done>} */
  async command(cmd, fields) {
    const done = await this.#socket.command(cmd, fields);
    tokens.confirm('control');
    return done;
  }

  start() {
    this.#isOn = true;
    clearInterval(this.#renewing);
    this.#renewing = setInterval(() => void this.#renew(), RENEWAL_MS);
    if (this.#bySocket) this.#socket.start();
    else this.#stream.start();
  }

  stop() {
    this.#isOn = false;
    clearInterval(this.#renewing);
    clearTimeout(this.#again);
    this.#socket.stop();
    this.#stream.stop();
  }

  retryNow() {
    this.#socket.retryNow();
    this.#stream.retryNow();
  }

  /** A socket is known by the cookies that it was opened with: with others there has to be another one. */
  async #renew() {
    if (Object.keys(tokensOfPage()).length > 0) return;
    if ((await renewSession()) && this.#isOn && this.#bySocket) this.#socket.reopen();
  }

  /** @param {ApiError} error */
  async #denied(error) {
    const mayBeOld = error.status === 401 && Object.keys(tokensOfPage()).length === 0;
    if (mayBeOld && (await renewSession())) {
      if (this.#isOn) this.#socket.start();
    } else {
      this.#listener.denied(error);
    }
  }

  /** @param {ChannelEvent} event @param {boolean} first */
  #take(event, first) {
    this.#listener.event(event, first);
    if (event.type !== 'snapshot' || first) this.#cursor = event.n;
  }

  #socketChanged() {
    const isLive = this.#socket.state.phase === 'live';
    if (isLive) {
      tokens.confirm('watch');
      clearTimeout(this.#again);
      this.#stream.stop();
      this.#streams = false;
      this.#bySocket = true;
    }
    if (this.#bySocket) this.#listener.connected(isLive);
  }

  #fallBack() {
    this.#bySocket = false;
    this.#stream.start();
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#socket.start(), AGAIN_MS);
    this.#listener.connected(this.#streams);
  }

  /** @param {boolean} isOpen */
  #streamChanged(isOpen) {
    const cameBack = isOpen && !this.#streams;
    this.#streams = isOpen;
    if (this.#bySocket) return;
    this.#listener.connected(isOpen);
    // The server can be reached: perhaps its sockets can be, too.
    if (cameBack) this.#socket.start();
  }
}

function tokensOfPage() {
  const [token, control] = [tokens.get('watch'), tokens.get('control')];
  return { ...(token ? { token } : {}), ...(control && control !== token ? { control } : {}) };
}
