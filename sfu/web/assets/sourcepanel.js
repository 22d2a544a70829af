/**
 * The bridge's source picker: which picture, how large, how fast; opens it and shows the preview.
 */

import { openSource } from './sources.js';
import { byId, mark, messageOf, say, show } from './ui.js';

/** @typedef {import('./sources.js').Source} Source */
/** @typedef {import('./sources.js').SourceKind} SourceKind */

/**
 * @typedef {object} SourceListener
 * @property {(source: Source) => void} changed another stream is open
 * @property {() => void} limited the limits of the sent video changed
 * @property {() => void} ended the source has stopped by itself, for example when screen sharing was ended in the browser
 */

/** The form under "Source and quality" and the preview above it. */
export class SourcePanel {
  #channel;
  #listener;
  #kind = byId('source', HTMLSelectElement);
  #facing = byId('facing', HTMLSelectElement);
  #file = byId('file', HTMLInputElement);
  #size = byId('size', HTMLSelectElement);
  #fps = byId('fps', HTMLSelectElement);
  #bitrate = byId('bitrate', HTMLSelectElement);
  #sound = byId('sound', HTMLInputElement);
  #screen = byId('screen', HTMLElement);
  #preview = byId('preview', HTMLVideoElement);
  #words = byId('preview-words', HTMLElement);
  /** @type {Source | null} */
  #source = null;
  /** Counts openings, so that one overtaken by another is closed when it arrives. */
  #turn = 0;

  /** @param {string} channel written on the test picture @param {SourceListener} listener */
  constructor(channel, listener) {
    this.#channel = channel;
    this.#listener = listener;
    for (const field of [this.#kind, this.#facing, this.#file, this.#size]) {
      field.addEventListener('change', () => this.#picked());
    }
    this.#fps.addEventListener('change', () => {
      listener.limited();
      this.#picked();
    });
    this.#bitrate.addEventListener('change', () => listener.limited());
    this.#sound.addEventListener('change', () => this.#applySound());
    this.#showFields();
  }

  /** The limits for the sent video. @returns {import('./whip.js').VideoLimits} */
  get limits() {
    return { maxKbps: Number(this.#bitrate.value), maxFps: Number(this.#fps.value) };
  }

  /** Presets from the address: `source`, `size`, `fps`, `bitrate` (kbit/s); unknown values are left alone. @param {URLSearchParams} query */
  preset(query) {
    const fields = { source: this.#kind, size: this.#size, fps: this.#fps, bitrate: this.#bitrate };
    for (const [name, field] of Object.entries(fields)) {
      const value = query.get(name);
      if ([...field.options].some((option) => option.value === value)) field.value = String(value);
    }
    this.#showFields();
  }

  /** The open source, opening it if need be. Throws an `Error` fit to be shown. @returns {Promise<Source>} */
  async open() {
    return this.#source ?? this.#reopen();
  }

  /** True while a source is open. */
  get isOpen() {
    return this.#source !== null;
  }

  /** Stops the source's devices. */
  close() {
    this.#turn += 1;
    this.#source?.close();
    this.#source = null;
    this.#preview.srcObject = null;
    mark(this.#screen, 'empty');
  }

  async #picked() {
    this.#showFields();
    const wanted = this.#source !== null || this.#kind.value === 'canvas' || this.#file.value !== '';
    if (!wanted || (this.#kind.value === 'file' && !this.#file.files?.length)) return;
    try {
      this.#listener.changed(await this.#reopen());
    } catch (error) {
      this.#trouble(error);
    }
  }

  /** Opens what the form asks for; the old source goes on until the new one is there, unless both need the camera. */
  async #reopen() {
    this.#turn += 1;
    const turn = this.#turn;
    const kind = /** @type {SourceKind} */ (this.#kind.value);
    if (kind === 'camera' && this.#source?.kind === 'camera') this.#source.close();
    const [width, height] = this.#size.value.split('x').map(Number);
    const source = await openSource(kind, {
      width,
      height,
      fps: Number(this.#fps.value),
      facing: this.#facing.value === 'environment' ? 'environment' : 'user',
      file: this.#file.files?.[0] ?? null,
      label: this.#channel,
    });
    if (turn !== this.#turn) {
      source.close();
      throw new Error('Another source was chosen.');
    }
    this.#adopt(source);
    return source;
  }

  /** @param {Source} source */
  #adopt(source) {
    if (this.#source !== source) this.#source?.close();
    this.#source = source;
    this.#applySound();
    for (const track of source.stream.getVideoTracks()) {
      track.addEventListener('ended', () => {
        if (this.#source !== source) return;
        this.close();
        this.#listener.ended();
      });
    }
    this.#preview.srcObject = source.stream;
    // Only a camera is a mirror; text on a screen or in a file must stay readable.
    this.#preview.classList.toggle('mirrored', source.kind === 'camera' && this.#facing.value === 'user');
    mark(this.#screen, 'picture');
  }

  #applySound() {
    for (const track of this.#source?.stream.getAudioTracks() ?? []) track.enabled = this.#sound.checked;
  }

  #showFields() {
    const kind = this.#kind.value;
    show(byId('facing-field', HTMLElement), kind === 'camera');
    show(byId('file-field', HTMLElement), kind === 'file');
    show(byId('size-field', HTMLElement), kind !== 'file');
  }

  /** Says what went wrong where the picture would be. @param {unknown} error */
  #trouble(error) {
    say(this.#words, messageOf(error));
    if (!this.#source) mark(this.#screen, 'empty');
  }

  /** Opens the preview without going live. */
  async look() {
    try {
      await this.open();
    } catch (error) {
      this.#trouble(error);
    }
  }
}
