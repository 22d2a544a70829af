// A publisher with simulcast layers and a plain viewer, put into pages under test as text.
// @ts-check
/* global document */

/**
 * Publishes a restless picture of 960x540 in three layers.
 * @param {string} whip endpoint
 * @returns {Promise<string>} path of the session
 */
export async function publishLayers(whip) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 960, height: 540 });
  const paint = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  // Noise that moves costs an encoder all that it may spend.
  const noise = paint.createImageData(240, 135);
  for (let i = 0; i < noise.data.length; i += 1) noise.data[i] = i % 4 === 3 ? 255 : Math.random() * 256;
  const tile = new OffscreenCanvas(240, 135);
  tile.getContext('2d')?.putImageData(noise, 0, 0);
  let drawn = 0;
  setInterval(() => {
    drawn += 1;
    paint.drawImage(tile, (drawn * 7) % 240, 0, 960, 540);
    paint.drawImage(tile, ((drawn * 7) % 240) - 960, 0, 960, 540);
  }, 100);
  const track = canvas.captureStream(10).getVideoTracks()[0];
  // On a busy machine a browser makes moving pictures smaller, and leaves out the largest layer.
  track.contentHint = 'detail';
  const peer = new RTCPeerConnection();
  peer.addTransceiver(track, {
    direction: 'sendonly',
    sendEncodings: [
      { rid: 'low', scaleResolutionDownBy: 4, maxBitrate: 120_000 },
      { rid: 'mid', scaleResolutionDownBy: 2, maxBitrate: 350_000 },
      { rid: 'high', scaleResolutionDownBy: 1, maxBitrate: 1_300_000 },
    ],
  });
  for (const transceiver of peer.getTransceivers()) {
    const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
    transceiver.setCodecPreferences(codecs.filter((c) => /H264|rtx/i.test(c.mimeType)));
  }
  await peer.setLocalDescription(await peer.createOffer());
  const headers = { 'Content-Type': 'application/sdp' };
  const answer = await fetch(whip, { method: 'POST', headers, body: peer.localDescription?.sdp });
  if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
  await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  return answer.headers.get('Location') ?? '';
}

/**
 * Watches a channel in the page's own video element.
 * @param {string} whep endpoint
 * @returns {Promise<{ session: string, links: string, mid: string | null }>}
 */
export async function watchLayers(whep) {
  const peer = new RTCPeerConnection();
  const transceiver = peer.addTransceiver('video', { direction: 'recvonly' });
  const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true });
  document.body.append(video);
  peer.ontrack = (event) => {
    video.srcObject = new MediaStream([event.track]);
  };
  await peer.setLocalDescription(await peer.createOffer());
  const headers = { 'Content-Type': 'application/sdp' };
  const answer = await fetch(whep, { method: 'POST', headers, body: peer.localDescription?.sdp });
  if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
  await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  const session = answer.headers.get('Location') ?? '';
  return { session, links: answer.headers.get('Link') ?? '', mid: transceiver.mid };
}
