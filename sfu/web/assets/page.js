/**
 * What the channel pages share: their channel, their name tags, and how they leave and come back.
 */

import { bridgePath, channelFromPath, modPath, watchPath } from './route.js';
import { adoptTokenFromAddress } from './token.js';
import { byId, say } from './ui.js';

/** @type {Record<string, (channel: string) => string>} */
const PATHS = { bridge: bridgePath, watch: watchPath, mod: modPath };

/** The channel of this page, with every link and name on it filled in. Throws when the address names none. @returns {string} */
export function openPage() {
  adoptTokenFromAddress();
  const channel = channelFromPath(location.pathname);
  if (channel === null) throw new Error('the address names no channel');
  say(byId('channel', HTMLElement), channel);
  document.title = `${channel} · ${document.title}`;
  for (const link of document.querySelectorAll('a[data-page]')) {
    if (!(link instanceof HTMLAnchorElement)) continue;
    link.href = PATHS[link.dataset.page ?? '']?.(channel) ?? '/';
  }
  return channel;
}

/**
 * Ends sessions when the page goes away and starts over if the browser brings it back from its cache.
 * @param {() => void} leave must not wait for anything
 */
export function onLeave(leave) {
  addEventListener('pagehide', leave);
  addEventListener('pageshow', (event) => {
    if (event.persisted) location.reload();
  });
}

/** Runs `now` when waiting has become pointless: the network is back or the person looks again. @param {() => void} now */
export function onReturn(now) {
  addEventListener('online', now);
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') now();
  });
}

/** Runs `tick` now and then every `ms` milliseconds. @param {number} ms @param {() => void} tick */
export function every(ms, tick) {
  tick();
  setInterval(tick, ms);
}

/** Runs `start` once the page has loaded. @param {() => void} start */
export function afterLoad(start) {
  if (document.readyState === 'complete') start();
  else addEventListener('load', start, { once: true });
}
