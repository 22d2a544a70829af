/**
 * One channel's event stream over fetch: it resumes after the last event it saw and comes back by itself.
 */

import { ApiError, request } from './api.js';
import { Backoff } from './backoff.js';
import { eventsPath } from './route.js';
import { SseParser } from './sse.js';

/** @typedef {import('./moments.js').ChannelEvent} ChannelEvent */
/** Opens the stream after an event id ('' for the beginning). @typedef {(lastId: string, signal: AbortSignal) => Promise<Response>} Opener */
/**
 * @typedef {object} Listener
 * @property {(event: ChannelEvent, first: boolean) => void} event `first` is true for the first one of a connection
 * @property {(open: boolean) => void} connected
 * @property {(error: ApiError) => void} denied the server wants another token; the stream has stopped
 */

/** The server pings every 15 s; three missed pings mean a dead connection. */
const SILENCE_MS = 45_000;

/** The opener of a channel's events on this server. @param {string} channel @returns {Opener} */
export function channelEvents(channel) {
  return (lastId, signal) =>
    request('GET', eventsPath(channel), {
      scope: 'watch',
      headers: lastId ? { Accept: 'text/event-stream', 'Last-Event-ID': lastId } : { Accept: 'text/event-stream' },
      signal,
    });
}

/** Reads events until stopped; one at a time, in the order of the stream. */
export class EventStream {
  #open;
  #listener;
  #backoff;
  #lastId = '';
  /** @type {AbortController | null} */
  #life = null;
  /** @type {(() => void) | null} ends the present pause early */
  #wake = null;

  /** @param {Opener} open @param {Listener} listener @param {Backoff} [backoff] */
  constructor(open, listener, backoff = new Backoff()) {
    this.#open = open;
    this.#listener = listener;
    this.#backoff = backoff;
  }

  /** Starts reading; does nothing while it already reads. */
  start() {
    if (this.#life) return;
    this.#life = new AbortController();
    void this.#run(this.#life.signal);
  }

  /** Stops for good, until the next `start`, which resumes where this one was. */
  stop() {
    this.#life?.abort();
    this.#life = null;
  }

  /** Tries again now when it is waiting to, for example because the network has come back. */
  retryNow() {
    this.#wake?.();
  }

  /** @param {AbortSignal} signal */
  async #run(signal) {
    while (!signal.aborted) {
      try {
        await this.#connection(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && error.isDenied) {
          this.stop();
          this.#listener.denied(error);
          return;
        }
      }
      if (signal.aborted) return;
      this.#listener.connected(false);
      await this.#pause(this.#backoff.next(), signal);
    }
  }

  /** One connection, from the request to its end. @param {AbortSignal} signal */
  async #connection(signal) {
    const watchdog = new Watchdog(SILENCE_MS);
    try {
      const response = await this.#open(this.#lastId, AbortSignal.any([signal, watchdog.signal]));
      if (!response.body) return;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new SseParser();
      let first = true;
      this.#listener.connected(true);
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        watchdog.feed();
        for (const { id, data } of parser.push(part.value)) {
          if (signal.aborted) return;
          this.#listener.event(JSON.parse(data), first);
          this.#lastId = id || this.#lastId;
          this.#backoff.reset();
          first = false;
        }
      }
    } finally {
      watchdog.end();
    }
  }

  /** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
  #pause(ms, signal) {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = null;
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      this.#wake = done;
    });
  }
}

/** Aborts its signal when it is not fed in time. */
class Watchdog {
  #silence;
  #controller = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {number} silence milliseconds */
  constructor(silence) {
    this.#silence = silence;
    this.feed();
  }

  get signal() {
    return this.#controller.signal;
  }

  feed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), this.#silence);
  }

  end() {
    clearTimeout(this.#timer);
  }
}
