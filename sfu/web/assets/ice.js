/**
 * The STUN and TURN servers that the server names in `Link` headers (RFC 9725, section 4.6).
 * They are asked for with OPTIONS before the offer, because browsers take no new ones once they gather candidates.
 */

import { request } from './api.js';
import { tokens } from './token.js';

/** @typedef {import('./token.js').Scope} Scope */

/** A session can do without them, so they are not waited for longer. */
const PATIENCE_MS = 3_000;

/** The servers for one endpoint; none when they cannot be had. @param {string} endpoint @param {Scope} scope @returns {Promise<RTCIceServer[]>} */
export async function iceServers(endpoint, scope) {
  const token = tokens.get(scope);
  try {
    // Anybody may ask, so an answer does not show that the token is right, and is not told to the store.
    const response = await request('OPTIONS', endpoint, {
      scope: null,
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return iceServersIn(response.headers.get('Link') ?? '');
  } catch {
    return [];
  }
}

/** The servers of a `Link` header (RFC 8288), whose links stand between commas. @param {string} header @returns {RTCIceServer[]} */
export function iceServersIn(header) {
  const links = header.matchAll(/<([^>]*)>((?:\s*;\s*[^\s=;,]+(?:=(?:"[^"]*"|[^\s",;]*))?)*)/g);
  return [...links].flatMap(([, urls, rest]) => {
    const parameters = new Map(
      [...rest.matchAll(/;\s*([^\s=;,]+)(?:=(?:"([^"]*)"|([^\s",;]*)))?/g)].map(([, name, quoted, bare]) => [
        name.toLowerCase(),
        quoted ?? bare ?? '',
      ]),
    );
    if (parameters.get('rel') !== 'ice-server') return [];
    const [username, credential] = [parameters.get('username'), parameters.get('credential')];
    return [username === undefined ? { urls } : { urls, username, credential }];
  });
}
