// The page of libraries.mjs: each library used as its own documentation shows, nothing done for it.
//
// window.interop: { state: 'starting' | 'started' | 'stopped' | 'failed', error, stop(), restart() };
// `restart` is null for a library without an ICE restart.
// @ts-nocheck the libraries have no types here
/* global window, document, location, RTCPeerConnection */
import { WHIPClient as EyevinnWhip } from '@eyevinn/whip-web-client';
import { WebRTCPlayer } from '@eyevinn/webrtc-player';
import { WHIPClient as BinbatWhip } from '@binbat/whip-whep/whip.js';
import { WHEPClient as BinbatWhep } from '@binbat/whip-whep/whep.js';
import { TestPicture } from '../../sfu/web/assets/testpicture.js';

const query = new URLSearchParams(location.search);
const endpoint = query.get('endpoint');
const video = document.querySelector('#video');

/** Each starts and returns how to stop and how to restart ICE. */
const LIBRARIES = {
  'eyevinn-whip': async () => {
    const client = new EyevinnWhip({ endpoint, opts: { iceServers: [] } });
    await client.ingest(picture());
    return { stop: () => client.destroy(), restart: null };
  },
  'eyevinn-player': async () => {
    const player = new WebRTCPlayer({ video, type: 'whep', iceServers: [] });
    await player.load(new URL(endpoint));
    return { stop: () => player.unload(), restart: null };
  },
  'binbat-whip': async () => {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const stream = picture();
    for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    const client = new BinbatWhip();
    await client.publish(pc, endpoint);
    return { stop: () => client.stop(), restart: () => client.restart() };
  },
  'binbat-whep': async () => {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    pc.addTransceiver('audio', { direction: 'recvonly' });
    pc.addTransceiver('video', { direction: 'recvonly' });
    pc.ontrack = ({ streams }) => {
      video.srcObject = streams[0];
    };
    const client = new BinbatWhep();
    await client.view(pc, endpoint);
    return { stop: () => client.stop(), restart: () => client.restart() };
  },
};

function picture() {
  return new TestPicture({ width: 640, height: 360, fps: 30, label: 'library' }).stream;
}

const interop = { state: 'starting', error: null, stop: null, restart: null };
window.interop = interop;
window.addEventListener('unhandledrejection', ({ reason }) => {
  interop.error = String(reason);
});
try {
  const started = await LIBRARIES[query.get('library')]();
  interop.restart = started.restart;
  interop.stop = async () => {
    await started.stop();
    interop.state = 'stopped';
  };
  interop.state = 'started';
} catch (error) {
  interop.error = String(error);
  interop.state = 'failed';
}
