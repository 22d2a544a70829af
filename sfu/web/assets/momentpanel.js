/**
 * The bridge's moments: what runs, what waits, what was last, and the form that starts another.
 */

import { stopMoment } from './api.js';
import { MomentForm } from './momentform.js';
import { NowCard } from './nowcard.js';
import { byId, make, messageOf, say, show } from './ui.js';
import { momentWords } from './words.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./moments.js').View} View */

/** The section "Moment" of the bridge. */
export class MomentPanel {
  #now = new NowCard();
  #stop = byId('moment-stop', HTMLButtonElement);
  #queue = byId('queue', HTMLOListElement);
  #queueWords = byId('queue-words', HTMLElement);
  #last = byId('last', HTMLElement);
  #error = byId('moment-error', HTMLElement);
  #choice = byId('pipeline-choice', HTMLSelectElement);
  #duration = byId('duration', HTMLInputElement);
  #denied;
  /** @type {Moment | null} */
  #running = null;
  /** What the queue list shows, as text, so that it is rebuilt only when that changes. */
  #shown = '';

  /** @param {string} channel @param {(error: unknown) => boolean} denied true when the error was about a token and has been dealt with */
  constructor(channel, denied) {
    this.#denied = denied;
    new MomentForm(channel, { extras: () => this.#extras(), started: () => {}, refused: denied });
    this.#stop.addEventListener('click', () => {
      if (this.#running) void this.#end(this.#running.id);
    });
  }

  /** The pipeline chosen for the next moment, '' before the server has named any. */
  get pipeline() {
    return this.#choice.value;
  }

  /** @param {View} view @param {number} now the server's time */
  render(view, now) {
    this.#running = view.moment;
    this.#now.render(view.moment, { place: null, now });
    show(this.#stop, view.moment !== null);
    this.#renderChoice(view);
    this.#renderQueue(view.queue);
    say(this.#last, view.last ? `${momentWords(view.last, { place: null, left: null })} · “${view.last.prompt}”` : 'Nothing yet.');
  }

  #extras() {
    const seconds = Number(this.#duration.value);
    return {
      ...(seconds > 0 ? { duration_s: seconds } : {}),
      ...(this.pipeline ? { pipeline: this.pipeline } : {}),
    };
  }

  /** @param {View} view */
  #renderChoice({ pipelines, defaultPipeline }) {
    const present = [...this.#choice.options].map((option) => option.value);
    if (present.join() === pipelines.join()) return;
    const chosen = pipelines.includes(this.#choice.value) ? this.#choice.value : (defaultPipeline ?? '');
    this.#choice.replaceChildren(...pipelines.map((name) => new Option(name, name)));
    this.#choice.value = chosen;
  }

  /** @param {Moment[]} queue */
  #renderQueue(queue) {
    show(this.#queueWords, queue.length === 0);
    const text = JSON.stringify(queue.map(({ id, prompt, duration_s }) => [id, prompt, duration_s]));
    if (text === this.#shown) return;
    this.#shown = text;
    this.#queue.replaceChildren(...queue.map((moment) => this.#item(moment)));
  }

  /** @param {Moment} moment */
  #item(moment) {
    const cancel = make('button', { className: 'button small', text: 'Cancel' });
    cancel.type = 'button';
    cancel.setAttribute('aria-label', `Cancel “${moment.prompt}”`);
    cancel.addEventListener('click', () => void this.#end(moment.id));
    const words = make('span', { className: 'grow', text: moment.prompt });
    const length = make('span', { className: 'quiet', text: `${moment.duration_s} s` });
    return make('li', {}, [words, length, cancel]);
  }

  /** @param {string} id */
  async #end(id) {
    say(this.#error, '');
    try {
      await stopMoment(id);
    } catch (error) {
      if (!this.#denied(error)) say(this.#error, messageOf(error));
    }
  }
}
