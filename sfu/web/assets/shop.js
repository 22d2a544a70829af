/**
 * What a viewer asks of the server: what there is, a moment, and that a payment be counted.
 */

import { ApiError, json } from './api.js';
import { apiPath, momentPath } from './route.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./api.js').Product} Product */
/** @typedef {import('./api.js').Submitted} Submitted */

/** What a channel offers; nothing where the server sells nothing. @param {string} channel @returns {Promise<Product[]>} */
export async function products(channel) {
  try {
    return productsIn(await json('GET', `${apiPath(channel)}/products`, 'watch'));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}

/** The products of an answer; what cannot be offered is left out. @param {any} answer @returns {Product[]} */
export function productsIn(answer) {
  const listed = Array.isArray(answer?.products) ? answer.products : [];
  return listed.flatMap((/** @type {any} */ { sku, name, price, duration_s }) => {
    if (typeof sku !== 'string' || sku === '') return [];
    return [{ sku, name: name || sku, price: Number(price) || 0, seconds: duration_s ?? null }];
  });
}

/**
 * Asks for a moment. Sent twice with the same key it is one.
 * @param {string} channel
 * @param {{ prompt: string, sku?: string, pay?: 'credit' }} wanted
 * @param {string} key
 * @returns {Promise<Submitted>}
 */
export function ask(channel, wanted, key) {
  return json('POST', `${apiPath(channel)}/moments`, 'control', wanted, { headers: { 'Idempotency-Key': key } });
}

/** What a payment for this moment is to name. @param {string} moment @returns {Promise<string>} */
export async function intentOf(moment) {
  return (await json('POST', `${momentPath(moment)}/intent`, 'control')).intent;
}

/** Has a payment with Bits counted. @param {string} moment @param {{ intent: string | null, receipt: string }} payment */
export async function sendReceipt(moment, payment) {
  await json('POST', `${momentPath(moment)}/receipt`, 'control', payment);
}

/** Pays with credits. @param {string} moment */
export async function useCredit(moment) {
  await json('POST', `${momentPath(moment)}/credit`, 'control');
}

/** The credits of whoever asks, in a channel; null for somebody who is not signed in. @param {string} channel @returns {Promise<number | null>} */
export async function credits(channel) {
  try {
    const answer = await json('GET', `/v1/me/credits?channel=${channel}`, 'control');
    return Number(answer.credits) || 0;
  } catch (error) {
    if (error instanceof ApiError && (error.isDenied || error.status === 404)) return null;
    throw error;
  }
}

/** Takes one's own moment back. @param {string} moment @returns {Promise<Moment>} */
export function cancel(moment) {
  return json('POST', `${momentPath(moment)}/cancel`, 'control');
}

/** A session for the token that Twitch's helper gave the panel. @param {string} token @returns {Promise<{ token: string, channel: string | null, expires_in: number }>} */
export function enter(token) {
  return json('POST', '/v1/auth/twitch-ext', null, { token });
}
