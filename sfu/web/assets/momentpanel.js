/**
 * The bridge's moments: what runs, what waits, what was last, and the form that starts another.
 */

import { readSettings, start, stop } from './desk.js';
import { MomentForm } from './momentform.js';
import { NowCard } from './nowcard.js';
import { Steering } from './steering.js';
import { byId, say, show } from './ui.js';
import { momentWords } from './words.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./deskfeed.js').DeskFeed} DeskFeed */
/** @typedef {import('./moments.js').View} View */

/** The section "Moment" of the bridge. */
export class MomentPanel {
  #now = new NowCard();
  #go = byId('moment-go', HTMLButtonElement);
  #stop = byId('moment-stop', HTMLButtonElement);
  #last = byId('last', HTMLElement);
  #choice = byId('pipeline-choice', HTMLSelectElement);
  #duration = byId('duration', HTMLInputElement);
  #channel;
  #steering;
  /** @type {Moment | null} */
  #running = null;
  /** True when a moment that is ready waits for this page to start it. */
  #drives = false;

  /** @param {string} channel @param {DeskFeed} feed @param {(error: unknown) => boolean} denied true when the error was about a token and has been dealt with */
  constructor(channel, feed, denied) {
    this.#channel = channel;
    this.#steering = new Steering(channel, feed, denied);
    new MomentForm(channel, { extras: () => this.#extras(), started: () => {}, refused: denied });
    for (const [button, act] of /** @type {const} */ ([[this.#go, start], [this.#stop, stop]])) {
      button.addEventListener('click', () => {
        const moment = this.#running;
        if (moment) void this.#steering.run(() => act(moment, { line: feed.line }));
      });
    }
  }

  /** Asks for what no event tells: what is in review already, and who starts the moments. */
  async refresh() {
    void this.#steering.refresh();
    const settings = await readSettings(this.#channel).catch(() => null);
    this.#drives = settings?.driver === 'bridge';
  }

  /** Sends what has been decided, since the page goes away. */
  leave() {
    this.#steering.leave();
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
    show(this.#go, this.#drives && view.moment?.state === 'warming');
    this.#renderChoice(view);
    this.#steering.render(view);
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
}
