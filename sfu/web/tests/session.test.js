import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { ApiError } from '../assets/api.js';
import { negotiate } from '../assets/session.js';
import { tokens } from '../assets/token.js';

before(() => {
  Object.assign(globalThis, { location: new URL('https://reverie.example/bridge/lobby') });
  tokens.replaceAll('a-publishing-token');
});

/** The part of a peer connection that a negotiation touches. */
class FakeConnection {
  localDescription = { sdp: 'v=0 offer' };
  answer = '';
  isClosed = false;

  async setLocalDescription() {}

  /** @param {{ sdp: string }} description */
  async setRemoteDescription({ sdp }) {
    if (sdp === 'nonsense') throw new DOMException('bad SDP', 'OperationError');
    this.answer = sdp;
  }

  close() {
    this.isClosed = true;
  }
}

/**
 * Answers the POST as told and every DELETE with 200; the requests as `METHOD path`.
 * @param {import('node:test').TestContext} context
 * @param {() => Response} post
 */
function serve(context, post) {
  /** @type {string[]} */
  const requests = [];
  /** @type {RequestInit[]} */
  const inits = [];
  context.mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    requests.push(`${init.method} ${path}`);
    inits.push(init);
    return init.method === 'POST' ? post() : new Response(null, { status: 200 });
  });
  return { requests, inits };
}

/** @param {FakeConnection} pc @param {AbortSignal} [signal] */
function offer(pc, signal = new AbortController().signal) {
  return negotiate(/** @type {RTCPeerConnection} */ (/** @type {unknown} */ (pc)), '/whip/lobby', 'publish', signal);
}

/** @param {string} sdp @param {string} place */
const created = (sdp, place) => new Response(sdp, { status: 201, headers: { Location: place } });

test('an answer makes a session, and closing it deletes it once', async (context) => {
  const { requests, inits } = serve(context, () => created('v=0 answer', '/whip/lobby/s1'));
  const pc = new FakeConnection();
  const session = await offer(pc);
  assert.equal(pc.answer, 'v=0 answer');
  assert.equal(session.url, '/whip/lobby/s1');
  assert.equal(inits[0].body, 'v=0 offer');
  assert.deepEqual(inits[0].headers, {
    'Content-Type': 'application/sdp', Accept: 'application/sdp', Authorization: 'Bearer a-publishing-token',
  });
  await session.close({ keepalive: true });
  await session.close();
  assert.deepEqual(requests, ['POST /whip/lobby', 'DELETE /whip/lobby/s1']);
  assert.equal(inits[1].keepalive, true);
  assert.ok(pc.isClosed);
});

test('an absolute location on the same server is taken', async (context) => {
  serve(context, () => created('v=0 answer', 'https://reverie.example/whip/lobby/s2'));
  assert.equal((await offer(new FakeConnection())).url, '/whip/lobby/s2');
});

test('a location on another host never sees the token', async (context) => {
  const { requests } = serve(context, () => created('v=0 answer', 'https://elsewhere.example/whip/lobby/s3'));
  const pc = new FakeConnection();
  await assert.rejects(offer(pc), ApiError);
  assert.deepEqual(requests, ['POST /whip/lobby']);
  assert.ok(pc.isClosed);
});

test('an answer that comes after the wish has gone is deleted', async (context) => {
  const wish = new AbortController();
  const { requests } = serve(context, () => {
    wish.abort();
    return created('v=0 answer', '/whip/lobby/s4');
  });
  await assert.rejects(offer(new FakeConnection(), wish.signal));
  assert.deepEqual(requests, ['POST /whip/lobby', 'DELETE /whip/lobby/s4']);
});

test('an answer that cannot be used is deleted', async (context) => {
  const { requests } = serve(context, () => created('nonsense', '/whip/lobby/s5'));
  const pc = new FakeConnection();
  await assert.rejects(offer(pc), { name: 'OperationError' });
  assert.deepEqual(requests, ['POST /whip/lobby', 'DELETE /whip/lobby/s5']);
  assert.ok(pc.isClosed);
});

test('a refusal closes the connection and carries the words of the server', async (context) => {
  const body = JSON.stringify({ title: 'Not acceptable', detail: 'offered VP8; wanted H264' });
  const { requests } = serve(context, () => new Response(body, { status: 406 }));
  const pc = new FakeConnection();
  await assert.rejects(offer(pc), { status: 406, message: /^offered VP8; wanted H264\. .* another browser/ });
  assert.deepEqual(requests, ['POST /whip/lobby']);
  assert.ok(pc.isClosed);
});
