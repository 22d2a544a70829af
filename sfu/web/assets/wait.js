/**
 * How long a waiting moment is likely to wait, and where in the queue it goes when it is moved. Pure.
 */

/** @typedef {import('./moments.js').View} View */

/** What a pipeline takes from its call to its first picture, as far as nobody has measured it. */
const BETWEEN_S = 3;

/**
 * Seconds until a queued moment is likely to begin: what is left of the one that runs, all those before it, and a little between
 * them. Null for one that is not in the queue, or while the queue stands still.
 * @param {View} view
 * @param {string} id
 * @param {number} now the server's time
 */
export function secondsUntilTurn({ queue, moment, paused, live }, id, now) {
  const place = queue.findIndex((waiting) => waiting.id === id);
  if (place < 0 || paused || !live) return null;
  const before = queue.slice(0, place).reduce((sum, { duration_s }) => sum + duration_s + BETWEEN_S, 0);
  if (moment === null) return before;
  const left = moment.ends_at === null ? moment.duration_s : Math.max(0, moment.ends_at - now) / 1000;
  return left + BETWEEN_S + before;
}

/** A wait as people say it. @param {number} seconds */
export function waitWords(seconds) {
  if (seconds < 45) return `about ${Math.max(5, Math.ceil(seconds / 5) * 5)} s`;
  return `about ${Math.max(1, Math.round(seconds / 60))} min`;
}

/**
 * The place, from 1, of a moment that is dropped on another one's; null where nothing changes.
 * @param {readonly string[]} ids the queue
 * @param {string} moved
 * @param {string} onto
 */
export function placeAfterDrop(ids, moved, onto) {
  const [from, to] = [ids.indexOf(moved), ids.indexOf(onto)];
  return from < 0 || to < 0 || from === to ? null : to + 1;
}

/** The place, from 1, of a moment that goes one up (-1) or down (1); null at the end of the queue. @param {readonly string[]} ids @param {string} moved @param {-1 | 1} by */
export function placeAfterStep(ids, moved, by) {
  const from = ids.indexOf(moved);
  const to = from + by;
  return from < 0 || to < 0 || to >= ids.length ? null : to + 1;
}
