import assert from 'node:assert/strict';
import { test } from 'node:test';

import { iceServers, iceServersIn } from '../assets/ice.js';

const HEADER =
  '<stun:stun.example.org:3478>; rel="ice-server", </whep/lobby>; rel="urn:ietf:params:whip:whep", ' +
  '<turn:turn.example.org?transport=udp>; rel="ice-server"; username="17:alice"; credential="a,b;c=d"; credential-type="password"';
const SERVERS = [
  { urls: 'stun:stun.example.org:3478' },
  { urls: 'turn:turn.example.org?transport=udp', username: '17:alice', credential: 'a,b;c=d' },
];

test('w16 ICE servers are read from links, and other links are not', () => {
  assert.deepEqual(iceServersIn(HEADER), SERVERS);
  assert.deepEqual(iceServersIn(''), []);
  assert.deepEqual(iceServersIn('<stun:a>; rel=ice-server;x'), [{ urls: 'stun:a' }]);
  assert.deepEqual(iceServersIn('<stun:a>; rel="icon"'), []);
});

test('w16 a page asks for them with OPTIONS and goes on without when it gets none', async (context) => {
  /** @type {string[]} */
  const asked = [];
  const answers = [
    () => new Response(null, { status: 200, headers: { Link: HEADER } }),
    () => new Response(null, { status: 404 }),
    () => {
      throw new TypeError('no network');
    },
  ];
  context.mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    asked.push(`${init.method} ${path}`);
    return answers[asked.length - 1]();
  });
  assert.deepEqual(await iceServers('/whip/lobby', 'publish'), SERVERS);
  assert.deepEqual(await iceServers('/whip/lobby', 'publish'), []);
  assert.deepEqual(await iceServers('/whep/lobby', 'watch'), []);
  assert.deepEqual(asked, ['OPTIONS /whip/lobby', 'OPTIONS /whip/lobby', 'OPTIONS /whep/lobby']);
});
