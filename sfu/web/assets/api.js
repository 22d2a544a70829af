/**
 * Requests to the server with the right token, and its answers: JSON, or an error read from problem+json (RFC 9457).
 */

import { atHome, isHome } from './home.js';
import { apiPath, momentPath } from './route.js';
import { tokens } from './token.js';

/** @typedef {import('./token.js').Scope} Scope */
/** @typedef {'submitted' | 'pending_approval' | 'queued' | 'warming' | 'active'} OpenState */
/** @typedef {'completed' | 'rejected' | 'expired' | 'failed' | 'cancelled'} EndState */
/** @typedef {OpenState | EndState} MomentState */
/**
 * A prompt shown to everybody for a while. Times are milliseconds since 1970 on the server's clock.
 * @typedef {object} Moment
 * @property {string} id
 * @property {string} channel
 * @property {string} prompt
 * @property {string} pipeline
 * @property {MomentState} state
 * @property {number} duration_s
 * @property {number} version grows with every change of this moment
 * @property {number | null} position place in the queue, from 1
 * @property {number} created_at
 * @property {number | null} active_at
 * @property {number | null} ends_at
 * @property {number | null} ended_at
 * @property {string | null} reason why it ended, when it did not just complete
 * @property {string | null} [viewer] the name of who asked for it, where it is known
 * @property {string} [source] what it is paid with: `bits`, `credit`, `free` or `streamer`
 * @property {string} [sku] the product; '' for the streamer's own
 * @property {number} [price] in Bits or credits
 * @property {string} [compensation] what its viewer got back: `none` or `credited`
 */
/**
 * The answer to a wish for a moment. `intent` is what a payment names; there is none where nothing is to be paid.
 * @typedef {Moment & { intent?: string | null, eta_s?: number | null, needs_approval?: boolean }} Submitted
 */
/** Something a viewer can ask for; `price` is 0 when it costs nothing. @typedef {{ sku: string, name: string, price: number, seconds: number | null }} Product */
/** @typedef {'cold' | 'loading' | 'warm' | 'active' | 'error'} PipelineState */
/** @typedef {{ state: PipelineState, name: string | null, reason: string | null }} Pipeline */
/**
 * @typedef {object} Channel
 * @property {string} channel
 * @property {boolean} live
 * @property {number} viewers
 * @property {boolean} audio
 * @property {boolean} video
 * @property {string[]} warnings what is wrong with what the publisher sends, though it is shown
 * @property {number} event number of the last event this state includes
 * @property {Pipeline} pipeline
 * @property {string[]} pipelines
 * @property {string} default_pipeline
 * @property {Moment | null} moment the warming or active one
 * @property {Moment[]} queue
 * @property {boolean} [paused] nothing of the queue is started
 * @property {Moment[]} [pending] in review; only where the server tells whoever asks
 * @property {Moment | null} last the one that ended most recently
 */

/** A refused or failed request; `message` is fit to be shown. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, 0 when no answer came
   * @param {string} message
   * @param {number | null} [retryAfterMs] what Retry-After asked for
   */
  constructor(status, message, retryAfterMs = null) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    /** The moment as it is now, where a request was about an older version. @type {Moment | null} */
    this.moment = null;
  }

  /** True when another token could help. */
  get isDenied() {
    return this.status === 401 || this.status === 403;
  }
}

/** The error a response stands for. @param {Response} response @returns {Promise<ApiError>} */
export async function errorFrom(response) {
  const wait = Number(response.headers.get('Retry-After'));
  const retryAfterMs = wait > 0 ? wait * 1000 : null;
  /** @type {{ title?: unknown, detail?: unknown, moment?: Moment }} */
  const problem = await response.json().catch(() => ({}));
  const words = [problem?.detail, problem?.title].find((text) => typeof text === 'string' && text !== '');
  const error = new ApiError(response.status, String(words ?? `the server answered ${response.status}`), retryAfterMs);
  error.moment = problem?.moment ?? null;
  return error;
}

/** How long nobody is taken to be signed in after the server said so. */
const STRANGER_MS = 60_000;
let strangerUntil = 0;
/** @type {Promise<boolean> | null} */
let renewal = null;

/**
 * Has the cookies of whoever signed in on this browser renewed, once for all who ask at the same time. False where nobody has.
 * @returns {Promise<boolean>}
 */
export function renewSession() {
  if (!isHome() || Date.now() < strangerUntil) return Promise.resolve(false);
  renewal ??= renew().finally(() => {
    renewal = null;
  });
  return renewal;
}

async function renew() {
  const wanted = fetch(atHome('/v1/auth/refresh'), { method: 'POST', cache: 'no-store', credentials: 'same-origin' });
  const renewed = await wanted.then(({ ok }) => ok, () => false);
  if (!renewed) strangerUntil = Date.now() + STRANGER_MS;
  return renewed;
}

/**
 * @typedef {object} RequestOptions
 * @property {Scope | null} scope which token to send, null for none
 * @property {string} [body]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {boolean} [keepalive] lets the request outlive the page
 */

/**
 * One request. Throws `ApiError` for every status outside 200-299 and for a network failure (status 0).
 * @param {string} method
 * @param {string} path on this server
 * @param {RequestOptions} options
 * @returns {Promise<Response>}
 */
export async function request(method, path, { scope, body, headers = {}, signal, keepalive }) {
  const token = scope && tokens.get(scope);
  const all = !token ? headers : { ...headers, Authorization: `Bearer ${token}` };
  // Whoever signed in on this server is known by a cookie; other servers are sent none.
  const credentials = 'same-origin';
  const ask = () => fetch(atHome(path), { method, body, headers: all, signal, keepalive, cache: 'no-store', credentials });
  /** @type {Response} */
  let response;
  try {
    response = await ask();
    // A session is for minutes; nothing was done for one that was over.
    const mayBeOld = response.status === 401 && !token && !path.startsWith('/v1/auth/');
    if (mayBeOld && (await renewSession())) response = await ask();
  } catch (error) {
    if (signal?.aborted && signal.reason?.name !== 'TimeoutError') throw error;
    throw new ApiError(0, 'the server cannot be reached');
  }
  if (!response.ok) throw await errorFrom(response);
  if (scope) tokens.confirm(scope);
  return response;
}

/**
 * A request with JSON both ways.
 * @param {string} method
 * @param {string} path
 * @param {Scope | null} scope
 * @param {object} [body]
 * @param {{ headers?: Record<string, string>, keepalive?: boolean }} [options]
 */
export async function json(method, path, scope, body, { headers = {}, keepalive } = {}) {
  const response = await request(method, path, {
    scope,
    body: body && JSON.stringify(body),
    headers: body ? { 'Content-Type': 'application/json', ...headers } : headers,
    signal: keepalive ? undefined : AbortSignal.timeout(15_000),
    keepalive,
  });
  return response.json();
}

/** Every channel the server knows. @returns {Promise<Channel[]>} */
export async function listChannels() {
  return (await json('GET', '/v1/channels', 'watch')).channels;
}

/** The server's name and version. @returns {Promise<{ name: string, version: string, commit?: string }>} */
export function serverVersion() {
  return json('GET', '/version', null);
}

/**
 * Puts a moment in the queue.
 * @param {string} channel
 * @param {{ prompt: string, duration_s?: number, pipeline?: string }} wish
 * @returns {Promise<Moment>}
 */
export function startMoment(channel, wish) {
  return json('POST', `${apiPath(channel)}/moments`, 'control', wish);
}

/** @param {string} id @returns {Promise<Moment>} */
export function readMoment(id) {
  return json('GET', momentPath(id), 'watch');
}

/** Gives the transformation's resources back. @param {string} channel @returns {Promise<{ pipeline: Pipeline }>} */
export function cool(channel) {
  return json('POST', `${apiPath(channel)}/cool`, 'control');
}
