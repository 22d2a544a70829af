/**
 * What streamers and moderators ask of the server. A change names the version of the moment that was looked at, so that nobody
 * decides about something that has changed meanwhile.
 */

import { ApiError, json, request } from './api.js';
import { apiPath, momentPath } from './route.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./moments.js').QueueView} QueueView */
/** @typedef {{ driver: 'server' | 'bridge' }} Settings */
/** `moment` names it; `until` is null until it is lifted. @typedef {{ moment: string, viewer: string | null, since: number, until: number | null }} Ban */
/** How it is asked: over the line where that takes commands, except by a page that goes away. @typedef {{ keepalive?: boolean, line?: import('./line.js').Line }} How */

/** The queue with what is in review; null where the server has no such thing to tell. @param {string} channel @returns {Promise<QueueView | null>} */
export async function readQueue(channel) {
  try {
    return await json('GET', `${apiPath(channel)}/queue`, 'control');
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** @param {string} channel @returns {Promise<Settings | null>} null where there are none */
export async function readSettings(channel) {
  try {
    return await json('GET', `${apiPath(channel)}/settings`, 'control');
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.isDenied)) return null;
    throw error;
  }
}

/** Lets a moment into the queue. @param {Moment} moment @param {How} [how] */
export const approve = (moment, how) => act(moment, 'approve', undefined, how);

/** Turns a moment down. @param {Moment} moment @param {string} reason for its viewer @param {How} [how] */
export const reject = (moment, reason, how) => act(moment, 'reject', { reason }, how);

/** Turns a moment down, and everything that its viewer asks for from now on. @param {Moment} moment @param {How} [how] */
export const ban = (moment, how) => act(moment, 'ban', undefined, how);

/** Says that what is shown may be this moment's. @param {Moment} moment @param {How} [how] */
export const start = (moment, how) => act(moment, 'start', undefined, how);

/** Gives a waiting moment another place, counted from 1. @param {Moment} moment @param {number} position @param {How} [how] */
export const move = (moment, position, how) => act(moment, 'move', { position }, how);

/** Ends a running moment or takes a waiting one out of the queue. @param {Moment} moment @param {How} [how] */
export const stop = (moment, how) => act(moment, 'stop', undefined, how);

/** @param {string} channel @param {boolean} paused @param {How} [how] @returns {Promise<QueueView>} */
export async function setPaused(channel, paused, { line } = {}) {
  const cmd = paused ? 'pause' : 'resume';
  if (line?.takesCommands) return (await line.command(cmd)).data;
  return json('POST', `${apiPath(channel)}/queue/${cmd}`, 'control');
}

/** Gets the transformation ready before it is needed. @param {string} channel @param {string} pipeline @param {How} [how] @returns {Promise<{ pipeline: import('./api.js').Pipeline }>} */
export async function warm(channel, pipeline, { line } = {}) {
  if (line?.takesCommands) return (await line.command('warm', { pipeline })).data;
  return json('POST', `${apiPath(channel)}/warm`, 'control', { pipeline });
}

/** Brings the camera back at once and starts nothing more. @param {string} channel @returns {Promise<QueueView>} */
export function panic(channel) {
  return json('POST', `${apiPath(channel)}/panic`, 'control');
}

/** The viewers of whom nothing is taken, the latest first. @param {string} channel @returns {Promise<Ban[]>} */
export async function bans(channel) {
  return (await json('GET', `${apiPath(channel)}/bans`, 'control')).bans;
}

/** Takes moments again of who was banned for this moment. @param {string} channel @param {string} moment */
export async function lift(channel, moment) {
  await request('DELETE', `${apiPath(channel)}/bans/${encodeURIComponent(moment)}`, { scope: 'control' });
}

/** Adds words to those that no prompt of the channel may have. @param {string} channel @param {string} words */
export async function blockWords(channel, words) {
  const path = `${apiPath(channel)}/blocklist`;
  const response = await request('GET', path, { scope: 'control' });
  const { entries = [] } = await response.json();
  if (entries.includes(words)) return;
  const tag = response.headers.get('ETag');
  await json('PUT', path, 'control', { entries: [...entries, words] }, { headers: tag ? { 'If-Match': tag } : {} });
}

/**
 * @param {Moment} moment
 * @param {string} what
 * @param {object} [body]
 * @param {How} [how]
 * @returns {Promise<Moment>}
 */
async function act({ id, version }, what, body, { keepalive, line } = {}) {
  if (line?.takesCommands && !keepalive) return (await line.command(what, { moment: id, version, ...body })).data;
  const headers = { 'If-Match': `"${version}"` };
  return json('POST', `${momentPath(id)}/${what}`, 'control', body, { headers, keepalive });
}
