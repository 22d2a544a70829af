/**
 * One WHIP or WHEP session: the offer and answer over HTTP (RFC 9725, section 4.2) and the end by DELETE.
 */

import { ApiError, request } from './api.js';
import { atHome, homeOrigin } from './home.js';

/** @typedef {import('./token.js').Scope} Scope */

/** What helps where the browser lacks a codec; Firefox has H264 only by its plugin, which some systems leave out. */
const OTHER_BROWSER =
  'This browser offers no codec that the server takes: use another browser, such as Chrome, Edge or Safari; in Firefox, turn on the OpenH264 plugin under about:addons.';

/** A negotiated peer connection and the URL that ends it. */
export class Session {
  #scope;
  #closed = false;

  /** @param {RTCPeerConnection} pc @param {string} url path of the session @param {Scope} scope */
  constructor(pc, url, scope) {
    this.pc = pc;
    this.url = url;
    this.#scope = scope;
  }

  /**
   * Ends both sides. A session the server has already forgotten, or a server that is gone, is no error.
   * @param {{ keepalive?: boolean }} [options] keepalive when the page is going away
   */
  async close({ keepalive = false } = {}) {
    if (this.#closed) return;
    this.#closed = true;
    this.pc.close();
    await remove(this.url, this.#scope, keepalive);
  }
}

/**
 * Sends the offer of a prepared peer connection and applies the answer. Candidates are not waited for: the server learns
 * this side's address from its first binding request. Closes the connection when it throws.
 * @param {RTCPeerConnection} pc
 * @param {string} endpoint
 * @param {Scope} scope
 * @param {AbortSignal} signal
 * @param {(answer: string) => string} [tune] changes the answer before it is applied
 * @returns {Promise<Session>}
 */
export async function negotiate(pc, endpoint, scope, signal, tune = (answer) => answer) {
  /** @type {string | null} */
  let url = null;
  try {
    await pc.setLocalDescription();
    const offer = pc.localDescription?.sdp ?? '';
    // The request is not tied to `signal`: an answer that comes too late names a session that must be deleted.
    const response = await request('POST', endpoint, {
      scope,
      body: offer,
      headers: { 'Content-Type': 'application/sdp', Accept: 'application/sdp' },
      signal: AbortSignal.timeout(15_000),
    });
    url = sessionPath(response.headers.get('Location'), endpoint);
    const answer = await response.text();
    signal.throwIfAborted();
    await pc.setRemoteDescription({ type: 'answer', sdp: tune(answer) });
    return new Session(pc, url, scope);
  } catch (error) {
    pc.close();
    if (url) void remove(url, scope, false);
    throw advised(error);
  }
}

/** The error with what a person can do about it, where the server cannot know that. @param {unknown} error */
function advised(error) {
  return error instanceof ApiError && error.status === 406 ? new ApiError(406, `${error.message}. ${OTHER_BROWSER}`) : error;
}

/** @param {string | null} header @param {string} endpoint */
function sessionPath(header, endpoint) {
  if (!header) throw new ApiError(502, 'the server did not name the session');
  const url = new URL(header, new URL(atHome(endpoint), location.href));
  // The token goes with every request to the session, so it must not lead to another server.
  if (url.origin !== homeOrigin()) throw new ApiError(502, 'the server named a session on another host');
  return url.pathname + url.search;
}

/** @param {string} url @param {Scope} scope @param {boolean} keepalive */
async function remove(url, scope, keepalive) {
  try {
    await request('DELETE', url, { scope, keepalive, signal: keepalive ? undefined : AbortSignal.timeout(5_000) });
  } catch {
    // It is gone already, or the server finds out by silence.
  }
}
