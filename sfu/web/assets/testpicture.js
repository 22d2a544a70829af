/**
 * A moving test picture with a bar code and a quiet tone: a source that needs no camera and no permission.
 */

import { writeCode } from './barcode.js';

const TONE_HZ = 440;
/** Quiet enough to leave running next to a person. */
const TONE_GAIN = 0.04;

/** @typedef {{ width: number, height: number, fps: number, label: string }} PictureOptions */

/** Draws until closed; `stream` has one video and one audio track. */
export class TestPicture {
  #options;
  #canvas = document.createElement('canvas');
  #context;
  #ticker = new Worker('/assets/ticker.js');
  #audio = new AudioContext();
  #frame = 0;
  #open = new AbortController();

  /** @param {PictureOptions} options */
  constructor(options) {
    this.#options = options;
    this.#canvas.width = options.width;
    this.#canvas.height = options.height;
    const context = this.#canvas.getContext('2d', { alpha: false });
    if (!context) throw new Error('this browser cannot draw the test picture');
    this.#context = context;
    this.#draw();
    this.stream = this.#canvas.captureStream(options.fps);
    this.stream.addTrack(this.#tone());
    this.#ticker.addEventListener('message', () => this.#draw());
    this.#ticker.postMessage(1000 / options.fps);
  }

  /** Stops drawing and sounding. */
  close() {
    this.#open.abort();
    this.#ticker.terminate();
    for (const track of this.stream.getTracks()) track.stop();
    void this.#audio.close();
  }

  #tone() {
    const oscillator = new OscillatorNode(this.#audio, { frequency: TONE_HZ });
    const gain = new GainNode(this.#audio, { gain: TONE_GAIN });
    const out = new MediaStreamAudioDestinationNode(this.#audio);
    oscillator.connect(gain).connect(out);
    oscillator.start();
    // Without a gesture the context may stay silent; the next touch of the page starts it.
    addEventListener('pointerdown', () => void this.#audio.resume(), { once: true, signal: this.#open.signal });
    return out.stream.getAudioTracks()[0];
  }

  #draw() {
    const { width, height } = this.#options;
    this.#frame += 1;
    this.#background(width, height);
    this.#box(width, height);
    this.#caption(width, height);
    writeCode(this.#context, width, height, this.#frame, Date.now());
  }

  /** Slowly turning colours of middle brightness, so that a black frame stands out. @param {number} width @param {number} height */
  #background(width, height) {
    const hue = this.#frame % 360;
    const gradient = this.#context.createLinearGradient(0, 0, width, height);
    gradient.addColorStop(0, `hsl(${hue} 45% 58%)`);
    gradient.addColorStop(0.5, `hsl(${hue + 70} 40% 52%)`);
    gradient.addColorStop(1, `hsl(${hue + 140} 45% 56%)`);
    this.#context.fillStyle = gradient;
    this.#context.fillRect(0, 0, width, height);
  }

  /** A box on its way around: motion that a frozen picture would lack. @param {number} width @param {number} height */
  #box(width, height) {
    const side = height / 5;
    const turn = (this.#frame / this.#options.fps) * 0.9;
    const x = (width - side) * (0.5 + 0.42 * Math.sin(turn));
    const y = height * 0.16 + (height * 0.8 - side) * (0.5 + 0.5 * Math.sin(turn * 1.7));
    this.#context.fillStyle = 'hsl(45 85% 76%)';
    this.#context.fillRect(x, y, side, side);
    this.#context.fillStyle = 'hsl(222 40% 26%)';
    this.#context.fillRect(x + side * 0.3, y + side * 0.3, side * 0.4, side * 0.4);
  }

  /** @param {number} width @param {number} height */
  #caption(width, height) {
    const context = this.#context;
    const size = Math.round(height / 14);
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.textBaseline = 'alphabetic';
    context.fillStyle = 'hsl(222 45% 16%)';
    const time = new Date().toISOString().slice(11, 21);
    context.fillText(`${this.#options.label}  ${time}`, width * 0.04, height * 0.94, width * 0.92);
  }
}
