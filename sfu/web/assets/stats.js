/**
 * Numbers a person can read from two getStats reports; pure.
 */

/** @typedef {Iterable<Record<string, any>>} Report */

/**
 * @typedef {object} Outbound
 * @property {number | null} kbps sent video bits per second, in thousands
 * @property {number | null} fps
 * @property {number | null} rttMs
 * @property {number | null} loss share of sent packets the server missed, 0 to 1
 * @property {string | null} size such as `1280x720`
 * @property {string | null} limit what holds the encoder back: `none`, `cpu`, `bandwidth` or `other`
 * @property {string | null} codec such as `H264`
 */
/**
 * @typedef {object} Inbound
 * @property {number | null} kbps
 * @property {number | null} fps
 * @property {number | null} rttMs
 * @property {number | null} loss
 * @property {string | null} size
 * @property {number | null} latencyMs jitter buffer delay plus half the round trip: an estimate of network and buffer only
 * @property {number} frames decoded since the beginning
 * @property {string | null} codec
 */

/** What is sent, from this report and the one before. @param {Report} report @param {Report | null} before @returns {Outbound} */
export function outbound(report, before) {
  const now = pick(report, 'outbound-rtp');
  const then = before && pick(before, 'outbound-rtp');
  const remote = pick(report, 'remote-inbound-rtp');
  return {
    kbps: rate(now, then, 'bytesSent', 8 / 1000),
    fps: number(now?.framesPerSecond),
    rttMs: roundTrip(report, remote),
    loss: number(remote?.fractionLost),
    size: size(now),
    limit: typeof now?.qualityLimitationReason === 'string' ? now.qualityLimitationReason : null,
    codec: codec(report, now),
  };
}

/** What is received, from this report and the one before. @param {Report} report @param {Report | null} before @returns {Inbound} */
export function inbound(report, before) {
  const now = pick(report, 'inbound-rtp');
  const then = before && pick(before, 'inbound-rtp');
  const rttMs = roundTrip(report, null);
  const buffer = ratio(now, then, 'jitterBufferDelay', 'jitterBufferEmittedCount');
  return {
    kbps: rate(now, then, 'bytesReceived', 8 / 1000),
    fps: number(now?.framesPerSecond),
    rttMs,
    loss: lossSince(now, then),
    size: size(now),
    latencyMs: buffer === null ? null : buffer * 1000 + (rttMs ?? 0) / 2,
    frames: number(now?.framesDecoded) ?? 0,
    codec: codec(report, now),
  };
}

/** The video entry of a type. @param {Report} report @param {string} type */
function pick(report, type) {
  for (const entry of report) {
    if (entry.type === type && entry.kind === 'video') return entry;
  }
  return undefined;
}

/** @typedef {Record<string, any> | null | undefined} Entry */

/** Growth of a counter per second, scaled. @param {Entry} now @param {Entry} then @param {string} field @param {number} scale */
function rate(now, then, field, scale) {
  const grown = growth(now, then, field);
  const seconds = now && then ? (now.timestamp - then.timestamp) / 1000 : 0;
  return grown === null || seconds <= 0 ? null : (grown * scale) / seconds;
}

/** Growth of one counter per growth of another. @param {Entry} now @param {Entry} then @param {string} sum @param {string} count */
function ratio(now, then, sum, count) {
  const added = growth(now, then, sum);
  const times = growth(now, then, count);
  return added === null || times === null || times === 0 ? null : added / times;
}

/** @param {Entry} now @param {Entry} then */
function lossSince(now, then) {
  const lost = growth(now, then, 'packetsLost');
  const received = growth(now, then, 'packetsReceived');
  if (lost === null || received === null || lost + received <= 0) return null;
  return Math.max(0, lost) / (lost + received);
}

/** How much a counter of the same RTP stream has grown; null across a new stream. @param {Entry} now @param {Entry} then @param {string} field */
function growth(now, then, field) {
  if (!now || !then || now.id !== then.id) return null;
  const end = number(now[field]);
  const start = number(then[field]);
  return end === null || start === null ? null : end - start;
}

/** @param {Report} report @param {Entry} remote */
function roundTrip(report, remote) {
  const fromRtcp = number(remote?.roundTripTime);
  if (fromRtcp !== null) return fromRtcp * 1000;
  for (const entry of report) {
    if (entry.type !== 'candidate-pair' || !entry.nominated) continue;
    const seconds = number(entry.currentRoundTripTime);
    if (seconds !== null) return seconds * 1000;
  }
  return null;
}

/** @param {Entry} entry */
function size(entry) {
  return entry?.frameWidth ? `${entry.frameWidth}x${entry.frameHeight}` : null;
}

/** @param {Report} report @param {Entry} entry */
function codec(report, entry) {
  for (const candidate of report) {
    if (candidate.id === entry?.codecId && candidate.type === 'codec') return candidate.mimeType.replace(/^video\//, '');
  }
  return null;
}

/** @param {unknown} value */
function number(value) {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
