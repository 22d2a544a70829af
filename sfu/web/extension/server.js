/**
 * The server that this extension belongs to; '' where the streamer names one on the configuration page.
 * A server that knows its public address writes it here when it packs the extension.
 */
export const SERVER = '';
