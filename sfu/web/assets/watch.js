/**
 * The watch page: plays a channel, shows its moments and lets viewers start one.
 */

import { Feed } from './feed.js';
import { Link } from './link.js';
import { every, onLeave, onReturn, openPage } from './page.js';
import { Player } from './player.js';
import { Sampler } from './sampler.js';
import { situation } from './situation.js';
import { inbound } from './stats.js';
import { expose } from './surface.js';
import { TokenForm } from './tokenform.js';
import { announce, byId, mark, say, show } from './ui.js';
import { WatchMoments } from './watchmoments.js';
import { subscribe } from './whep.js';
import { amount, viewerWords } from './words.js';

const channel = openPage();
const tokenForm = new TokenForm();
const player = new Player(() => render());

const link = new Link({
  connect: (signal) => subscribe(channel, player.stream, signal),
  changed: ({ phase }) => {
    if (phase === 'live') void player.start();
    render();
  },
  denied: (error) => tokenForm.ask('watch', () => link.start(), error),
});

const feed = new Feed(channel, {
  changed: () => render(),
  heard: ({ type }) => {
    if (type === 'settings.changed') void moments.restock();
  },
  denied: (error) => tokenForm.ask('watch', () => feed.start(), error),
});
const moments = new WatchMoments(channel, feed, (retry) => tokenForm.ask('control', retry));
const sampler = new Sampler(() => link.pc, inbound);

let spoken = '';

function render() {
  const { badge, state, cover } = situation(link.state, feed.view, player.isMoving, Date.now());
  mark(byId('live', HTMLElement), state);
  say(byId('live', HTMLElement), badge);
  player.cover(cover);
  player.halo(feed.view.moment?.state === 'active' && cover === '');
  const reason = link.state.reason;
  show(byId('link-reason', HTMLElement), reason !== null);
  say(byId('link-reason', HTMLElement), reason ?? '');
  show(byId('viewers', HTMLElement), feed.view.known);
  say(byId('viewers', HTMLElement), viewerWords(feed.view.viewers));
  moments.render();
  if (state !== spoken) announce(cover || 'The picture is live.');
  spoken = state;
}

async function renderStats() {
  const stats = await sampler.sample();
  player.decoded(stats?.frames ?? 0);
  const latency = stats?.latencyMs ?? null;
  show(byId('latency', HTMLElement), latency !== null && player.isMoving);
  say(byId('latency', HTMLElement), `≈ ${amount(latency, 'ms')}`);
}

onLeave(() => {
  void link.stop({ keepalive: true });
  feed.stop();
});
onReturn(() => {
  link.retryNow();
  feed.retryNow();
});

expose(link, feed, () => sampler.last);
link.start();
feed.start();
every(1000, () => void renderStats());
every(250, render);
