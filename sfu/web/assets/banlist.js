/**
 * The viewers of whom the channel takes nothing, each with a button that lets them in again. Asked for when it is opened.
 */

import { bans, lift } from './desk.js';
import { announce, byId, make, messageOf, say, show } from './ui.js';

/** @typedef {import('./desk.js').Ban} Ban */

/** The elements `#bans-part`, `#bans` and `#ban-words`. */
export class BanList {
  #channel;
  #denied;
  #part = byId('bans-part', HTMLDetailsElement);
  #words = byId('ban-words', HTMLElement);
  #emptyWords = this.#words.textContent ?? '';

  /** @param {string} channel @param {(error: unknown) => boolean} denied true when the error was about a token and has been dealt with */
  constructor(channel, denied) {
    this.#channel = channel;
    this.#denied = denied;
    this.#part.addEventListener('toggle', () => void this.refresh());
  }

  /** Asks the server anew, if anybody looks. */
  async refresh() {
    if (!this.#part.open) return;
    try {
      this.#render(await bans(this.#channel));
    } catch (error) {
      if (!this.#denied(error)) this.#say(messageOf(error));
    }
  }

  /** @param {Ban[]} list the latest first */
  #render(list) {
    this.#say(list.length === 0 ? this.#emptyWords : '');
    byId('bans', HTMLUListElement).replaceChildren(...list.map((ban) => this.#item(ban)));
  }

  /** @param {Ban} ban */
  #item({ moment, viewer, since, until }) {
    const name = viewer ?? 'Anonymous';
    const button = make('button', { className: 'button small', text: 'Lift' });
    button.type = 'button';
    button.setAttribute('aria-label', `Lift the ban of ${name}`);
    button.addEventListener('click', () => void this.#lift(moment, name));
    const when = until === null ? `since ${day(since)}` : `until ${day(until)}`;
    const words = make('span', { className: 'grow', text: name });
    return make('li', { className: 'row' }, [words, make('span', { className: 'quiet', text: when }), button]);
  }

  /** @param {string} moment @param {string} name */
  async #lift(moment, name) {
    try {
      await lift(this.#channel, moment);
      announce(`${name} may ask for moments again.`);
      await this.refresh();
    } catch (error) {
      if (!this.#denied(error)) this.#say(messageOf(error));
    }
  }

  /** @param {string} words */
  #say(words) {
    show(this.#words, words !== '');
    say(this.#words, words);
  }
}

/** @param {number} at */
const day = (at) => new Date(at).toLocaleDateString();
