/**
 * What streamers and moderators ask of the server. A change names the version of the moment that was looked at, so that nobody
 * decides about something that has changed meanwhile.
 */

import { ApiError, json, request } from './api.js';
import { apiPath, momentPath } from './route.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./moments.js').QueueView} QueueView */
/** @typedef {{ driver: 'server' | 'bridge' }} Settings */

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

/** Lets a moment into the queue. @param {Moment} moment @param {{ keepalive?: boolean }} [how] */
export const approve = (moment, how) => act(moment, 'approve', undefined, how);

/** Turns a moment down. @param {Moment} moment @param {string} reason for its viewer @param {{ keepalive?: boolean }} [how] */
export const reject = (moment, reason, how) => act(moment, 'reject', { reason }, how);

/** Says that what is shown may be this moment's. @param {Moment} moment */
export const start = (moment) => act(moment, 'start');

/** Gives a waiting moment another place, counted from 1. @param {Moment} moment @param {number} position */
export const move = (moment, position) => act(moment, 'move', { position });

/** Ends a running moment or takes a waiting one out of the queue. @param {Moment} moment */
export const stop = (moment) => act(moment, 'stop');

/** @param {string} channel @param {boolean} paused @returns {Promise<QueueView>} */
export function setPaused(channel, paused) {
  return json('POST', `${apiPath(channel)}/queue/${paused ? 'pause' : 'resume'}`, 'control');
}

/** Brings the camera back at once and starts nothing more. @param {string} channel @returns {Promise<QueueView>} */
export function panic(channel) {
  return json('POST', `${apiPath(channel)}/panic`, 'control');
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
 * @param {{ keepalive?: boolean }} [how]
 * @returns {Promise<Moment>}
 */
function act({ id, version }, what, body, how) {
  return json('POST', `${momentPath(id)}/${what}`, 'control', body, { headers: { 'If-Match': `"${version}"` }, ...how });
}
