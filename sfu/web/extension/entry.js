/**
 * How the panel comes to a session of the server: Twitch's token is exchanged, and exchanged again before the session is over.
 */

import { enter } from '../assets/shop.js';
import { tokens } from '../assets/token.js';

/** A session is renewed when this share of its life is over. */
const SHARE = 0.8;
/** How long to wait after a renewal that failed. */
const AGAIN_MS = 5_000;

/**
 * @typedef {object} EntryListener
 * @property {(channel: string | null) => void} entered once
 * @property {(isKnown: boolean) => void} renewed each time there is a session, the first one included
 * @property {(error: unknown) => void} failed each time there is none
 */

/** Keeps the panel's session alive. */
export class Entry {
  #listener;
  #token = '';
  #isKnown = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isIn = false;

  /** @param {EntryListener} listener */
  constructor(listener) {
    this.#listener = listener;
  }

  /** Takes Twitch's present token. @param {string} token @param {boolean} isKnown whether it says who the viewer is */
  async take(token, isKnown) {
    this.#token = token;
    this.#isKnown = isKnown;
    await this.#exchange();
  }

  async #exchange() {
    clearTimeout(this.#timer);
    const token = this.#token;
    try {
      const session = await enter(token);
      if (token !== this.#token) return;
      tokens.replaceAll(session.token);
      this.#timer = setTimeout(() => void this.#exchange(), session.expires_in * 1000 * SHARE);
      if (!this.#isIn) this.#listener.entered(session.channel);
      this.#isIn = true;
      this.#listener.renewed(this.#isKnown);
    } catch (error) {
      if (token !== this.#token) return;
      this.#timer = setTimeout(() => void this.#exchange(), AGAIN_MS);
      this.#listener.failed(error);
    }
  }
}
