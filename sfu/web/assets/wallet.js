/**
 * The credits of this viewer in a channel: what the server gave back, for another moment.
 */

import { credits } from './shop.js';

/** See the module. */
export class Wallet {
  #channel;
  #changed;
  /** Of the newest question; answers to older ones are not taken. */
  #serial = 0;
  /** Null as long as it is not known, and for those who are not signed in. @type {number | null} */
  balance = null;

  /** @param {string} channel @param {() => void} changed */
  constructor(channel, changed) {
    this.#channel = channel;
    this.#changed = changed;
  }

  /** Asks the server. */
  async refresh() {
    this.#serial += 1;
    const serial = this.#serial;
    try {
      const balance = await credits(this.#channel);
      if (serial !== this.#serial || balance === this.balance) return;
      this.balance = balance;
      this.#changed();
    } catch {
      // It stays as it was last told, and the server refuses what it does not cover.
    }
  }

  /** Whether this much is there; where nothing is known, the server decides. @param {number} price */
  covers(price) {
    return this.balance === null || this.balance >= price;
  }
}
