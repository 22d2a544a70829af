/**
 * A worker that ticks: browsers slow the timers of a hidden page to one per second, but not those of its workers.
 * The page posts the interval in milliseconds and gets a message for every tick.
 */

addEventListener('message', ({ data }) => {
  setInterval(() => postMessage(null), data);
});
