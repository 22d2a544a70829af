// A flash with a beep each second, sent from one page over two ways and measured where it is shown: through the
// server, and straight through a pair of connections on this machine, which is what the browser itself is capable of.
// Each function is sent to the browser as text, so it uses nothing from this module.
// @ts-check
/* global window, document */

/**
 * Begins to publish, to watch and to report; every report is {side, kind, at} with `at` in milliseconds of
 * `performance.now`, and for a picture `inverted`.
 * @param {string} whip
 * @param {string} whep
 */
export async function flashAndBeep(whip, whep) {
  const scope = /** @type {any} */ (window);
  const WIDTH = 320;
  const HEIGHT = 180;
  const FPS = 30;
  /** Seconds that a flash and its beep last. */
  const LENGTH = 0.1;
  const context = new AudioContext({ sampleRate: 48_000 });
  await context.resume();
  await context.audioWorklet.addModule(listenerModule());
  const stream = source();
  await Promise.all([straight(), throughServer()]);

  /** Picture and sound of one clock, the audio context's. */
  function source() {
    const beep = context.createOscillator();
    const gain = context.createGain();
    const output = context.createMediaStreamDestination();
    beep.frequency.value = 1_000;
    gain.gain.value = 0;
    beep.connect(gain).connect(output);
    beep.start();
    const first = Math.ceil(context.currentTime) + 1;
    for (let second = first; second < first + 600; second++) {
      gain.gain.setValueAtTime(0.5, second);
      gain.gain.setValueAtTime(0, second + LENGTH);
    }
    const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
    const brush = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
    const stream = canvas.captureStream(FPS);
    for (const track of output.stream.getAudioTracks()) stream.addTrack(track);
    draw();
    return stream;

    function draw() {
      window.requestAnimationFrame(draw);
      const now = context.currentTime;
      brush.fillStyle = '#404040';
      brush.fillRect(0, 0, WIDTH, HEIGHT);
      // Something moves, so that every picture is another one.
      brush.fillStyle = '#606060';
      brush.fillRect(WIDTH / 2 + (now * 60) % (WIDTH / 2 - 20), HEIGHT - 20, 20, 20);
      brush.fillStyle = now >= first && now % 1 < LENGTH ? '#d0d0d0' : '#404040';
      brush.fillRect(0, 0, WIDTH / 2, HEIGHT);
    }
  }

  async function straight() {
    const sender = new RTCPeerConnection();
    const receiver = new RTCPeerConnection();
    sender.onicecandidate = ({ candidate }) => candidate && receiver.addIceCandidate(candidate);
    receiver.onicecandidate = ({ candidate }) => candidate && sender.addIceCandidate(candidate);
    receiver.ontrack = watch('straight');
    send(sender);
    await sender.setLocalDescription();
    await receiver.setRemoteDescription(/** @type {any} */ (sender.localDescription));
    await receiver.setLocalDescription();
    await sender.setRemoteDescription(/** @type {any} */ (receiver.localDescription));
  }

  async function throughServer() {
    const publisher = new RTCPeerConnection();
    send(publisher);
    await exchange(publisher, whip);
    const viewer = new RTCPeerConnection();
    viewer.addTransceiver('audio', { direction: 'recvonly' });
    viewer.addTransceiver('video', { direction: 'recvonly' });
    viewer.ontrack = watch('server');
    await exchange(viewer, whep);
  }

  /** @param {RTCPeerConnection} peer */
  function send(peer) {
    for (const track of stream.getTracks()) {
      const { codecs } = /** @type {RTCRtpCapabilities} */ (RTCRtpSender.getCapabilities(track.kind));
      const transceiver = peer.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
      if (track.kind !== 'video') continue;
      transceiver.setCodecPreferences(
        codecs.filter((c) => c.mimeType === 'video/rtx' || /42e01f/.test(c.sdpFmtpLine ?? '')),
      );
    }
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {string} url
   */
  async function exchange(peer, url) {
    await peer.setLocalDescription();
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/sdp' },
      body: /** @type {RTCSessionDescription} */ (peer.localDescription).sdp,
    });
    if (response.status !== 201) throw new Error(`${url}: ${response.status}`);
    await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  }

  /**
   * Shows what arrives, once both tracks are there.
   * @param {string} side
   * @returns {(event: RTCTrackEvent) => void}
   */
  function watch(side) {
    let watched = false;
    return ({ streams: [received] }) => {
      if (watched || received.getTracks().length < 2) return;
      watched = true;
      const video = Object.assign(document.createElement('video'), { width: 160, srcObject: received });
      document.body.append(video);
      video.play();
      pictures(side, video);
      sounds(side, received);
    };
  }

  /**
   * @param {string} side
   * @param {HTMLVideoElement} video
   */
  function pictures(side, video) {
    const small = Object.assign(document.createElement('canvas'), { width: 16, height: 8 });
    const brush = /** @type {CanvasRenderingContext2D} */ (
      small.getContext('2d', { willReadFrequently: true })
    );
    let lit = false;
    let presented = 0;
    video.requestVideoFrameCallback(present);

    /** @type {VideoFrameRequestCallback} */
    function present(_, metadata) {
      video.requestVideoFrameCallback(present);
      brush.drawImage(video, 0, 0, 16, 8);
      const { data } = brush.getImageData(0, 0, 16, 8);
      const [left, right] = [data[(3 * 16 + 3) * 4], data[(3 * 16 + 12) * 4]];
      const flash = Math.abs(left - right) > 50;
      // A callback that comes late hides the picture at which the flash began.
      const missed = metadata.presentedFrames - presented - 1;
      presented = metadata.presentedFrames;
      if (flash && !lit) {
        scope.testReport('flash', {
          side,
          kind: 'picture',
          at: metadata.expectedDisplayTime,
          missed,
          inverted: right > 128,
        });
      }
      lit = flash;
    }
  }

  /**
   * @param {string} side
   * @param {MediaStream} received
   */
  function sounds(side, received) {
    const listener = new AudioWorkletNode(context, 'listener', { numberOfOutputs: 0 });
    context.createMediaStreamSource(received).connect(listener);
    listener.port.onmessage = ({ data }) => {
      const { contextTime = 0, performanceTime = 0 } = context.getOutputTimestamp();
      const at = performanceTime + (data - contextTime) * 1_000;
      scope.testReport('flash', { side, kind: 'sound', at });
    };
  }

  /** An audio worklet that posts the context's time at which a beep begins. */
  function listenerModule() {
    const text = `registerProcessor('listener', class extends AudioWorkletProcessor {
      quiet = 0;
      process([[samples]]) {
        for (let i = 0; samples && i < samples.length; i++) {
          const loud = Math.abs(samples[i]) > 0.1;
          if (loud && this.quiet > sampleRate / 4) this.port.postMessage((currentFrame + i) / sampleRate);
          this.quiet = loud ? 0 : this.quiet + 1;
        }
        return true;
      }
    });`;
    return URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
  }
}
