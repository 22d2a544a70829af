/**
 * Watching over WHEP (draft-ietf-wish-whep): builds the offer and gathers what arrives into one stream.
 */

import { h264First } from './codecs.js';
import { iceServers } from './ice.js';
import { whepPath } from './route.js';
import { negotiate } from './session.js';

/** @typedef {import('./session.js').Session} Session */

/**
 * Watches a channel. The session waits when nobody publishes, and goes on when the publisher comes back.
 * @param {string} channel
 * @param {MediaStream} into receives the tracks as they come; emptied first
 * @param {AbortSignal} signal
 * @returns {Promise<Session>}
 */
export async function subscribe(channel, into, signal) {
  const servers = await iceServers(whepPath(channel), 'watch');
  signal.throwIfAborted();
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle', iceServers: servers });
  for (const track of into.getTracks()) into.removeTrack(track);
  pc.addEventListener('track', ({ track }) => into.addTrack(track));
  pc.addTransceiver('audio', { direction: 'recvonly' });
  const video = pc.addTransceiver('video', { direction: 'recvonly' });
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs;
  if (codecs) video.setCodecPreferences(h264First(codecs));
  return negotiate(pc, whepPath(channel), 'watch', signal);
}
