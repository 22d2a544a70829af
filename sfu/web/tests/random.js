/**
 * Repeatable randomness for tests.
 */

/** The mulberry32 generator: uniform in [0, 1), the same for the same seed. @param {number} seed @returns {() => number} */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A whole number below a limit. @param {() => number} random @param {number} limit */
export function below(random, limit) {
  return Math.floor(random() * limit);
}

/** The items in another order (Fisher-Yates). @template T @param {() => number} random @param {readonly T[]} items @returns {T[]} */
export function shuffled(random, items) {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = below(random, last + 1);
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}
