/**
 * Brings together what was asked of a pipeline and the event that says whether it follows; either may be heard first. Pure.
 */

/** The event `pipeline.params`. @typedef {{ applied: boolean, hash: string, fields: string[], reason: string | null }} ParamsEvent */

/** Events kept for answers that are on their way. */
const KEPT = 32;

/** See the module. */
export class Applied {
  /** @type {Map<string, ParamsEvent>} */
  #heard = new Map();
  /** @type {Set<string>} */
  #asked = new Set();

  /** An answer: the server has taken parameters with this hash. Returns the event if it came before. @param {string} hash @returns {ParamsEvent | null} */
  answered(hash) {
    const event = this.#heard.get(hash) ?? null;
    this.#heard.delete(hash);
    if (event === null) this.#asked.add(hash);
    return event;
  }

  /** An event; returned if it is about what was asked for here. @param {ParamsEvent} event @returns {ParamsEvent | null} */
  told(event) {
    if (this.#asked.delete(event.hash)) return event;
    this.#heard.set(event.hash, event);
    const oldest = this.#heard.keys().next().value;
    if (this.#heard.size > KEPT && oldest !== undefined) this.#heard.delete(oldest);
    return null;
  }
}

/** @type {Record<string, string>} */
const NAMES = { t_index_list: 'quality and creativity', prompt: 'prompt', seed: 'seed', negative_prompt: 'negative prompt' };

/** What a toast says. @param {ParamsEvent} event */
export function appliedWords({ applied, fields, reason }) {
  const names = fields.map((field) => NAMES[field] ?? field).join(', ');
  if (applied) return `Applied: ${names || 'nothing changed'}`;
  return reason === null ? `Kept for the next pipeline: ${names}` : `Not applied: ${reason}`;
}
