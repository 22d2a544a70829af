/**
 * Moments in review as a list: approve or reject with one click, and five seconds to take it back or to say why.
 */

import { Held } from './held.js';
import { make, say, show } from './ui.js';

/** @typedef {import('./api.js').Moment} Moment */

/**
 * What a decision does; `leaving` is true when the page goes away.
 * @typedef {object} Deciders
 * @property {(moment: Moment, leaving: boolean) => void} approve
 * @property {(moment: Moment, reason: string, leaving: boolean) => void} reject `reason` is '' where none was given
 * @property {(moment: Moment, leaving: boolean) => void} block rejects, and blocks the words of the prompt
 * @property {(moment: Moment, leaving: boolean) => void} ban rejects, and takes nothing more of its viewer
 */

const REJECTING = 'Rejecting';
/** What a viewer can be told of why, with one more click. */
const REASONS = ['not today', 'not fit for this stream', 'seen already'];

/** A `ul` of moments in review. */
export class ReviewList {
  #list;
  #deciders;
  #held;
  /** @type {Moment[]} */
  #pending = [];
  /** Why a moment is rejected, by id, as long as it can be taken back. @type {Map<string, string>} */
  #reasons = new Map();
  #shown = '';

  /** @param {HTMLUListElement} list @param {Deciders} deciders */
  constructor(list, deciders) {
    this.#list = list;
    this.#deciders = deciders;
    this.#held = new Held(() => this.render(this.#pending));
  }

  /** Sends what has been decided, since the page goes away. */
  flush() {
    this.#held.flush();
  }

  /** @param {Moment[]} pending */
  render(pending) {
    this.#pending = pending;
    const text = JSON.stringify(pending.map(({ id, version }) => [id, version]));
    if (text !== this.#shown) this.#list.replaceChildren(...pending.map((moment) => this.#item(moment)));
    this.#shown = text;
    for (const item of this.#list.children) this.#renderItem(/** @type {HTMLElement} */ (item));
  }

  /** @param {HTMLElement} item */
  #renderItem(item) {
    const held = this.#held.of(item.dataset.id ?? '');
    const [decide, undo, why] = item.querySelectorAll('.decide');
    show(/** @type {HTMLElement} */ (decide), held === null);
    show(/** @type {HTMLElement} */ (undo), held !== null);
    show(/** @type {HTMLElement} */ (why), held?.what === REJECTING);
    const reason = this.#reasons.get(item.dataset.id ?? '') ?? '';
    for (const chip of why.querySelectorAll('.chip')) chip.setAttribute('aria-pressed', String(chip.textContent === reason));
    const words = /** @type {HTMLElement} */ (undo.querySelector('.held'));
    say(words, held ? `${held.what} in ${held.left} s` : '');
  }

  /** @param {Moment} moment */
  #item(moment) {
    const { id, viewer, prompt, price, source } = moment;
    const paid = price && source !== 'streamer' ? ` · ${price} ${source === 'credit' ? 'credits' : 'Bits'}` : '';
    const who = make('span', { className: 'quiet', text: (viewer ?? 'Anonymous') + paid });
    const words = make('p', { className: 'asked', text: prompt });
    const decide = make('div', { className: 'decide' }, [
      this.#button('primary', 'Approve', moment, 'Approving', this.#deciders.approve),
      this.#button('', 'Reject', moment, REJECTING, (_, leaving) => this.#deciders.reject(moment, this.#reasons.get(id) ?? '', leaving)),
      this.#button('', 'Block words', moment, 'Rejecting and blocking', this.#deciders.block),
      this.#button('', 'Ban', moment, 'Banning its viewer', this.#deciders.ban),
    ]);
    const back = make('button', { className: 'button small', text: 'Undo' });
    back.type = 'button';
    back.addEventListener('click', () => {
      this.#reasons.delete(id);
      this.#held.undo(id);
    });
    const undo = make('div', { className: 'decide' }, [make('span', { className: 'held grow' }), back]);
    const why = make('div', { className: 'decide why' }, REASONS.map((reason) => this.#reason(id, reason)));
    why.setAttribute('role', 'group');
    why.setAttribute('aria-label', 'Why, for its viewer');
    const item = make('li', {}, [who, words, decide, undo, why]);
    item.dataset.id = id;
    return item;
  }

  /** @param {string} id @param {string} reason */
  #reason(id, reason) {
    const chip = make('button', { className: 'chip', text: reason });
    chip.type = 'button';
    chip.addEventListener('click', () => {
      if (this.#reasons.get(id) === reason) this.#reasons.delete(id);
      else this.#reasons.set(id, reason);
      this.render(this.#pending);
    });
    return chip;
  }

  /** @param {string} kind @param {string} text @param {Moment} moment @param {string} what @param {(moment: Moment, leaving: boolean) => void} decide */
  #button(kind, text, moment, what, decide) {
    const button = make('button', { className: `button small ${kind}`, text });
    button.type = 'button';
    button.setAttribute('aria-label', `${text}: “${moment.prompt}”`);
    button.addEventListener('click', () => {
      this.#held.hold(moment.id, what, (leaving) => decide(moment, leaving));
      // The button is gone; whoever steers by keyboard is where it can be taken back.
      const undo = this.#list.querySelector(`[data-id="${CSS.escape(moment.id)}"] .decide:not([hidden]) button`);
      if (undo instanceof HTMLElement) undo.focus();
    });
    return button;
  }
}
