/**
 * What a page knows of its channel: the event stream, folded into a view, with the server's clock and a short log.
 */

import { ServerClock } from './clock.js';
import { EventStream, channelEvents } from './events.js';
import { apply, applyQueue, correct, find, heardUntil, initial, view } from './moments.js';

/** @typedef {import('./moments.js').ChannelEvent} ChannelEvent */
/** @typedef {import('./moments.js').View} View */
/** @typedef {import('./events.js').Listener} Listener */
/** Where events come from. @typedef {Pick<EventStream, 'start' | 'stop' | 'retryNow'>} Stream */

/** Events kept for support and tests. */
const LOG = 200;

/**
 * @typedef {object} FeedListener
 * @property {() => void} changed the view, or the connection to it, changed
 * @property {(event: ChannelEvent) => void} [heard] an event, after the view has changed by it
 * @property {(error: import('./api.js').ApiError) => void} denied
 */

/** The live view of one channel. */
export class Feed {
  #listener;
  #stream;
  #state = initial();
  #view = view(this.#state);
  /** @type {ChannelEvent[]} */
  #log = [];
  /** False while the event stream is down; the view is then as old as the interruption. */
  connected = false;
  clock = new ServerClock();

  /** @param {string} channel @param {FeedListener} listener @param {(hears: Listener) => Stream} [stream] */
  constructor(channel, listener, stream = (hears) => new EventStream(channelEvents(channel), hears)) {
    this.#listener = listener;
    this.#stream = stream({
      event: (event, first) => this.#take(event, first),
      connected: (open) => {
        this.connected = open;
        listener.changed();
      },
      denied: (error) => listener.denied(error),
    });
  }

  start() {
    this.#stream.start();
  }

  stop() {
    this.#stream.stop();
  }

  retryNow() {
    this.#stream.retryNow();
  }

  /** @returns {View} */
  get view() {
    return this.#view;
  }

  /** The last events, oldest first; a copy. @returns {ChannelEvent[]} */
  get events() {
    return this.#log.slice();
  }

  /** @param {string} id */
  find(id) {
    return find(this.#state, id);
  }

  /** Takes a moment read by request. @param {import('./api.js').Moment} moment */
  correct(moment) {
    this.#set(correct(this.#state, moment));
  }

  /** Number of the newest event heard; name it to `takeQueue` with the answer to a request that is sent now. */
  get heardUntil() {
    return heardUntil(this.#state);
  }

  /** Takes the queue read by request. @param {number} n @param {import('./moments.js').QueueView} told */
  takeQueue(n, told) {
    this.#set(applyQueue(this.#state, n, told));
  }

  /** @param {ChannelEvent} event @param {boolean} first */
  #take(event, first) {
    this.#log.push(event);
    if (this.#log.length > LOG) this.#log.shift();
    if (first && event.type === 'snapshot') {
      // The server did not resume: it may be another one that counts its events from the beginning.
      this.#state = initial();
      this.clock.reset();
    }
    this.clock.observe(event.at);
    this.#set(apply(this.#state, event));
    this.#listener.heard?.(event);
  }

  /** @param {import('./moments.js').State} state */
  #set(state) {
    this.#state = state;
    this.#view = view(state);
    this.#listener.changed();
  }
}
