/**
 * How long to wait before trying again: 0.5 to 10 s, growing and jittered so that a thousand pages do not return at once.
 */

const FLOOR_MS = 500;
const CEILING_MS = 10_000;

/** A growing, jittered delay; the caller owns the clock and the timer. */
export class Backoff {
  #random;
  #attempt = 0;

  /** @param {() => number} [random] uniform in [0, 1) */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** The next delay in milliseconds: between 500 and a limit that doubles from 1 s to 10 s. */
  next() {
    const limit = Math.min(CEILING_MS, 2 * FLOOR_MS * 2 ** this.#attempt);
    this.#attempt = Math.min(this.#attempt + 1, 16);
    return Math.round(FLOOR_MS + this.#random() * (limit - FLOOR_MS));
  }

  /** Starts over after a success that lasted. */
  reset() {
    this.#attempt = 0;
  }
}
