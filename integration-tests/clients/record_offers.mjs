#!/usr/bin/env node
// Records the offers of a real Chromium into fixtures/sdp, gathered to the end; it connects to nothing.
// @ts-check
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import puppeteer from 'puppeteer-core';

const FOLDER = new URL('../fixtures/sdp/', import.meta.url);
const FLAGS = ['--no-sandbox', '--disable-gpu', '--use-fake-device-for-media-stream'];
// Chromium hides addresses only from pages that may not use a camera.
const SHOWS_ADDRESSES = ['--use-fake-ui-for-media-stream', '--disable-features=WebRtcHideLocalIpsWithMdns'];
const server = createServer((_, response) => response.end('<!doctype html>')).listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

for (const mdns of [false, true]) {
  const browser = await puppeteer.launch({
    executablePath: execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim(),
    headless: true,
    args: mdns ? FLAGS : [...FLAGS, ...SHOWS_ADDRESSES],
  });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  const kinds = mdns ? ['watch'] : ['watch', 'watch-stereo', 'publish', 'publish-simulcast', 'publish-vp8'];
  for (const kind of kinds) {
    const sdp = await page.evaluate(offer, kind);
    writeFileSync(new URL(`chromium-${kind}${mdns ? '-mdns' : ''}.sdp`, FOLDER), sdp);
  }
  console.log(await browser.version(), mdns ? 'with .local names' : '');
  await browser.close();
}
server.close();

/** @param {string} kind */
async function offer(kind) {
  const pc = new RTCPeerConnection();
  if (kind.startsWith('watch')) {
    pc.addTransceiver('audio', { direction: 'recvonly' });
    pc.addTransceiver('video', { direction: 'recvonly' });
  } else {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    const [audio] = stream.getAudioTracks();
    const [video] = stream.getVideoTracks();
    const layers = [{ rid: 'h' }, { rid: 'm', scaleResolutionDownBy: 2 }, { rid: 'l', scaleResolutionDownBy: 4 }];
    const sendEncodings = kind.endsWith('simulcast') ? layers : [];
    pc.addTransceiver(audio, { direction: 'sendonly', streams: [stream] });
    const sender = pc.addTransceiver(video, { direction: 'sendonly', streams: [stream], sendEncodings });
    const codecs = /** @type {any} */ (RTCRtpSender.getCapabilities('video')).codecs;
    const only = codecs.filter((/** @type {any} */ c) => c.mimeType === 'video/VP8');
    if (kind.endsWith('vp8')) sender.setCodecPreferences(only);
  }
  const made = await pc.createOffer();
  const stereo = made.sdp?.replace('useinbandfec=1', 'useinbandfec=1;stereo=1');
  await pc.setLocalDescription(kind.endsWith('stereo') ? { type: 'offer', sdp: stereo } : made);
  while (pc.iceGatheringState !== 'complete') {
    await new Promise((resolve) => pc.addEventListener('icegatheringstatechange', resolve, { once: true }));
  }
  const sdp = pc.localDescription?.sdp ?? '';
  pc.close();
  return sdp;
}
