/**
 * Decisions that wait a few seconds before they are sent, so that a slip of the finger can be taken back. Knows no page.
 */

/** How long a decision can be taken back. */
export const UNDO_MS = 5_000;

/** `leaving` is true when the page goes away and the request has to outlive it. @typedef {(leaving: boolean) => void} Act */
/** @typedef {{ what: string, due: number, act: Act, timer: ReturnType<typeof setTimeout> }} Waiting */

/** See the module. One decision per subject; another one takes its place. */
export class Held {
  /** @type {Map<string, Waiting>} */
  #waiting = new Map();
  #changed;
  #now;

  /** @param {() => void} changed @param {() => number} [now] milliseconds */
  constructor(changed, now = Date.now) {
    this.#changed = changed;
    this.#now = now;
  }

  /** Decides about a subject. @param {string} subject @param {string} what in words @param {Act} act */
  hold(subject, what, act) {
    clearTimeout(this.#waiting.get(subject)?.timer);
    const timer = setTimeout(() => this.#run(subject, false), UNDO_MS);
    this.#waiting.set(subject, { what, due: this.#now() + UNDO_MS, act, timer });
    this.#changed();
  }

  /** Takes a decision back. @param {string} subject */
  undo(subject) {
    clearTimeout(this.#waiting.get(subject)?.timer);
    this.#waiting.delete(subject);
    this.#changed();
  }

  /** What has been decided about a subject, and the seconds in which it can be taken back; null when nothing. @param {string} subject */
  of(subject) {
    const waiting = this.#waiting.get(subject);
    return waiting ? { what: waiting.what, left: Math.max(0, Math.ceil((waiting.due - this.#now()) / 1000)) } : null;
  }

  /** Sends every decision now, since the page goes away. */
  flush() {
    for (const subject of [...this.#waiting.keys()]) this.#run(subject, true);
  }

  /** @param {string} subject @param {boolean} leaving */
  #run(subject, leaving) {
    const waiting = this.#waiting.get(subject);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    this.#waiting.delete(subject);
    waiting.act(leaving);
    this.#changed();
  }
}
