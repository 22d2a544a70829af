/**
 * The server's clock as seen from here, from the times written on its events.
 */

/** Estimates the server's time in milliseconds since 1970; a viewer's own clock may be minutes off. */
export class ServerClock {
  #now;
  /** @type {number | null} */
  #ahead = null;

  /** @param {() => number} [now] the local clock, milliseconds since 1970 */
  constructor(now = Date.now) {
    this.#now = now;
  }

  /**
   * Takes the server time written on something that has just arrived. A replayed event looks late, a fresh one only by
   * its way here: so the largest lead seen is the best estimate.
   * @param {number} at
   */
  observe(at) {
    const ahead = at - this.#now();
    if (this.#ahead === null || ahead > this.#ahead) this.#ahead = ahead;
  }

  /** Forgets what it learned, for a server that may have been replaced. */
  reset() {
    this.#ahead = null;
  }

  /** The server's time now. */
  now() {
    return this.#now() + (this.#ahead ?? 0);
  }
}
