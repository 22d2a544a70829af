/**
 * Two sliders instead of a list of steps: quality says how many steps are done, creativity how early they begin. Pure, and the
 * same arithmetic as the server's own.
 */

/** @type {ReadonlyArray<readonly number[]>} */
const QUALITY = [[6], [6, 12], [6, 12, 18], [6, 12, 18, 24]];
const CREATIVITY_MAX = 10;

/**
 * The `t_index_list` of two sliders. It rises and stays below `steps`.
 * @param {number} quality 1 to 4
 * @param {number} creativity 0 to 10
 * @param {number} steps `num_inference_steps`
 * @returns {number[]}
 */
export function stepsOf(quality, creativity, steps) {
  const base = QUALITY[Math.min(4, Math.max(1, Math.round(quality))) - 1];
  const stretch = 2.62 - 0.132 * Math.min(CREATIVITY_MAX, Math.max(0, creativity));
  /** @type {number[]} */
  const list = [];
  let limit = steps;
  for (const index of base.toReversed()) {
    if (limit === 0) break;
    limit = Math.min(Math.floor(index * stretch + 0.5), limit - 1);
    list.unshift(limit);
  }
  return list;
}

/**
 * The sliders whose list this is, or those that come nearest with as many steps.
 * @param {readonly number[]} list
 * @param {number} steps
 * @returns {{ quality: number, creativity: number, exact: boolean }}
 */
export function slidersOf(list, steps) {
  const quality = Math.min(4, Math.max(1, list.length));
  let best = { creativity: 0, distance: Infinity };
  for (let creativity = 0; creativity <= CREATIVITY_MAX; creativity += 1) {
    const theirs = stepsOf(quality, creativity, steps);
    const distance = theirs.reduce((sum, step, index) => sum + Math.abs(step - (list[index] ?? 0)), 0);
    if (distance < best.distance) best = { creativity, distance };
  }
  return { quality, creativity: best.creativity, exact: best.distance === 0 };
}
