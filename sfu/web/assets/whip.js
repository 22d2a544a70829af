/**
 * Publishing over WHIP (RFC 9725): builds the offer of a stream and keeps its sending parameters.
 */

import { h264First, startingAt } from './codecs.js';
import { iceServers } from './ice.js';
import { whipPath } from './route.js';
import { negotiate } from './session.js';

/** @typedef {import('./session.js').Session} Session */
/** Limits of the sent video. @typedef {{ maxKbps: number, maxFps: number }} VideoLimits */

/** Of the highest bitrate, what a sender may start with before it has measured the network. */
const START_SHARE = 0.6;

/**
 * Publishes a stream's first audio and first video track.
 * Throws `ApiError` when the server refuses, for example 406 with what it takes when the browser has no H264.
 * @param {string} channel
 * @param {MediaStream} stream
 * @param {VideoLimits} limits
 * @param {AbortSignal} signal
 * @returns {Promise<Session>}
 */
export async function publish(channel, stream, limits, signal) {
  const servers = await iceServers(whipPath(channel), 'publish');
  signal.throwIfAborted();
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: servers });
  addAudio(pc, stream);
  addVideo(pc, stream, limits);
  const start = START_SHARE * limits.maxKbps;
  const session = await negotiate(pc, whipPath(channel), 'publish', signal, (answer) => startingAt(answer, start));
  try {
    await limitVideo(pc, limits);
  } catch {
    // The encodings of the offer carry the limits already; only the wish for motion over sharpness is lost.
  }
  return session;
}

/** @param {RTCPeerConnection} pc @param {MediaStream} stream */
function addAudio(pc, stream) {
  const [track] = stream.getAudioTracks();
  if (track) pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
}

/** @param {RTCPeerConnection} pc @param {MediaStream} stream @param {VideoLimits} limits */
function addVideo(pc, stream, limits) {
  const [track] = stream.getVideoTracks();
  if (!track) return;
  const transceiver = pc.addTransceiver(track, {
    direction: 'sendonly',
    streams: [stream],
    sendEncodings: [{ maxBitrate: limits.maxKbps * 1000, maxFramerate: limits.maxFps }],
  });
  const codecs = RTCRtpSender.getCapabilities('video')?.codecs;
  if (codecs) transceiver.setCodecPreferences(h264First(codecs));
}

/** Changes the limits of a running connection. A short network takes sharpness, not motion. @param {RTCPeerConnection} pc @param {VideoLimits} limits */
export async function limitVideo(pc, limits) {
  const sender = videoSender(pc);
  if (!sender) return;
  const parameters = sender.getParameters();
  parameters.degradationPreference = 'maintain-framerate';
  for (const encoding of parameters.encodings) {
    encoding.maxBitrate = limits.maxKbps * 1000;
    encoding.maxFramerate = limits.maxFps;
  }
  await sender.setParameters(parameters);
}

/**
 * Sends another stream over the same connection, without a new offer.
 * @param {RTCPeerConnection} pc
 * @param {MediaStream} stream
 * @returns {Promise<boolean>} false when the stream has other kinds of tracks than the connection: publish anew
 */
export async function replaceTracks(pc, stream) {
  const senders = pc.getTransceivers().map((transceiver) => transceiver.sender);
  const tracks = [...stream.getAudioTracks().slice(0, 1), ...stream.getVideoTracks().slice(0, 1)];
  if (senders.length !== tracks.length) return false;
  const pairs = tracks.map((track, index) => ({ track, sender: senders[index] }));
  if (pairs.some(({ track, sender }) => sender.track?.kind !== track.kind)) return false;
  await Promise.all(pairs.map(({ track, sender }) => sender.replaceTrack(track)));
  return true;
}

/** @param {RTCPeerConnection} pc */
function videoSender(pc) {
  return pc.getSenders().find((sender) => sender.track?.kind === 'video');
}
