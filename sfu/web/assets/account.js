/**
 * Signing in and out, and what whoever is signed in may do: their channels, and links for OBS.
 */

import { ApiError } from './api.js';
import { link, me, signIn, signOut, signUp, waysIn } from './identity.js';
import { bridgePath, modPath, pathWithin, watchPath } from './route.js';
import { announce, byId, make, messageOf, say, show } from './ui.js';

/** @typedef {import('./identity.js').Me} Me */

/** Where somebody goes on who was sent here to sign in. */
const goal = pathWithin(new URLSearchParams(location.search).get('to') ?? '');
const email = byId('email', HTMLInputElement);
const password = byId('password', HTMLInputElement);
const newChannel = byId('new-channel', HTMLInputElement);
const enter = byId('enter', HTMLButtonElement);
const other = byId('other', HTMLButtonElement);
let isNew = false;
let byTwitch = false;

/** Turns the form into the one for a new account, or back. @param {boolean} wanted */
function setNew(wanted) {
  isNew = wanted;
  say(byId('sign-in-title', HTMLElement), isNew ? 'Make an account' : 'Sign in');
  say(enter, isNew ? 'Make an account' : 'Sign in');
  say(other, isNew ? 'I have an account' : 'Make an account');
  password.autocomplete = isNew ? 'new-password' : 'current-password';
  show(byId('channel-label', HTMLElement), isNew);
  newChannel.required = isNew;
}

async function submit() {
  const error = byId('sign-in-error', HTMLElement);
  say(error, '');
  enter.disabled = true;
  try {
    if (isNew) await signUp(email.value, password.value, newChannel.value);
    else await signIn(email.value, password.value);
    password.value = '';
    if (goal) location.assign(goal);
    else await refresh();
  } catch (refusal) {
    say(error, messageOf(refusal));
  } finally {
    enter.disabled = false;
  }
}

/** Shows who is signed in, or the form. */
async function refresh() {
  const known = await whoIsHere();
  show(byId('sign-in-part', HTMLElement), known === null);
  show(byId('me-part', HTMLElement), known !== null);
  show(byId('link-part', HTMLElement), false);
  if (!known) return email.focus();
  announce('You are signed in.');
  say(byId('me-words', HTMLElement), known.email ?? (known.twitch_user ? `By Twitch, as user ${known.twitch_user}` : known.subject));
  byId('roles', HTMLUListElement).replaceChildren(...known.roles.map(({ channel, role }) => channel === '*' ? everywhere() : item(channel, role)));
}

/** @returns {Promise<Me | null>} */
async function whoIsHere() {
  try {
    return await me();
  } catch (error) {
    if (error instanceof ApiError && error.isDenied) return null;
    say(byId('sign-in-error', HTMLElement), messageOf(error));
    return null;
  }
}

function everywhere() {
  return make('li', {}, [make('div', { className: 'row-head' }, [make('strong', { className: 'grow', text: 'This server' }), anchor('Run it', '/admin')])]);
}

/** @param {string} channel @param {string} role */
function item(channel, role) {
  const owns = role !== 'mod';
  const head = make('div', { className: 'row-head' }, [
    make('strong', { className: 'grow', text: channel }), make('span', { className: 'quiet', text: role === 'mod' ? 'moderator' : role }),
  ]);
  const ways = make('div', { className: 'actions' }, [
    ...(owns ? [anchor('Bridge', bridgePath(channel))] : []), anchor('Moderate', modPath(channel)), anchor('Watch', watchPath(channel)),
    ...(owns ? [maker('dock', 'Dock for OBS', channel), maker('overlay', 'Overlay for OBS', channel)] : []),
    ...(owns && byTwitch ? [anchor('Tie to Twitch', `/v1/auth/twitch/start?channel=${channel}`)] : []),
  ]);
  return make('li', {}, [head, ways]);
}

/** @param {string} text @param {string} path */
function anchor(text, path) {
  const found = make('a', { className: 'button small', text });
  found.href = path;
  return found;
}

/** A button that makes a link. @param {'dock' | 'overlay'} kind @param {string} text @param {string} channel */
function maker(kind, text, channel) {
  const button = make('button', { className: 'button small', text });
  button.type = 'button';
  button.addEventListener('click', () => void showLink(kind, channel));
  return button;
}

/** @param {'dock' | 'overlay'} kind @param {string} channel */
async function showLink(kind, channel) {
  const error = byId('me-error', HTMLElement);
  say(error, '');
  try {
    const { url, expires_at: until } = await link(kind, channel);
    const input = byId('link', HTMLInputElement);
    input.value = new URL(url, location.href).href;
    const use = kind === 'dock' ? 'For Docks, Custom Browser Docks' : 'For a browser source';
    say(byId('link-words', HTMLElement), `${use}; good until ${new Date(until).toLocaleDateString()}. Whoever has it may use it.`);
    show(byId('link-part', HTMLElement), true);
    input.select();
  } catch (refusal) {
    say(error, messageOf(refusal));
  }
}

async function copy() {
  const input = byId('link', HTMLInputElement);
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
    announce('Copied.');
  } catch {
    // Without HTTPS there is no clipboard for pages: it is marked, and the keyboard copies it.
    announce('Marked; copy it with the keyboard.');
  }
}

async function leave() {
  try {
    await signOut();
    await refresh();
  } catch (error) {
    say(byId('me-error', HTMLElement), messageOf(error));
  }
}

async function begin() {
  const ways = await waysIn();
  byTwitch = ways.twitch;
  show(byId('closed', HTMLElement), !ways.password);
  if (!ways.password) return;
  show(other, ways.registration);
  show(byId('by-twitch', HTMLElement), ways.twitch);
  await refresh();
}

byId('sign-in', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  void submit();
});
other.addEventListener('click', () => setNew(!isNew));
byId('leave', HTMLElement).addEventListener('click', () => void leave());
byId('copy', HTMLElement).addEventListener('click', () => void copy());
begin().catch((error) => {
  say(byId('sign-in-error', HTMLElement), messageOf(error));
  show(byId('sign-in-part', HTMLElement), true);
});
