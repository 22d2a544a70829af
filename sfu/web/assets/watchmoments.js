/**
 * The viewer's moments: what is shown now, how many wait, and the box in which one asks for another.
 */

import { ApiError } from './api.js';
import { NowCard } from './nowcard.js';
import { products } from './shop.js';
import { Storefront } from './storefront.js';
import { Till, localStore } from './till.js';
import { byId, say, show } from './ui.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./feed.js').Feed} Feed */

/** How long the end of somebody's moment stays on the card. */
const LINGER_MS = 10_000;

/** The section "Moment" of the watch page. */
export class WatchMoments {
  #channel;
  #feed;
  #storefront;
  #now = new NowCard();
  #queueWords = byId('queue-words', HTMLElement);
  #form = byId('moment-form', HTMLElement);
  #denied = byId('moment-denied', HTMLElement);

  /** @param {string} channel @param {Feed} feed @param {(retry: () => void) => void} askToken */
  constructor(channel, feed, askToken) {
    this.#channel = channel;
    this.#feed = feed;
    const till = new Till(channel, {
      storage: localStore(),
      told: (moment) => feed.correct(moment),
      changed: () => {},
      // Bits exist only inside of Twitch; here one pays with the credits one has.
      useBits: null,
      refused: (error) => this.#refused(error),
    });
    this.#storefront = new Storefront(channel, feed, till, 'credits');
    byId('moment-token', HTMLElement).addEventListener('click', () => askToken(() => {
      this.#allow(true);
      this.#storefront.recount();
    }));
    void this.restock();
  }

  /** Asks again what the channel offers. */
  async restock() {
    try {
      this.#storefront.offer(await products(this.#channel));
    } catch {
      // What was offered before still stands; the server refuses what does not.
    }
  }

  /** Shows the present state. */
  render() {
    const { view, clock } = this.#feed;
    this.#now.render(view.moment ?? recent(view.last, clock.now()), { place: null, now: clock.now() });
    const count = view.queue.length;
    const waiting = count === 1 ? '1 moment is waiting.' : `${count} moments are waiting.`;
    show(this.#queueWords, count > 0);
    say(this.#queueWords, view.paused ? `${waiting} The queue is paused.` : waiting);
    this.#storefront.render();
  }

  /** @param {unknown} error */
  #refused(error) {
    if (!(error instanceof ApiError) || !error.isDenied) return false;
    say(byId('moment-denied-words', HTMLElement), 'On this channel only people with a control token may start moments.');
    this.#allow(false);
    return true;
  }

  /** @param {boolean} allowed */
  #allow(allowed) {
    show(this.#form, allowed);
    show(this.#denied, !allowed);
    byId(allowed ? 'prompt' : 'moment-token', HTMLElement).focus();
  }
}

/** @param {Moment | null} last @param {number} now */
function recent(last, now) {
  return last?.ended_at != null && now - last.ended_at < LINGER_MS ? last : null;
}
