/**
 * The moderator's page: decides about moments, and takes the AI away at once. With `?dock=1` it is dressed for a dock of OBS.
 */

import { ApiError } from './api.js';
import { BanList } from './banlist.js';
import { panic, setPaused, stop } from './desk.js';
import { DeskFeed } from './deskfeed.js';
import { renderLine } from './linebadge.js';
import { NowCard } from './nowcard.js';
import { every, onLeave, onReturn, openPage } from './page.js';
import { Steering } from './steering.js';
import { expose } from './surface.js';
import { TokenForm } from './tokenform.js';
import { announce, byId, mark, messageOf, say, show } from './ui.js';
import { viewerWords } from './words.js';

const isDock = new URLSearchParams(location.search).get('dock') === '1';
if (isDock) document.documentElement.dataset.scheme = 'dark';
document.body.classList.toggle('dock', isDock);

const channel = openPage();
const tokenForm = new TokenForm();
const now = new NowCard();
const error = byId('moment-error', HTMLElement);
const pause = byId('pause', HTMLButtonElement);
const stopButton = byId('moment-stop', HTMLButtonElement);

/** @param {unknown} refusal */
function denied(refusal) {
  if (!(refusal instanceof ApiError) || !refusal.isDenied) return false;
  tokenForm.ask('control', () => void steering.refresh(), refusal);
  return true;
}

const feed = new DeskFeed(channel, {
  changed: () => render(),
  heard: ({ type, data }) => {
    if (type === 'snapshot') void steering.refresh();
    if (type === 'snapshot' || (type === 'settings.changed' && data?.bans)) void banned.refresh();
  },
  denied: (refusal) => tokenForm.ask('watch', () => feed.start(), refusal),
});
const steering = new Steering(channel, feed, denied);
const banned = new BanList(channel, denied);

/** The channel as a whole is changed, and the answer is its queue. @param {() => Promise<import('./moments.js').QueueView>} act @param {string} done */
async function change(act, done) {
  say(error, '');
  const n = feed.heardUntil;
  try {
    feed.takeQueue(n, await act());
    announce(done);
  } catch (refusal) {
    if (!denied(refusal)) say(error, messageOf(refusal));
  }
}

let waiting = 0;

function render() {
  renderLine(feed);
  const { view, clock } = feed;
  show(byId('feed-words', HTMLElement), !feed.connected && view.known);
  mark(byId('live', HTMLElement), view.live ? 'live' : 'offline');
  say(byId('live', HTMLElement), view.live ? 'live' : 'offline');
  say(byId('viewers', HTMLElement), viewerWords(view.viewers));
  now.render(view.moment, { place: null, now: clock.now() });
  show(stopButton, view.moment !== null);
  say(pause, view.paused ? 'Resume queue' : 'Pause queue');
  pause.setAttribute('aria-pressed', String(view.paused));
  steering.render(view);
  if (view.pending.length > waiting) announce(`${view.pending.length} in review`);
  waiting = view.pending.length;
}

byId('panic', HTMLElement).addEventListener('click', () => void change(() => panic(channel), 'The camera is back.'));
pause.addEventListener('click', () => {
  const { paused } = feed.view;
  void change(() => setPaused(channel, !paused, { line: feed.line }), paused ? 'The queue goes on.' : 'The queue is paused.');
});
stopButton.addEventListener('click', () => {
  const { moment } = feed.view;
  if (moment) void steering.run(() => stop(moment, { line: feed.line }));
});
onLeave(() => {
  steering.leave();
  feed.stop();
});
onReturn(() => feed.retryNow());
expose(null, feed, () => null);
feed.start();
every(250, render);
