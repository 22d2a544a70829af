/**
 * The prompt box of both pages: text with a counter, and the request that starts a moment.
 */

import { startMoment } from './api.js';
import { promptLength } from './words.js';
import { byId, mark, messageOf, say } from './ui.js';

/** @typedef {import('./api.js').Moment} Moment */

/** The server's default limit; it answers 422 with its own words when it is configured lower. */
const MAX_CHARS = 500;

/**
 * @typedef {object} MomentFormOptions
 * @property {() => { duration_s?: number, pipeline?: string }} extras what else to ask for
 * @property {(moment: Moment) => void} started
 * @property {(error: unknown) => boolean} refused true when it has been dealt with and needs no words here
 */

/** The form `#moment-form` with `#prompt`, `#prompt-count`, `#moment-start` and `#moment-error`. */
export class MomentForm {
  #channel;
  #options;
  #prompt = byId('prompt', HTMLTextAreaElement);
  #count = byId('prompt-count', HTMLElement);
  #start = byId('moment-start', HTMLButtonElement);
  #error = byId('moment-error', HTMLElement);
  #busy = false;

  /** @param {string} channel @param {MomentFormOptions} options */
  constructor(channel, options) {
    this.#channel = channel;
    this.#options = options;
    this.#prompt.addEventListener('input', () => this.#update());
    this.#prompt.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        void this.#submit();
      }
    });
    byId('moment-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit();
    });
    this.#update();
  }

  /** Puts a text in the box and the cursor behind it. @param {string} text */
  suggest(text) {
    this.#prompt.value = text;
    this.#update();
    this.#prompt.focus();
  }

  #update() {
    const length = promptLength(this.#prompt.value.trim());
    const over = length > MAX_CHARS;
    say(this.#count, `${length} / ${MAX_CHARS}`);
    mark(this.#count, over ? 'over' : 'fits');
    this.#prompt.setAttribute('aria-invalid', String(over));
    this.#start.disabled = this.#busy || length === 0 || over;
  }

  async #submit() {
    if (this.#start.disabled) return;
    this.#busy = true;
    this.#update();
    say(this.#error, '');
    try {
      const wish = { prompt: this.#prompt.value.trim(), ...this.#options.extras() };
      const moment = await startMoment(this.#channel, wish);
      this.#prompt.value = '';
      this.#options.started(moment);
    } catch (error) {
      if (!this.#options.refused(error)) say(this.#error, messageOf(error));
    } finally {
      this.#busy = false;
      this.#update();
    }
  }
}
