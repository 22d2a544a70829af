/**
 * What a player says about its picture; pure.
 */

import { linkWords } from './words.js';

/**
 * What the badge says and, when there is no picture, what stands in its place.
 * @param {import('./link.js').LinkState} link
 * @param {Pick<import('./moments.js').View, 'live' | 'audio' | 'video'>} channel
 * @param {boolean} isMoving pictures arrive
 * @param {number} now local time
 * @returns {{ badge: string, state: string, cover: string }}
 */
export function situation(link, { live, audio, video }, isMoving, now) {
  const { phase, reason } = link;
  if (phase === 'failed') return { badge: 'failed', state: phase, cover: 'The picture cannot be shown.' };
  if (phase !== 'live') {
    const words = linkWords(link, now);
    return { badge: words, state: phase, cover: reason === null ? 'Connecting…' : `${words[0].toUpperCase()}${words.slice(1)}` };
  }
  if (isMoving) return { badge: 'live', state: 'live', cover: '' };
  if (live && audio && !video) return { badge: 'live', state: 'live', cover: 'Sound only' };
  if (live) return { badge: 'starting', state: 'connecting', cover: 'The picture is on its way…' };
  return { badge: 'offline', state: 'offline', cover: 'Waiting for the streamer. The picture starts by itself.' };
}
