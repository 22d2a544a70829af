/**
 * `window.reverie`: what browser tests and people who help others may read of a page. Nothing in the pages reads it.
 *
 * - `pc`         the present RTCPeerConnection, or null
 * - `session`    path of the present WHIP or WHEP session on the server, or null
 * - `state`      'idle' | 'connecting' | 'live' | 'reconnecting' | 'failed': the connection, not the channel
 * - `reason`     why the state is not the wished one, or null
 * - `reconnects` how many times a lost session was replaced by a working one
 * - `channel`    the channel as the page sees it: live, viewers, pipeline, moment, queue, last and so on
 * - `events`     the last 200 events of the channel, oldest first, as the server sent them (a copy)
 * - `stats`      the last numbers shown (see stats.js), or null
 */

/**
 * @param {import('./link.js').Link | null} link null for a page without a picture
 * @param {import('./feed.js').Feed} feed
 * @param {() => object | null} stats
 */
export function expose(link, feed, stats) {
  const handle = Object.freeze({
    get pc() {
      return link?.pc ?? null;
    },
    get session() {
      return link?.url ?? null;
    },
    get state() {
      return link?.state.phase ?? 'idle';
    },
    get reason() {
      return link?.state.reason ?? null;
    },
    get reconnects() {
      return link?.reconnects ?? 0;
    },
    get channel() {
      return feed.view;
    },
    get events() {
      return feed.events;
    },
    get stats() {
      return stats();
    },
  });
  Object.defineProperty(window, 'reverie', { value: handle, enumerable: true });
}
