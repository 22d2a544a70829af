/**
 * Who somebody is to the server. Its pages have cookies, which no script reads.
 */

import { json, request } from './api.js';

/** How one can sign in. @typedef {{ password: boolean, registration: boolean, twitch: boolean }} Ways */
/**
 * Who is signed in; the channel `*` stands for the whole server.
 * @typedef {{ subject: string, email?: string | null, twitch_user: string | null, roles: Array<{ channel: string, role: string }> }} Me
 */

/** @returns {Promise<Ways>} */
export const waysIn = () => json('GET', '/v1/auth', null);

/** Rejects with a 401 where nobody is signed in. @returns {Promise<Me>} */
export const me = () => json('GET', '/v1/me', null);

/** @param {string} email @param {string} password */
export const signIn = (email, password) => json('POST', '/v1/auth/login', null, { email, password, cookie: true });

/** Makes an account with a channel of its own. @param {string} email @param {string} password @param {string} channel */
export const signUp = (email, password, channel) => json('POST', '/v1/auth/register', null, { email, password, channel, cookie: true });

export async function signOut() {
  await request('POST', '/v1/auth/logout', { scope: null });
}

/** A link for a program. @param {'dock' | 'overlay'} kind @param {string} channel @returns {Promise<{ url: string, expires_at: number }>} */
export const link = (kind, channel) => json('POST', '/v1/tokens', null, { kind, channel });
