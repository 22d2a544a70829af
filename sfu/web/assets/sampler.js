/**
 * Reads a peer connection's statistics again and again, and turns each pair of reports into numbers.
 */

/** @typedef {import('./stats.js').Report} Report */

/**
 * Numbers of whichever connection is present; starts over when it is another one.
 * @template T
 */
export class Sampler {
  #connection;
  #summarize;
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {Report | null} */
  #before = null;
  /** The last numbers, or null without a connection. @type {T | null} */
  last = null;

  /**
   * @param {() => RTCPeerConnection | null} connection
   * @param {(report: Report, before: Report | null) => T} summarize
   */
  constructor(connection, summarize) {
    this.#connection = connection;
    this.#summarize = summarize;
  }

  /** Takes one sample. @returns {Promise<T | null>} */
  async sample() {
    const pc = this.#connection();
    if (pc !== this.#pc) this.#before = null;
    this.#pc = pc;
    if (!pc) {
      this.last = null;
      return null;
    }
    const report = [...(await pc.getStats()).values()];
    if (this.#connection() !== pc) return this.last;
    this.last = this.#summarize(report, this.#before);
    this.#before = report;
    return this.last;
  }
}
