// What is put into the pages under test. Each function is sent to the browser as text, so it uses
// nothing from this module.
// @ts-check
/* global window, document */

/** Runs before a page's own scripts: keeps every peer connection and reports violations of the page's policy. */
export function prepare() {
  /** @type {RTCPeerConnection[]} */
  const peers = [];
  const scope = /** @type {any} */ (window);
  scope.testPeers = peers;
  window.RTCPeerConnection = new Proxy(window.RTCPeerConnection, {
    construct(target, args, newTarget) {
      const peer = Reflect.construct(target, args, newTarget);
      peers.push(peer);
      return peer;
    },
  });
  document.addEventListener('securitypolicyviolation', (violation) => {
    scope.testReport('csp', {
      directive: violation.effectiveDirective,
      blocked: violation.blockedURI,
      source: `${violation.sourceFile}:${violation.lineNumber}`,
    });
  });
}

/** Runs before a page's own scripts: tells what they send and get over HTTP and WebSocket, streams as they come. */
export function record() {
  const scope = /** @type {any} */ (window);
  const real = window.fetch;
  window.fetch = async (input, init) => {
    const request = new Request(input, init);
    const sent = { url: request.url, method: request.method, headers: [...request.headers], body: typeof init?.body === 'string' ? init.body : '' };
    const response = await real(input, init);
    const copy = response.clone();
    tell('sent', { ...sent, status: response.status, answer: [...response.headers] });
    void pour(request.url, copy);
    return response;
  };

  window.WebSocket = new Proxy(window.WebSocket, {
    construct(target, args, newTarget) {
      const socket = /** @type {WebSocket} */ (Reflect.construct(target, args, newTarget));
      tell('sent', { url: socket.url, method: 'WebSocket', body: JSON.stringify(args.slice(1)) });
      const send = socket.send.bind(socket);
      socket.send = (data) => {
        tell('sent', { url: socket.url, method: 'message', body: String(data) });
        send(data);
      };
      socket.addEventListener('message', ({ data }) => tell('got', { url: socket.url, text: `${data}\n` }));
      return socket;
    },
  });

  /** @param {string} url @param {Response} response */
  async function pour(url, response) {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) tell('got', { url, text: part.value });
    } catch {
      // The page has ended the request, and so its copy.
    }
  }

  /** @param {string} way @param {object} what */
  function tell(way, what) {
    scope.testReport('traffic', { origin: location.origin, way, ...what });
  }
}

/**
 * Notes every text that an element says from now on.
 * @param {string} selector
 */
export function listen(selector) {
  const scope = /** @type {any} */ (window);
  const element = /** @type {HTMLElement} */ (document.querySelector(selector));
  scope.testSaid = [element.textContent];
  const note = (/** @type {MutationRecord[]} */ records) =>
    records.forEach(({ addedNodes }) => addedNodes.forEach(({ textContent }) => scope.testSaid.push(textContent)));
  new MutationObserver(note).observe(element, { childList: true });
}

/**
 * Reads the bar code of every picture the video element presents and reports them in batches.
 * @param {string} selector
 * @param {number} interval milliseconds between batches
 */
export function watchFrames(selector, interval) {
  const scope = /** @type {any} */ (window);
  const video = /** @type {HTMLVideoElement} */ (document.querySelector(selector));
  const CELL = 16;
  const code = context(32 * CELL, 2 * CELL);
  const whole = context(160, 90);
  /** @type {object[]} */
  let batch = [];
  scope.testWatch?.stop();
  let watching = true;
  /** @type {number | null} */
  let last = null;
  const timer = setInterval(flush, interval);
  scope.testWatch = {
    stop() {
      watching = false;
      clearInterval(timer);
      flush();
    },
  };
  video.requestVideoFrameCallback(present);

  /** @type {VideoFrameRequestCallback} */
  function present(now, metadata) {
    if (!watching) return;
    const t = Date.now() / 1000;
    video.requestVideoFrameCallback(present);
    // A late callback finds the next picture on the element already, and that one's own callback again.
    const picture = new VideoFrame(video);
    const again = picture.timestamp === last;
    last = picture.timestamp;
    if (again) return picture.close();
    const [number, clock] = [0, 1].map((row) => read(row, picture));
    const found = number && clock && number.inverted === clock.inverted;
    whole.drawImage(picture, 0, 0, 160, 90);
    picture.close();
    batch.push({
      t,
      n: found ? number.value : null,
      clock: found ? clock.value : null,
      inverted: found ? number.inverted : null,
      luma: Math.round(mean(whole, 0, 0, 160, 90) * 10) / 10,
      rtpTimestamp: metadata.rtpTimestamp,
      mediaTime: metadata.mediaTime,
      presentedFrames: metadata.presentedFrames,
      receiveTime: metadata.receiveTime,
      width: metadata.width,
      height: metadata.height,
    });
  }

  function flush() {
    if (batch.length > 0) scope.testReport('frames', { frames: batch });
    batch = [];
  }

  /**
   * @param {number} row
   * @param {VideoFrame} picture
   */
  function read(row, picture) {
    if (row === 0) {
      const { displayWidth, displayHeight } = picture;
      code.drawImage(picture, 0, 0, displayWidth, displayHeight / 9, 0, 0, 32 * CELL, 2 * CELL);
    }
    const quarter = CELL / 4;
    const cells = Array.from({ length: 32 }, (_, column) =>
      mean(code, column * CELL + quarter, row * CELL + quarter, CELL / 2, CELL / 2),
    );
    const white = (cells[0] + cells[2]) / 2;
    const black = (cells[1] + cells[3]) / 2;
    if (Math.abs(white - black) < 40) return null;
    const bits = cells.slice(4).map((cell) => Math.abs(cell - white) < Math.abs(cell - black));
    const value = number(bits.slice(0, 24));
    let sum = row;
    for (let shift = 0; shift < 24; shift += 4) sum += (value >> shift) & 15;
    return sum % 16 === number(bits.slice(24)) ? { value, inverted: white < black } : null;
  }

  /** @param {boolean[]} bits most significant first */
  function number(bits) {
    return bits.reduce((value, bit) => value * 2 + Number(bit), 0);
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  function context(width, height) {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const options = { willReadFrequently: true };
    return /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', options));
  }

  /**
   * Mean luma of a rectangle, 0..255.
   * @param {CanvasRenderingContext2D} from
   * @param {number} x
   * @param {number} y
   * @param {number} width
   * @param {number} height
   */
  function mean(from, x, y, width, height) {
    const { data } = from.getImageData(x, y, width, height);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) {
      sum += 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
    }
    return (sum * 4) / data.length;
  }
}

/** Ends what `watchFrames` began, reporting what is left. */
export function stopFrames() {
  /** @type {any} */ (window).testWatch?.stop();
}

/** Statistics of the page's current peer connection, the entries as the browser names them. */
export async function stats() {
  const scope = /** @type {any} */ (window);
  /** @type {RTCPeerConnection[]} */
  const peers = scope.testPeers;
  /** @type {RTCPeerConnection | undefined} */
  const peer = scope.reverie?.pc ?? peers.at(-1);
  if (!peer) return { peer: null, peers: peers.length };
  const report = await peer.getStats();
  /** @type {Record<string, Record<string, object>>} */
  const rtp = { 'inbound-rtp': {}, 'outbound-rtp': {} };
  let pair = null;
  for (const entry of report.values()) {
    if (entry.type in rtp) rtp[entry.type][entry.kind] = entry;
    if (entry.type === 'transport') pair = report.get(entry.selectedCandidatePairId) ?? null;
  }
  return {
    peer: peers.indexOf(peer) + 1,
    peers: peers.length,
    connection: peer.connectionState,
    inbound: rtp['inbound-rtp'],
    outbound: rtp['outbound-rtp'],
    pair: pair && {
      rtt: pair.currentRoundTripTime,
      local: report.get(pair.localCandidateId),
      remote: report.get(pair.remoteCandidateId),
    },
  };
}

/**
 * Restarts ICE of the page's current peer connection as RFC 9725 section 4.3.2 has it: new credentials by
 * PATCH, the server's own in the answer. Undone where the server refuses.
 * @param {string} session URL of the session
 */
export async function restartIce(session) {
  const scope = /** @type {any} */ (window);
  /** @type {RTCPeerConnection} */
  const peer = scope.reverie?.pc ?? scope.testPeers.at(-1);
  const offer = await peer.createOffer({ iceRestart: true });
  await peer.setLocalDescription(offer);
  const mine = (offer.sdp ?? '').split(/\r?\n/).filter((line) => /^a=ice-(ufrag|pwd):/.test(line));
  const body = `${mine.slice(0, 2).join('\r\n')}\r\n`;
  const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' };
  const answer = await fetch(session, { method: 'PATCH', headers, body });
  if (answer.status !== 200) {
    await peer.setLocalDescription({ type: 'rollback' });
    return { status: answer.status };
  }
  const theirs = await answer.text();
  let sdp = peer.currentRemoteDescription?.sdp ?? '';
  for (const name of ['ice-ufrag', 'ice-pwd']) {
    const value = new RegExp(`a=${name}:(\\S+)`).exec(theirs)?.[1];
    sdp = sdp.replace(new RegExp(`a=${name}:\\S+`, 'g'), `a=${name}:${value}`);
  }
  await peer.setRemoteDescription({ type: 'answer', sdp });
  return { status: answer.status };
}

/** What axe-core finds serious, each rule with the places. */
export async function findings() {
  const { axe } = /** @type {any} */ (window);
  const { violations } = await axe.run(document, { resultTypes: ['violations'] });
  return violations
    .filter((/** @type {any} */ { impact }) => impact === 'serious' || impact === 'critical')
    .map((/** @type {any} */ { id, nodes }) => ({ id, at: nodes.map((/** @type {any} */ { target, failureSummary }) => `${target}: ${failureSummary}`) }));
}
