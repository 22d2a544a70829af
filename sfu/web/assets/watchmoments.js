/**
 * The viewer's moments: what is shown now, where the viewer's own wish stands, and the box that sends one.
 */

import { ApiError, readMoment } from './api.js';
import { hasEnded } from './moments.js';
import { MomentForm } from './momentform.js';
import { NowCard } from './nowcard.js';
import { byId, make, say, show } from './ui.js';
import { momentWords } from './words.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./feed.js').Feed} Feed */

const EXAMPLES = ['watercolour painting', 'neon city at night', 'pencil sketch', 'stained glass', 'deep under water'];
/** How long the end of somebody's moment stays on the card. */
const LINGER_MS = 10_000;
/** How often an own moment that ended unseen is asked for. */
const ASK_MS = 5_000;

/** The section "Moment" of the watch page. */
export class WatchMoments {
  #feed;
  #now = new NowCard();
  #queueWords = byId('queue-words', HTMLElement);
  #form = byId('moment-form', HTMLElement);
  #denied = byId('moment-denied', HTMLElement);
  /** Id of the last moment started here. @type {string | null} */
  #mine = null;
  #askedAt = 0;

  /** @param {string} channel @param {Feed} feed @param {(retry: () => void) => void} askToken */
  constructor(channel, feed, askToken) {
    this.#feed = feed;
    const form = new MomentForm(channel, {
      extras: () => ({}),
      started: (moment) => this.#started(moment),
      refused: (error) => this.#refused(error),
    });
    byId('examples', HTMLElement).append(...EXAMPLES.map((text) => exampleChip(text, form)));
    byId('moment-token', HTMLElement).addEventListener('click', () => askToken(() => this.#allow(true)));
  }

  /** Shows the present state. */
  render() {
    const { view, clock } = this.#feed;
    const mine = this.#own();
    const shown = view.moment ?? mine ?? recent(view.last, clock.now());
    this.#now.render(shown, { place: this.#placeOf(shown), now: clock.now() });
    this.#renderQueue(mine, shown);
  }

  /** @param {Moment | null} mine @param {Moment | null} shown */
  #renderQueue(mine, shown) {
    const count = this.#feed.view.queue.length;
    const other = mine !== null && mine.id !== shown?.id && !hasEnded(mine);
    const waiting = count === 1 ? '1 moment is waiting.' : `${count} moments are waiting.`;
    show(this.#queueWords, other || count > 0);
    say(this.#queueWords, other ? `Yours: ${momentWords(mine, { place: this.#placeOf(mine), left: null }).toLowerCase()}.` : waiting);
  }

  /** The moment started here, as far as it is known; asks for it when its end was missed. @returns {Moment | null} */
  #own() {
    if (this.#mine === null) return null;
    const found = this.#feed.find(this.#mine);
    if (found && !found.current && Date.now() - this.#askedAt > ASK_MS) void this.#ask(this.#mine);
    return found?.moment ?? null;
  }

  /** @param {string} id */
  async #ask(id) {
    this.#askedAt = Date.now();
    try {
      this.#feed.correct(await readMoment(id));
    } catch {
      // It stays as it was last seen and is asked for again.
    }
  }

  /** @param {Moment | null} moment */
  #placeOf(moment) {
    const index = this.#feed.view.queue.findIndex(({ id }) => id === moment?.id);
    return index < 0 ? null : index + 1;
  }

  /** @param {Moment} moment */
  #started(moment) {
    this.#mine = moment.id;
    this.#askedAt = Date.now();
    this.#feed.correct(moment);
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

/** @param {string} text @param {MomentForm} form */
function exampleChip(text, form) {
  const chip = make('button', { className: 'chip', text });
  chip.type = 'button';
  chip.addEventListener('click', () => form.suggest(text));
  return chip;
}

/** @param {Moment | null} last @param {number} now */
function recent(last, now) {
  return last?.ended_at != null && now - last.ended_at < LINGER_MS ? last : null;
}
