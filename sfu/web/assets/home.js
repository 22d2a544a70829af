/**
 * The server that the requests of a page go to: the one it came from, or another one for a page that lives elsewhere, such as
 * the panel in an extension of Twitch.
 */

let home = '';

/** Sends all requests to this server from now on. @param {string} origin such as `https://reverie.example` */
export function moveTo(origin) {
  home = origin.replace(/\/+$/, '');
}

/** The address of a path on that server. @param {string} path */
export function atHome(path) {
  return home + path;
}

/** Whether it is the one that the page came from, whose cookies go with each request. */
export function isHome() {
  return home === '';
}

/** The origin of that server. */
export function homeOrigin() {
  return new URL(home || location.href, location.href).origin;
}
