/**
 * The front page: opens a channel by name and lists the live ones.
 */

import { ApiError, listChannels, serverVersion } from './api.js';
import { bridgePath, isChannel, watchPath } from './route.js';
import { adoptTokenFromAddress } from './token.js';
import { TokenForm } from './tokenform.js';
import { byId, make, mark, messageOf, say, show } from './ui.js';
import { activityWords, viewerWords } from './words.js';

/** @typedef {import('./api.js').Channel} Channel */

const REFRESH_MS = 5_000;

adoptTokenFromAddress();
const tokenForm = new TokenForm();
const name = byId('channel-name', HTMLInputElement);
const links = { watch: byId('open-watch', HTMLAnchorElement), bridge: byId('open-bridge', HTMLAnchorElement) };
const list = byId('channels', HTMLUListElement);
const words = byId('live-words', HTMLElement);
/** What the list shows, as text, so that focus in it survives a refresh without news. */
let shown = '';
let denied = false;

function updateLinks() {
  const channel = name.value.trim();
  const valid = isChannel(channel);
  name.setAttribute('aria-invalid', String(!valid));
  mark(byId('channel-hint', HTMLElement), valid ? 'fits' : 'over');
  setLink(links.watch, valid ? watchPath(channel) : null);
  setLink(links.bridge, valid ? bridgePath(channel) : null);
}

/** @param {HTMLAnchorElement} link @param {string | null} path null disables the link */
function setLink(link, path) {
  if (path === null) link.removeAttribute('href');
  else link.href = path;
  link.setAttribute('aria-disabled', String(path === null));
}

/** @param {Channel} channel */
function item(channel) {
  const watch = make('a', { className: 'grow', text: channel.channel });
  watch.href = watchPath(channel.channel);
  const bridge = make('a', { className: 'quiet', text: 'Bridge' });
  bridge.href = bridgePath(channel.channel);
  bridge.setAttribute('aria-label', `Bridge of ${channel.channel}`);
  const text = [viewerWords(channel.viewers), activityWords(channel.moment)].filter(Boolean).join(' · ');
  const state = make('span', { className: 'quiet', text });
  return make('li', {}, [watch, state, bridge]);
}

/** @param {Channel[]} channels */
function render(channels) {
  const live = channels.filter((channel) => channel.live);
  show(words, live.length === 0);
  say(words, 'Nobody is live at the moment.');
  const text = JSON.stringify(live.map(({ channel, viewers, moment }) => [channel, viewers, moment?.state]));
  if (text === shown) return;
  shown = text;
  list.replaceChildren(...live.map(item));
}

async function refresh() {
  if (denied || document.hidden) return;
  try {
    render(await listChannels());
  } catch (error) {
    say(words, messageOf(error));
    show(words, true);
    if (error instanceof ApiError && error.isDenied) askToken(error);
  }
}

/** @param {ApiError} error */
function askToken(error) {
  denied = true;
  const retry = () => {
    denied = false;
    void refresh();
  };
  tokenForm.ask('watch', retry, error);
}

async function showVersion() {
  try {
    const { name: product, version, commit } = await serverVersion();
    say(byId('version', HTMLElement), [product, version, commit?.slice(0, 12)].filter(Boolean).join(' '));
  } catch {
    // The footer is only a courtesy.
  }
}

name.addEventListener('input', updateLinks);
byId('channel-form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  if (links.watch.href) location.assign(links.watch.href);
});
document.addEventListener('visibilitychange', () => void refresh());
setInterval(() => void refresh(), REFRESH_MS);
updateLinks();
void refresh();
void showVersion();
