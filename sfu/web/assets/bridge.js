/**
 * The bridge page: publishes a source to its channel and steers the channel's moments.
 */

import { ApiError } from './api.js';
import { DeskFeed } from './deskfeed.js';
import { renderLine } from './linebadge.js';
import { Link } from './link.js';
import { MomentPanel } from './momentpanel.js';
import { OutputPanel } from './outputpanel.js';
import { every, onLeave, onReturn, openPage } from './page.js';
import { Sampler } from './sampler.js';
import { SettingsPanel } from './settingspanel.js';
import { SourcePanel } from './sourcepanel.js';
import { outbound } from './stats.js';
import { expose } from './surface.js';
import { TokenForm } from './tokenform.js';
import { announce, byId, mark, say, show } from './ui.js';
import { limitVideo, publish, replaceTracks } from './whip.js';
import { amount, limitWords, linkWords, viewerWords, warningWords } from './words.js';

/** @typedef {import('./token.js').Scope} Scope */

const channel = openPage();
const tokenForm = new TokenForm();

/** Asks for a token when that is what an error is about. @param {unknown} error @param {Scope} scope @param {() => void} retry */
function denied(error, scope, retry) {
  if (!(error instanceof ApiError) || !error.isDenied) return false;
  tokenForm.ask(scope, retry, error);
  return true;
}

const source = new SourcePanel(channel, {
  changed: ({ stream }) => void resend(stream),
  limited: () => {
    // A connection that is going away takes its limits along; the next one gets the new ones.
    if (link.pc) limitVideo(link.pc, source.limits).catch(() => {});
  },
  ended: () => {
    if (link.isRunning) link.fail('The source has ended.');
  },
});

const link = new Link({
  connect: async (signal) => {
    const { stream } = await source.open();
    signal.throwIfAborted();
    return publish(channel, stream, source.limits, signal);
  },
  changed: () => renderLink(),
  denied: (error) => void denied(error, 'publish', () => link.start()),
  yields: true,
});

const feed = new DeskFeed(channel, {
  changed: () => renderFeed(),
  heard: ({ type, data }) => {
    if (type === 'snapshot' || type === 'settings.changed') void moments.refresh();
    if (type === 'snapshot' || type === 'stream.live') void settings.load();
    if (type === 'pipeline.params') settings.told(data);
  },
  denied: (error) => void denied(error, 'watch', () => feed.start()),
});
const moments = new MomentPanel(channel, feed, (error) => denied(error, 'control', () => byId('prompt', HTMLElement).focus()));
const output = new OutputPanel(channel, { pipeline: () => moments.pipeline, line: feed.line, denied });
const settings = new SettingsPanel(channel, feed.line, (error) => denied(error, 'control', () => byId('style', HTMLElement).focus()));
const sampler = new Sampler(() => link.pc, outbound);

/** Sends another stream, over the same connection if it has the same kinds of tracks. @param {MediaStream} stream */
async function resend(stream) {
  if (!link.pc) return;
  const sent = await replaceTracks(link.pc, stream).catch(() => false);
  if (!sent) link.restart('another source was chosen');
}

let spoken = '';

function renderLink() {
  const { phase, reason } = link.state;
  const chip = byId('link-chip', HTMLElement);
  mark(chip, phase);
  say(chip, linkWords(link.state, Date.now()));
  const alert = byId('link-reason', HTMLElement);
  show(alert, reason !== null && phase !== 'idle');
  say(alert, reason ?? '');
  show(byId('go-live', HTMLElement), !link.isRunning);
  show(byId('stop', HTMLElement), link.isRunning);
  show(byId('look', HTMLElement), !link.isRunning);
  say(byId('look', HTMLElement), source.isOpen ? 'Close preview' : 'Preview');
  const words = phase === 'failed' ? `failed: ${reason}` : phase;
  if (words !== spoken) announce(`Connection ${words}`);
  spoken = words;
}

function renderFeed() {
  renderLine(feed);
  const words = byId('feed-words', HTMLElement);
  show(words, !feed.connected && feed.view.known);
  say(words, 'The events of this channel are interrupted; what you see may be old.');
  const warnings = warningWords(feed.view.warnings);
  show(byId('warnings', HTMLElement), warnings !== '');
  say(byId('warnings', HTMLElement), warnings);
  say(byId('viewers', HTMLElement), viewerWords(feed.view.viewers));
  moments.render(feed.view, feed.clock.now());
  output.render(feed.view);
}

async function renderStats() {
  const stats = await sampler.sample();
  say(byId('stat-bitrate', HTMLElement), amount(stats?.kbps ?? null, 'kbit/s'));
  say(byId('stat-fps', HTMLElement), amount(stats?.fps ?? null, 'fps'));
  say(byId('stat-rtt', HTMLElement), amount(stats?.rttMs ?? null, 'ms'));
  say(byId('stat-loss', HTMLElement), amount(stats?.loss == null ? null : stats.loss * 100, '%', 1));
  say(byId('stat-size', HTMLElement), stats?.size?.replace('x', ' × ') ?? '–');
  say(byId('stat-limit', HTMLElement), limitWords(stats?.limit ?? null));
}

byId('go-live', HTMLElement).addEventListener('click', () => link.start());
byId('stop', HTMLElement).addEventListener('click', () => void link.stop());
byId('look', HTMLElement).addEventListener('click', async () => {
  if (source.isOpen) source.close();
  else await source.look();
  renderLink();
});

addEventListener('beforeunload', (event) => {
  if (link.isRunning) event.preventDefault();
});
onLeave(() => {
  void link.stop({ keepalive: true });
  output.leave();
  moments.leave();
  feed.stop();
});
onReturn(() => {
  link.retryNow();
  output.retryNow();
  feed.retryNow();
});

expose(link, feed, () => sampler.last);
const query = new URLSearchParams(location.search);
source.preset(query);
renderLink();
feed.start();
every(1000, () => void renderStats());
every(250, () => {
  renderFeed();
  if (link.state.retryAt !== null) renderLink();
});
// Tests and demonstrations open the page with `?source=canvas&autostart=1`.
if (query.get('autostart') === '1') link.start();
