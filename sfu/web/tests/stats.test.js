import assert from 'node:assert/strict';
import { test } from 'node:test';

import { inbound, outbound } from '../assets/stats.js';

const PAIR = { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.04 };
const CODEC = { type: 'codec', id: 'C1', mimeType: 'video/H264' };

/** @param {number} timestamp @param {object} values */
function sent(timestamp, values) {
  const audio = { type: 'outbound-rtp', kind: 'audio', id: 'A', timestamp, bytesSent: 1 };
  return [PAIR, CODEC, audio, { type: 'outbound-rtp', kind: 'video', id: 'V', codecId: 'C1', timestamp, ...values }];
}

/** @param {number} timestamp @param {object} values */
function received(timestamp, values) {
  return [PAIR, CODEC, { type: 'inbound-rtp', kind: 'video', id: 'V', codecId: 'C1', timestamp, ...values }];
}

test('a publisher reads bitrate, rate, size, limit and what the server reports back', () => {
  const before = sent(1000, { bytesSent: 1000 });
  const now = [
    ...sent(3000, { bytesSent: 501_000, framesPerSecond: 30, frameWidth: 640, frameHeight: 360, qualityLimitationReason: 'bandwidth' }),
    { type: 'remote-inbound-rtp', kind: 'video', roundTripTime: 0.025, fractionLost: 0.03 },
  ];
  assert.deepEqual(outbound(now, before), {
    kbps: 2000, fps: 30, rttMs: 25, loss: 0.03, size: '640x360', limit: 'bandwidth', codec: 'H264',
  });
});

test('without a report back the round trip is that of the path, and unknown numbers stay unknown', () => {
  const first = outbound(sent(1000, { bytesSent: 1000 }), null);
  assert.deepEqual(first, { kbps: null, fps: null, rttMs: 40, loss: null, size: null, limit: null, codec: 'H264' });
  assert.equal(outbound([], null).rttMs, null);
});

test('a viewer reads the latency of buffer and path, from what was added since', () => {
  const before = received(1000, { jitterBufferDelay: 100, jitterBufferEmittedCount: 50, packetsLost: 5, packetsReceived: 100, bytesReceived: 0 });
  const now = received(2000, {
    jitterBufferDelay: 101.5, jitterBufferEmittedCount: 80, packetsLost: 6, packetsReceived: 199, bytesReceived: 125_000, framesDecoded: 90,
  });
  const numbers = inbound(now, before);
  assert.equal(numbers.latencyMs, 50 + 20);
  assert.equal(numbers.loss, 0.01);
  assert.equal(numbers.kbps, 1000);
  assert.equal(numbers.frames, 90);
});

test('a viewer whose picture stands still has no latency', () => {
  const still = received(1000, { jitterBufferDelay: 1, jitterBufferEmittedCount: 5 });
  assert.equal(inbound(received(2000, { jitterBufferDelay: 1, jitterBufferEmittedCount: 5 }), still).latencyMs, null);
});

test('another stream is not compared with the one before', () => {
  const before = received(1000, { bytesReceived: 9_000_000 });
  const now = received(2000, { bytesReceived: 10 }).map((entry) => ('id' in entry && entry.id === 'V' ? { ...entry, id: 'W' } : entry));
  assert.equal(inbound(now, before).kbps, null);
});
