/**
 * The bridge's settings of the pipeline: two sliders, the prompt between moments, and the seed. What is changed is sent after
 * half a second of rest, and a toast says when the picture follows.
 */

import { ApiError, request } from './api.js';
import { Applied, appliedWords } from './applied.js';
import { Debounce } from './debounce.js';
import { apiPath } from './route.js';
import { slidersOf, stepsOf } from './sliders.js';
import { announce, byId, mark, messageOf, say, show } from './ui.js';

/** @typedef {import('./applied.js').ParamsEvent} ParamsEvent */

const REST_MS = 500;
const TOAST_MS = 4_000;

/** The section "Pipeline" of the bridge. */
export class SettingsPanel {
  #path;
  #line;
  #denied;
  #quality = byId('quality', HTMLInputElement);
  #creativity = byId('creativity', HTMLInputElement);
  #style = byId('style', HTMLInputElement);
  #seed = byId('seed', HTMLInputElement);
  #error = byId('settings-error', HTMLElement);
  #toast = byId('toast', HTMLElement);
  #applied = new Applied();
  /** @type {Debounce<Record<string, unknown>>} */
  #patch = new Debounce(REST_MS, (patch) => this.#send(patch));
  #steps = 50;
  #isKnown = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {string} channel
   * @param {import('./line.js').Line} line
   * @param {(error: unknown) => boolean} denied true when the error was about a token and has been dealt with
   */
  constructor(channel, line, denied) {
    this.#line = line;
    this.#path = `${apiPath(channel)}/pipeline/params`;
    this.#denied = denied;
    for (const slider of [this.#quality, this.#creativity]) {
      slider.addEventListener('input', () => {
        this.#showSliders();
        this.#change({ t_index_list: stepsOf(Number(this.#quality.value), Number(this.#creativity.value), this.#steps) });
      });
    }
    this.#style.addEventListener('input', () => this.#change({ prompt: this.#style.value }));
    this.#seed.addEventListener('input', () => {
      if (this.#seed.value !== '' && this.#seed.checkValidity()) this.#change({ seed: Number(this.#seed.value) });
    });
    byId('settings-form', HTMLFormElement).addEventListener('submit', (event) => event.preventDefault());
  }

  /** Reads what is asked for now, once the channel is known to the server. */
  async load() {
    if (this.#isKnown) return;
    try {
      const response = await request('GET', this.#path, { scope: 'watch' });
      this.#take(await response.json());
      this.#isKnown = true;
      show(byId('settings-part', HTMLElement), true);
    } catch {
      // Without a channel there is nothing to set; it is tried again when the channel is there.
    }
  }

  /** Hears of what the pipeline follows. @param {ParamsEvent} event */
  told(event) {
    const own = this.#applied.told(event);
    if (own) this.#say(own);
    else if (this.#patch.waiting === null) void this.#refresh();
  }

  /** @param {any} params */
  #take({ t_index_list, num_inference_steps, prompt, seed }) {
    this.#steps = num_inference_steps;
    const { quality, creativity, exact } = slidersOf(t_index_list, num_inference_steps);
    this.#quality.value = String(quality);
    this.#creativity.value = String(creativity);
    say(byId('steps', HTMLElement), `steps ${t_index_list.join(', ')}${exact ? '' : '; set elsewhere, the sliders show the nearest'}`);
    // Blends of several are set over the API and are not for a text field.
    this.#style.disabled = typeof prompt !== 'string';
    this.#seed.disabled = typeof seed !== 'number';
    if (document.activeElement !== this.#style && typeof prompt === 'string') this.#style.value = prompt;
    if (document.activeElement !== this.#seed && typeof seed === 'number') this.#seed.value = String(seed);
    this.#showSliders();
  }

  #showSliders() {
    say(byId('quality-value', HTMLElement), this.#quality.value);
    say(byId('creativity-value', HTMLElement), this.#creativity.value);
  }

  /** @param {Record<string, unknown>} change */
  #change(change) {
    this.#patch.push({ ...this.#patch.waiting, ...change });
  }

  /** @param {Record<string, unknown>} patch */
  async #send(patch) {
    say(this.#error, '');
    try {
      const { data, version } = await this.#ask(patch);
      this.#take(data);
      const event = this.#applied.answered(version);
      if (event) this.#say(event);
    } catch (error) {
      if (!this.#denied(error)) say(this.#error, messageOf(error));
      if (error instanceof ApiError && error.status === 422) void this.#refresh();
    }
  }

  /** @param {Record<string, unknown>} patch @returns {Promise<{ data: any, version: string }>} the parameters, with their hash */
  async #ask(patch) {
    if (this.#line.takesCommands) return this.#line.command('params', { params: patch });
    const headers = { 'Content-Type': 'application/merge-patch+json' };
    const response = await request('PATCH', this.#path, { scope: 'control', body: JSON.stringify(patch), headers });
    return { data: await response.json(), version: (response.headers.get('ETag') ?? '').replaceAll('"', '') };
  }

  async #refresh() {
    this.#isKnown = false;
    await this.load();
  }

  /** @param {ParamsEvent} event */
  #say(event) {
    const words = appliedWords(event);
    mark(this.#toast, event.applied ? 'good' : 'bad');
    say(this.#toast, words);
    show(this.#toast, true);
    announce(words);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => show(this.#toast, false), TOAST_MS);
  }
}
