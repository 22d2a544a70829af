/**
 * Twitch's helper, which every page of an extension loads before its own scripts, with the part that is used here typed.
 */

/** @typedef {{ channelId: string, clientId: string, token: string, userId: string }} Authorized */
/** @typedef {{ sku: string, displayName: string, cost: { amount: string | number, type: string } }} BitsProduct */
/**
 * @typedef {object} Helper
 * @property {{ id: string | null, onChanged: (heard: () => void) => void }} viewer `id` is null until the viewer shares who they are
 * @property {{ requestIdShare: () => void }} actions
 * @property {(heard: (authorized: Authorized) => void) => void} onAuthorized called again with a fresh token before one expires
 * @property {(heard: (context: { theme?: 'light' | 'dark' }) => void) => void} onContext
 * @property {{ broadcaster?: { content: string }, onChanged: (heard: () => void) => void,
 *   set: (segment: 'broadcaster', version: string, content: string) => void }} configuration
 * @property {{ getProducts: () => Promise<BitsProduct[]>, useBits: (sku: string) => void,
 *   onTransactionComplete: (heard: (transaction: import('../assets/till.js').Transaction) => void) => void,
 *   onTransactionCancelled: (heard: () => void) => void }} bits
 */

/** The helper; throws where the page is opened outside of Twitch. @returns {Helper} */
export function helper() {
  const { Twitch } = /** @type {any} */ (window);
  if (!Twitch?.ext) throw new Error('This page works only inside of Twitch.');
  return Twitch.ext;
}

/** Wears the colours of the page around. @param {Helper} ext */
export function followTheme(ext) {
  ext.onContext(({ theme }) => {
    if (theme) document.documentElement.dataset.scheme = theme;
  });
}

/** The server that the streamer has named, '' before. @param {Helper} ext */
export function namedServer(ext) {
  try {
    const { server } = JSON.parse(ext.configuration.broadcaster?.content ?? '{}');
    return typeof server === 'string' ? server : '';
  } catch {
    return '';
  }
}
