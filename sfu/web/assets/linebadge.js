/**
 * The badge of a page that steers: there while the connection to its channel is not, with the time until it is tried again.
 */

import { byId, announce, mark, say, show } from './ui.js';
import { linkWords } from './words.js';

let wasAway = false;

/** Shows how `#line` stands. @param {import('./deskfeed.js').DeskFeed} feed */
export function renderLine({ line }) {
  const badge = byId('line', HTMLElement);
  const isAway = line.state.phase === 'reconnecting';
  show(badge, isAway);
  mark(badge, line.state.phase);
  say(badge, isAway ? linkWords({ ...line.state, phase: 'reconnecting', reason: null }, Date.now()) : '');
  if (isAway !== wasAway) announce(isAway ? 'The connection to the server is gone.' : 'The connection to the server is back.');
  wasAway = isAway;
}
