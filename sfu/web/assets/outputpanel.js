/**
 * The bridge's output: the pipeline's state with Warm and Cool, and the picture as viewers see it.
 */

import { cool } from './api.js';
import { warm } from './desk.js';
import { Link } from './link.js';
import { byId, mark, messageOf, say, show } from './ui.js';
import { subscribe } from './whep.js';
import { linkWords, pipelineWords } from './words.js';

/** @typedef {import('./moments.js').View} View */

/**
 * @typedef {object} OutputOptions
 * @property {() => string} pipeline the pipeline to warm, '' for the server's default
 * @property {import('./line.js').Line} line
 * @property {(error: unknown, scope: import('./token.js').Scope, retry: () => void) => boolean} denied true when dealt with
 */

/** The section "Output" of the bridge. */
export class OutputPanel {
  #channel;
  #options;
  #badge = byId('pipeline', HTMLElement);
  #toggle = byId('pipeline-toggle', HTMLButtonElement);
  #error = byId('pipeline-error', HTMLElement);
  #screen = byId('self-screen', HTMLElement);
  #video = byId('self', HTMLVideoElement);
  #words = byId('self-words', HTMLElement);
  #button = byId('self-toggle', HTMLButtonElement);
  #stream = new MediaStream();
  #link;
  #isReady = false;

  /** @param {string} channel @param {OutputOptions} options */
  constructor(channel, options) {
    this.#channel = channel;
    this.#options = options;
    this.#link = new Link({
      connect: (signal) => subscribe(channel, this.#stream, signal),
      changed: () => this.#renderSelf(),
      denied: (error) => void options.denied(error, 'watch', () => this.#link.start()),
    });
    this.#video.addEventListener('resize', () => this.#renderSelf());
    this.#toggle.addEventListener('click', () => void this.#toggleWarm());
    this.#button.addEventListener('click', () => this.#toggleSelf());
  }

  /** @param {View} view */
  render({ pipeline }) {
    mark(this.#badge, pipeline.state);
    say(this.#badge, pipelineWords(pipeline));
    this.#isReady = pipeline.state === 'warm' || pipeline.state === 'loading' || pipeline.state === 'active';
    say(this.#toggle, this.#isReady ? 'Cool' : 'Warm');
    this.#toggle.disabled = pipeline.state === 'active';
    this.#renderSelf();
  }

  /** Ends the self-view without waiting. */
  leave() {
    void this.#link.stop({ keepalive: true });
  }

  retryNow() {
    this.#link.retryNow();
  }

  async #toggleWarm() {
    say(this.#error, '');
    try {
      await (this.#isReady ? cool(this.#channel) : warm(this.#channel, this.#options.pipeline(), { line: this.#options.line }));
    } catch (error) {
      const dealt = this.#options.denied(error, 'control', () => void this.#toggleWarm());
      if (!dealt) say(this.#error, messageOf(error));
    }
  }

  #toggleSelf() {
    const open = !this.#link.isRunning;
    if (open) this.#link.start();
    else void this.#link.stop();
    this.#video.srcObject = open ? this.#stream : null;
    show(this.#screen, open);
    this.#button.setAttribute('aria-expanded', String(open));
    say(this.#button, open ? 'Close this view' : 'See what viewers see');
  }

  #renderSelf() {
    const { phase, reason } = this.#link.state;
    const picture = phase === 'live' && this.#video.videoWidth > 0;
    mark(this.#screen, picture ? 'picture' : 'empty');
    const waiting = phase === 'live' ? 'Waiting for the picture' : linkWords(this.#link.state, Date.now());
    say(this.#words, phase === 'failed' ? `failed: ${reason}` : waiting);
  }
}
