/**
 * Channel names and the paths that belong to a channel; no network, no DOM.
 */

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/** True for a name the server accepts: 1 to 64 of A-Z, a-z, 0-9, `_` and `-`. @param {string} name */
export function isChannel(name) {
  return NAME.test(name);
}

/**
 * The channel a page is about: the last segment of its path.
 * @param {string} pathname such as `/watch/lobby`
 * @returns {string | null} null when the segment is not a channel name
 */
export function channelFromPath(pathname) {
  const last = pathname.replace(/\/+$/, '').split('/').pop() ?? '';
  return isChannel(last) ? last : null;
}

/** @param {string} channel */
export const bridgePath = (channel) => `/bridge/${channel}`;
/** @param {string} channel */
export const watchPath = (channel) => `/watch/${channel}`;
/** @param {string} channel */
export const modPath = (channel) => `/mod/${channel}`;
/** The page to sign in on, which leads back. @param {string} path of this page, with its query */
export const accountPath = (path) => `/account?to=${encodeURIComponent(path)}`;

/** A path on this server, or null for what leads anywhere else. @param {string} path */
export function pathWithin(path) {
  const here = 'https://here.invalid';
  if (!path.startsWith('/') || !URL.canParse(path, here)) return null;
  const url = new URL(path, here);
  return url.origin === here ? url.pathname + url.search : null;
}

/** The WHIP endpoint (RFC 9725). @param {string} channel */
export const whipPath = (channel) => `/whip/${channel}`;
/** The WHEP endpoint; the session waits for a publisher when there is none. @param {string} channel */
export const whepPath = (channel) => `/whep/${channel}?wait=1`;
/** @param {string} channel */
export const apiPath = (channel) => `/v1/channels/${channel}`;
/** @param {string} channel */
export const eventsPath = (channel) => `${apiPath(channel)}/events`;
/** @param {string} id */
export const momentPath = (id) => `/v1/moments/${encodeURIComponent(id)}`;
