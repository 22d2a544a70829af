/**
 * The card that shows one moment: its state with a countdown, its prompt and a bar that empties.
 */

import { byId, announce, mark, say, show } from './ui.js';
import { momentWords, secondsUntil } from './words.js';

/** @typedef {import('./api.js').Moment} Moment */

/** The elements `#now`, `#now-state`, `#now-prompt` and `#now-progress`. */
export class NowCard {
  #card = byId('now', HTMLElement);
  #state = byId('now-state', HTMLElement);
  #prompt = byId('now-prompt', HTMLElement);
  #progress = byId('now-progress', HTMLProgressElement);
  #emptyWords = this.#state.textContent ?? '';
  /** What was spoken last, so that a countdown does not speak every second. */
  #spoken = '';

  /**
   * @param {Moment | null} moment
   * @param {{ place: number | null, now: number }} facts place in the queue from 1; the server's time
   */
  render(moment, { place, now }) {
    mark(this.#card, moment?.state ?? 'none');
    show(this.#prompt, moment !== null);
    const left = moment?.state === 'active' && moment.ends_at !== null ? secondsUntil(moment.ends_at, now) : null;
    say(this.#state, moment ? momentWords(moment, { place, left }) : this.#emptyWords);
    say(this.#prompt, moment ? `“${moment.prompt}”` : '');
    this.#bar(moment, now);
    this.#speak(moment, place);
  }

  /** @param {Moment | null} moment @param {number} now */
  #bar(moment, now) {
    const running = moment?.state === 'active' && moment.ends_at !== null;
    show(this.#progress, running);
    if (!running || moment.ends_at === null) return;
    const length = moment.active_at === null ? moment.duration_s * 1000 : moment.ends_at - moment.active_at;
    this.#progress.value = Math.min(1, Math.max(0, (moment.ends_at - now) / Math.max(1, length)));
  }

  /** @param {Moment | null} moment @param {number | null} place */
  #speak(moment, place) {
    const words = moment ? `Moment: ${momentWords(moment, { place, left: null })}` : '';
    if (words !== this.#spoken && words !== '') announce(words);
    this.#spoken = words;
  }
}
