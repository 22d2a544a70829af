/**
 * The viewer's picture: muted autoplay, sound controls, and whether pictures really arrive.
 */

import { afterLoad } from './page.js';
import { byId, mark, say, show } from './ui.js';

/** Without a new frame for this long the picture counts as standing still. */
const STILL_MS = 3_000;

/** The video with its controls. */
export class Player {
  /** Give it to the subscription; it keeps its place in the page across reconnections. */
  stream = new MediaStream();
  #screen = byId('screen', HTMLElement);
  #video = byId('video', HTMLVideoElement);
  #play = byId('play', HTMLButtonElement);
  #mute = byId('mute', HTMLButtonElement);
  #volume = byId('volume', HTMLInputElement);
  #lastFrameAt = -STILL_MS;
  #frames = 0;
  #moved;

  /** @param {() => void} moved the first frame after a standstill has been shown */
  constructor(moved) {
    this.#moved = moved;
    // A video that waits for its first frame would hold up the page's load event.
    afterLoad(() => {
      this.#video.srcObject = this.stream;
      void this.start();
    });
    this.#video.volume = Number(this.#volume.value) / 100;
    this.#mute.addEventListener('click', () => this.#setMuted(!this.#video.muted));
    this.#volume.addEventListener('input', () => this.#setVolume(Number(this.#volume.value) / 100));
    this.#play.addEventListener('click', () => void this.start());
    this.#fullScreen();
    this.#watchFrames();
  }

  /** Plays what arrives; shows a button where the browser wants a gesture first. */
  async start() {
    try {
      await this.#video.play();
      show(this.#play, false);
    } catch (error) {
      if (error instanceof Error && error.name === 'NotAllowedError') show(this.#play, true);
    }
  }

  /** True while frames arrive. */
  get isMoving() {
    return performance.now() - this.#lastFrameAt < STILL_MS;
  }

  /** Takes the decoder's count, which also grows where a hidden page paints nothing. @param {number} frames */
  decoded(frames) {
    if (frames > this.#frames) this.#sawFrame();
    this.#frames = frames;
  }

  /** @param {string} words over the picture, '' for none */
  cover(words) {
    mark(this.#screen, words === '' ? 'picture' : 'empty');
    say(byId('screen-words', HTMLElement), words);
  }

  /** @param {boolean} dreaming a moment is being shown */
  halo(dreaming) {
    byId('player', HTMLElement).classList.toggle('dreaming', dreaming);
  }

  #watchFrames() {
    this.#video.requestVideoFrameCallback(() => {
      this.#sawFrame();
      this.#watchFrames();
    });
  }

  #sawFrame() {
    const wasMoving = this.isMoving;
    this.#lastFrameAt = performance.now();
    if (!wasMoving) this.#moved();
  }

  /** @param {boolean} muted */
  #setMuted(muted) {
    this.#video.muted = muted;
    this.#mute.setAttribute('aria-pressed', String(muted));
    say(this.#mute, muted ? 'Unmute' : 'Mute');
  }

  /** @param {number} volume 0 to 1; moving the slider is a wish to hear */
  #setVolume(volume) {
    this.#video.volume = volume;
    this.#setMuted(volume === 0);
  }

  #fullScreen() {
    const button = byId('fullscreen', HTMLButtonElement);
    show(button, document.fullscreenEnabled === true);
    button.addEventListener('click', () => void this.#screen.requestFullscreen());
  }
}
