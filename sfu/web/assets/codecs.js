/**
 * The order of codecs in an offer: the H264 every viewer can play comes first; pure.
 */

/** @typedef {{ mimeType: string, sdpFmtpLine?: string }} Codec */

/** Constrained baseline 3.1 in packetization mode 1 (RFC 6184), the server's own payload. */
const WANTED = /profile-level-id=42e01f/i;
const MODE_1 = /packetization-mode=1/;

/**
 * The same codecs, H264 first: constrained baseline with packetization mode 1, mode 1, the rest of H264, then the others
 * in their old order. Others stay in the offer, so that a server that wants H264 can name what it was offered instead.
 * @template {Codec} C
 * @param {readonly C[]} codecs
 * @returns {C[]}
 */
export function h264First(codecs) {
  return [...codecs].sort((a, b) => rank(a) - rank(b));
}

/** @param {Codec} codec */
function rank({ mimeType, sdpFmtpLine = '' }) {
  if (mimeType.toLowerCase() !== 'video/h264') return 3;
  if (!MODE_1.test(sdpFmtpLine)) return 2;
  return WANTED.test(sdpFmtpLine) ? 0 : 1;
}
