/**
 * Waits for a pause in what a person does before it acts, so that a slider that is drawn sends one request.
 */

/** Runs with the last word once nothing came for a while; never two runs at a time. @template T */
export class Debounce {
  #ms;
  #run;
  /** @type {{ value: T } | null} */
  #last = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #isRunning = false;

  /** @param {number} ms @param {(value: T) => Promise<void>} run its errors are its own affair */
  constructor(ms, run) {
    this.#ms = ms;
    this.#run = run;
  }

  /** @param {T} value takes the place of one that has not been run */
  push(value) {
    this.#last = { value };
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#go(), this.#ms);
  }

  /** The value that waits to be run, or null. */
  get waiting() {
    return this.#last?.value ?? null;
  }

  async #go() {
    // What comes meanwhile is run when this one is done.
    if (this.#isRunning || this.#last === null) return;
    const { value } = this.#last;
    this.#last = null;
    this.#isRunning = true;
    await this.#run(value);
    this.#isRunning = false;
    if (this.#last !== null) await this.#go();
  }
}
