/**
 * The queue as a list in which moments are moved, by dragging or by buttons, and taken out.
 */

import { make } from './ui.js';
import { placeAfterDrop, placeAfterStep } from './wait.js';

/** @typedef {import('./api.js').Moment} Moment */

/**
 * @typedef {object} QueueListener
 * @property {(moment: Moment, place: number) => void} moved place from 1
 * @property {(moment: Moment) => void} cancelled
 */

/** An `ol` of waiting moments. */
export class QueueList {
  #list;
  #listener;
  /** @type {Moment[]} */
  #queue = [];
  /** What the list shows, as text, so that it is rebuilt only when that changes. */
  #shown = '';
  /** Id of the one that is being dragged; the list stays as it is meanwhile. @type {string | null} */
  #dragged = null;

  /** @param {HTMLOListElement} list @param {QueueListener} listener */
  constructor(list, listener) {
    this.#list = list;
    this.#listener = listener;
  }

  /** @param {Moment[]} queue */
  render(queue) {
    this.#queue = queue;
    const text = JSON.stringify(queue.map(({ id, prompt, duration_s, viewer }) => [id, prompt, duration_s, viewer]));
    if (text === this.#shown || this.#dragged !== null) return;
    this.#shown = text;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.control : undefined;
    this.#list.replaceChildren(...queue.map((moment, index) => this.#item(moment, index)));
    for (const control of this.#list.querySelectorAll('button')) {
      if (focused !== undefined && control.dataset.control === focused) control.focus();
    }
  }

  /** @param {Moment} moment @param {number} index */
  #item(moment, index) {
    const { id, prompt, viewer, duration_s } = moment;
    const words = make('span', { className: 'grow' }, [make('span', { text: viewer ? `${viewer}: ` : '', className: 'quiet' })]);
    words.append(prompt);
    const item = make('li', {}, [
      words,
      make('span', { className: 'quiet', text: `${duration_s} s` }),
      this.#step(moment, -1, index === 0),
      this.#step(moment, 1, index === this.#queue.length - 1),
      this.#button(id, 'cancel', 'Cancel', `Cancel “${prompt}”`, () => this.#listener.cancelled(moment)),
    ]);
    item.dataset.id = id;
    item.draggable = this.#queue.length > 1;
    this.#drags(item, id);
    return item;
  }

  /** @param {Moment} moment @param {-1 | 1} by @param {boolean} last */
  #step(moment, by, last) {
    const [sign, way] = by < 0 ? ['↑', 'up'] : ['↓', 'down'];
    const step = this.#button(moment.id, way, sign, `Move “${moment.prompt}” ${way}`, () => {
      this.#move(moment.id, placeAfterStep(this.#ids, moment.id, by));
    });
    step.disabled = last;
    return step;
  }

  /** @param {string} id @param {string} control @param {string} text @param {string} label @param {() => void} press */
  #button(id, control, text, label, press) {
    const button = make('button', { className: 'button small', text });
    button.type = 'button';
    button.setAttribute('aria-label', label);
    button.dataset.control = `${control} ${id}`;
    button.addEventListener('click', press);
    return button;
  }

  /** @param {HTMLLIElement} item @param {string} id */
  #drags(item, id) {
    item.addEventListener('dragstart', (event) => {
      this.#dragged = id;
      item.dataset.state = 'dragged';
      // Firefox drags nothing that carries nothing.
      event.dataTransfer?.setData('text/plain', '');
    });
    item.addEventListener('dragover', (event) => {
      if (this.#dragged === null) return;
      event.preventDefault();
      item.classList.toggle('onto', this.#dragged !== id);
    });
    item.addEventListener('dragleave', () => item.classList.remove('onto'));
    item.addEventListener('drop', (event) => {
      event.preventDefault();
      item.classList.remove('onto');
      if (this.#dragged !== null) this.#move(this.#dragged, placeAfterDrop(this.#ids, this.#dragged, id));
    });
    item.addEventListener('dragend', () => {
      delete item.dataset.state;
      this.#dragged = null;
      this.render(this.#queue);
    });
  }

  /** @param {string} id @param {number | null} place */
  #move(id, place) {
    const moment = this.#queue.find((waiting) => waiting.id === id);
    if (moment && place !== null) this.#listener.moved(moment, place);
  }

  get #ids() {
    return this.#queue.map(({ id }) => id);
  }
}
