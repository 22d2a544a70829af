/**
 * The panel below a stream on Twitch: the channel's picture, and moments for Bits.
 */

import { Feed } from '../assets/feed.js';
import { moveTo } from '../assets/home.js';
import { Link } from '../assets/link.js';
import { NowCard } from '../assets/nowcard.js';
import { every, onLeave, onReturn } from '../assets/page.js';
import { Player } from '../assets/player.js';
import { Sampler } from '../assets/sampler.js';
import { situation } from '../assets/situation.js';
import { inbound } from '../assets/stats.js';
import { Storefront } from '../assets/storefront.js';
import { Till, localStore } from '../assets/till.js';
import { byId, mark, messageOf, say, show } from '../assets/ui.js';
import { subscribe } from '../assets/whep.js';
import { amount } from '../assets/words.js';
import { Entry } from './entry.js';
import { SERVER } from './server.js';
import { bitsProducts } from './bits.js';
import { followTheme, helper, namedServer } from './twitch.js';

const trouble = byId('trouble', HTMLElement);

/** @param {string} words '' when all is well */
function complain(words) {
  show(trouble, words !== '');
  say(trouble, words);
}

/** Shows a channel for as long as the panel is open. @param {import('./twitch.js').Helper} ext @param {string} channel */
function open(ext, channel) {
  const player = new Player(() => render());
  const link = new Link({
    connect: (signal) => subscribe(channel, player.stream, signal),
    changed: ({ phase }) => {
      if (phase === 'live') void player.start();
      render();
    },
    // The session is renewed by itself, so a refusal passes.
    denied: () => setTimeout(() => link.start(), 5_000),
  });
  const feed = new Feed(channel, {
    changed: () => render(),
    heard: ({ type }) => {
      if (type === 'settings.changed') void restock();
    },
    denied: () => setTimeout(() => feed.start(), 5_000),
  });
  const till = new Till(channel, {
    storage: localStore(),
    told: (moment) => feed.correct(moment),
    changed: () => render(),
    useBits: (sku) => ext.bits.useBits(sku),
    refused: () => false,
  });
  const storefront = new Storefront(channel, feed, till, 'bits');
  const now = new NowCard();
  const sampler = new Sampler(() => link.pc, inbound);
  ext.bits.onTransactionComplete((transaction) => till.transaction(transaction));
  ext.bits.onTransactionCancelled(() => till.abandon());
  byId('share-go', HTMLElement).addEventListener('click', () => ext.actions.requestIdShare());

  async function restock() {
    const offered = await bitsProducts(ext, channel).catch(() => null);
    // What was offered before still stands when the server or Twitch cannot be asked.
    if (offered === null) return;
    show(byId('products', HTMLElement), offered.length > 0);
    show(byId('shop-words', HTMLElement), offered.length === 0);
    say(byId('shop-words', HTMLElement), 'This channel offers no moments right now.');
    storefront.offer(offered);
    sells = offered.some(({ price }) => price > 0);
    askWho();
  }

  let sells = false;
  let isKnown = false;

  /** A receipt of Twitch names its viewer, so nobody pays whose session does not. */
  function askWho() {
    show(byId('share', HTMLElement), sells && !isKnown);
    storefront.allowBits(isKnown);
    storefront.recount();
  }

  let isReady = false;
  function render() {
    if (!isReady) return;
    const { badge, state, cover } = situation(link.state, feed.view, player.isMoving, Date.now());
    mark(byId('live', HTMLElement), state);
    say(byId('live', HTMLElement), badge);
    player.cover(cover);
    player.halo(feed.view.moment?.state === 'active' && cover === '');
    now.render(feed.view.moment, { place: null, now: feed.clock.now() });
    storefront.render();
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
    void till.settle();
  });
  isReady = true;
  link.start();
  feed.start();
  void restock();
  every(1000, () => void renderStats());
  every(250, render);
  return {
    /** There is a session, and it says who the viewer is or not. @param {boolean} known */
    renewed(known) {
      isKnown = known;
      askWho();
    },
  };
}

function begin() {
  const ext = helper();
  followTheme(ext);
  /** @type {ReturnType<typeof open> | null} */
  let shown = null;
  const entry = new Entry({
    entered: (channel) => {
      complain(channel === null ? 'This channel is not connected to a Reverie server yet.' : '');
      if (channel !== null) shown = open(ext, channel);
    },
    renewed: (isKnown) => {
      if (shown !== null) complain('');
      shown?.renewed(isKnown);
    },
    failed: (error) => complain(messageOf(error)),
  });
  /** @type {string | null} */
  let token = null;
  const go = () => {
    const server = SERVER || namedServer(ext);
    moveTo(server);
    if (server === '') complain('The streamer has not named a server yet.');
    else if (token !== null) void entry.take(token, ext.viewer.id !== null);
  };
  ext.onAuthorized((authorized) => {
    ({ token } = authorized);
    go();
  });
  if (SERVER === '') ext.configuration.onChanged(go);
}

try {
  begin();
} catch (error) {
  complain(messageOf(error));
}
