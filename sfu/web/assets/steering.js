/**
 * The part of a page in which moments are decided about: what is in review, the queue, and who says what went wrong.
 * The bridge and the moderator's dock share it.
 */

import { ApiError } from './api.js';
import { approve, ban, blockWords, move, readQueue, reject, stop } from './desk.js';
import { QueueList } from './queuelist.js';
import { ReviewList } from './reviewlist.js';
import { byId, messageOf, say, show } from './ui.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./deskfeed.js').DeskFeed} DeskFeed */
/** @typedef {import('./moments.js').View} View */

/** Longest entry that the server takes in a list of words. */
const MAX_WORDS = 64;

/** The lists `#review` and `#queue`, with the words for when they are empty. */
export class Steering {
  #channel;
  #feed;
  #denied;
  #error = byId('moment-error', HTMLElement);
  #queue;
  #review;

  /** @param {string} channel @param {DeskFeed} feed @param {(error: unknown) => boolean} denied true when the error was about a token and has been dealt with */
  constructor(channel, feed, denied) {
    this.#channel = channel;
    this.#feed = feed;
    this.#denied = denied;
    this.#queue = new QueueList(byId('queue', HTMLOListElement), {
      moved: (moment, place) => void this.run(() => move(moment, place, this.#how())),
      cancelled: (moment) => void this.run(() => stop(moment, this.#how())),
    });
    this.#review = new ReviewList(byId('review', HTMLUListElement), {
      approve: (moment, keepalive) => void this.run(() => approve(moment, this.#how(keepalive))),
      reject: (moment, reason, keepalive) => void this.run(() => reject(moment, reason, this.#how(keepalive))),
      block: (moment, keepalive) => void this.#block(moment, keepalive),
      ban: (moment, keepalive) => void this.run(() => ban(moment, this.#how(keepalive))),
    });
  }

  /** @param {View} view */
  render({ queue, pending, paused }) {
    this.#queue.render(queue);
    this.#review.render(pending);
    show(byId('review-part', HTMLElement), pending.length > 0);
    say(byId('review-count', HTMLElement), String(pending.length));
    const words = queue.length === 0 ? 'Nothing is waiting.' : '';
    show(byId('queue-words', HTMLElement), queue.length === 0 || paused);
    say(byId('queue-words', HTMLElement), paused ? `${words} The queue is paused: nothing is started.`.trim() : words);
  }

  /** Asks for what no event tells: what has been in review before this page came. */
  async refresh() {
    const n = this.#feed.heardUntil;
    try {
      const told = await readQueue(this.#channel);
      if (told) this.#feed.takeQueue(n, told);
    } catch {
      // Whoever may not decide is not told; the events tell of what comes from now on.
    }
  }

  /** Does something and shows what came of it. @param {() => Promise<Moment>} act */
  async run(act) {
    say(this.#error, '');
    try {
      this.#feed.correct(await act());
    } catch (error) {
      if (error instanceof ApiError && error.moment) this.#feed.correct(error.moment);
      if (!this.#denied(error)) say(this.#error, messageOf(error));
    }
  }

  /** Sends what has been decided, since the page goes away. */
  leave() {
    this.#review.flush();
  }

  /** @param {boolean} [keepalive] @returns {import('./desk.js').How} */
  #how(keepalive = false) {
    return { keepalive, line: this.#feed.line };
  }

  /** @param {Moment} moment @param {boolean} keepalive */
  async #block(moment, keepalive) {
    await this.run(() => reject(moment, 'it has words that this channel does not take', this.#how(keepalive)));
    const words = [...moment.prompt].slice(0, MAX_WORDS).join('');
    try {
      await blockWords(this.#channel, words);
    } catch (error) {
      if (!this.#denied(error)) say(this.#error, `“${words}” is not blocked: ${messageOf(error)}`);
    }
  }
}
