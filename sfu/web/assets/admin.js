/**
 * The operator's page: every channel with its pipeline and queue, what this server can run, and whether it takes new sessions.
 */

import { ApiError, json, listChannels, serverVersion } from './api.js';
import { channelsAsCsv, totals } from './csv.js';
import { panic, setPaused, stop } from './desk.js';
import { Operator } from './operator.js';
import { bridgePath, modPath, watchPath } from './route.js';
import { adoptTokenFromAddress } from './token.js';
import { TokenForm } from './tokenform.js';
import { byId, make, mark, messageOf, say, show } from './ui.js';
import { activityWords, pipelineWords, viewerWords } from './words.js';

/** @typedef {import('./api.js').Channel} Channel */
/** @typedef {{ name: string, available: boolean, reason?: string | null }} Stage */

const REFRESH_MS = 2_000;
/** What is wrong, by the check that fails. @type {Record<string, string>} */
const WRONG = {
  udp: 'a media thread has ended',
  not_draining: 'the server is drained',
  channels: 'there are as many channels as may be',
  sessions: 'there are as many sessions as may be',
};

adoptTokenFromAddress();
const tokenForm = new TokenForm();
const error = byId('error', HTMLElement);
const words = byId('channel-words', HTMLElement);
/** @type {Channel[]} */
let known = [];
/** What the list shows, as text, so that focus in it survives a refresh without news. */
let shown = '';
let denied = false;
const operator = new Operator(save);

/** @param {unknown} refusal @param {import('./token.js').Scope} scope */
function complain(refusal, scope) {
  if (!(refusal instanceof ApiError) || !refusal.isDenied) {
    say(error, messageOf(refusal));
    return;
  }
  denied = true;
  tokenForm.ask(scope, () => {
    denied = false;
    void refresh();
    void showPipelines();
  }, refusal);
}

/** @param {() => Promise<unknown>} act */
async function run(act) {
  say(error, '');
  try {
    await act();
    await refresh();
  } catch (refusal) {
    complain(refusal, 'control');
  }
}

/** @param {string} text @param {string} label @param {() => Promise<unknown>} act */
function button(text, label, act) {
  const made = make('button', { className: 'button small', text });
  made.type = 'button';
  made.setAttribute('aria-label', label);
  made.addEventListener('click', () => void run(act));
  return made;
}

/** @param {string} text @param {string} href @param {string} label */
function link(text, href, label) {
  const made = make('a', { text });
  made.href = href;
  made.setAttribute('aria-label', label);
  return made;
}

/** @param {Channel} channel */
function item({ channel, live, viewers, pipeline, moment, queue, paused }) {
  const facts = [
    live ? 'live' : 'offline', viewerWords(viewers), `pipeline ${pipelineWords(pipeline)}`, activityWords(moment),
    queue.length > 0 ? `${queue.length} waiting` : '', paused ? 'queue paused' : '',
  ];
  const head = make('div', { className: 'row-head' }, [
    make('strong', { className: 'grow', text: channel }),
    link('Watch', watchPath(channel), `Watch ${channel}`),
    link('Bridge', bridgePath(channel), `Bridge of ${channel}`),
    link('Moderate', modPath(channel), `Moderate ${channel}`),
  ]);
  const acts = make('div', { className: 'decide' }, [
    button('Stop AI now', `Stop AI now on ${channel}`, () => panic(channel)),
    button(paused ? 'Resume queue' : 'Pause queue', `${paused ? 'Resume' : 'Pause'} the queue of ${channel}`, () => setPaused(channel, !paused)),
  ]);
  if (moment) acts.append(button('Stop moment', `Stop the moment of ${channel}`, () => stop(moment)));
  return make('li', {}, [head, make('p', { className: 'quiet', text: facts.filter(Boolean).join(' · ') }), acts]);
}

function render() {
  const sums = totals(known);
  say(byId('channel-count', HTMLElement), String(sums.channels));
  say(byId('live-count', HTMLElement), String(sums.live));
  say(byId('viewer-count', HTMLElement), String(sums.viewers));
  say(byId('loaded-count', HTMLElement), String(sums.loaded));
  say(byId('waiting-count', HTMLElement), String(sums.waiting));
  show(words, known.length === 0);
  say(words, 'There is no channel at the moment.');
  const text = JSON.stringify(known.map(({ event: _, ...rest }) => rest));
  if (text === shown) return;
  shown = text;
  byId('channels', HTMLUListElement).replaceChildren(...known.map(item));
}

async function refresh() {
  if (denied || document.hidden) return;
  void showReady();
  try {
    known = await listChannels();
    render();
    void operator.refresh();
  } catch (refusal) {
    complain(refusal, 'watch');
  }
}

/** What `/readyz` says; an answer that is no yes names what is wrong. */
async function showReady() {
  const answer = await fetch('/readyz', { cache: 'no-store' }).then((response) => response.json(), () => null);
  const ready = answer?.ready === true;
  mark(byId('ready', HTMLElement), ready ? 'warm' : 'failed');
  say(byId('ready', HTMLElement), answer === null ? 'not reachable' : ready ? 'ready' : 'not ready');
  operator.draining(answer?.checks?.not_draining === false);
  const wrong = Object.entries(answer?.checks ?? {}).filter(([, well]) => well !== true).map(([check]) => check);
  show(byId('checks', HTMLElement), wrong.length > 0);
  say(byId('checks', HTMLElement), `No new sessions are taken: ${wrong.map((check) => WRONG[check] ?? check).join(', ')}.`);
}

async function showPipelines() {
  try {
    /** @type {{ pipelines: Stage[] }} */
    const { pipelines } = await json('GET', '/v1/pipelines', 'watch');
    const items = pipelines.map(({ name, available, reason }) => {
      const state = make('span', { className: 'badge', text: available ? 'can run' : 'cannot run' });
      state.dataset.state = available ? 'warm' : 'error';
      const head = make('div', { className: 'row-head' }, [make('strong', { className: 'grow', text: name }), state]);
      return make('li', {}, reason ? [head, make('p', { className: 'quiet', text: reason })] : [head]);
    });
    byId('pipelines', HTMLUListElement).replaceChildren(...items);
  } catch (refusal) {
    complain(refusal, 'watch');
  }
}

/** @param {string} name @param {string} text */
function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
  const file = make('a');
  file.href = url;
  file.download = name;
  file.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function showVersion() {
  const { version } = await serverVersion();
  say(byId('version', HTMLElement), version);
}

byId('csv', HTMLElement).addEventListener('click', () => save('channels.csv', channelsAsCsv(known)));
document.addEventListener('visibilitychange', () => void refresh());
setInterval(() => void refresh(), REFRESH_MS);
void refresh();
void showPipelines();
void showVersion().catch(() => {});
