import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { ApiError } from '../assets/api.js';
import { Backoff } from '../assets/backoff.js';
import { Link } from '../assets/link.js';

/** @typedef {import('../assets/link.js').Session} Session */

/** A peer connection's outside: its state, its transport and the events of both. */
class FakeConnection extends EventTarget {
  connectionState = 'new';
  transport = Object.assign(new EventTarget(), { state: 'new' });

  getTransceivers() {
    return [{ sender: { transport: this.transport } }];
  }

  /** @param {string} state */
  become(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }

  /** What a browser reports when the other side sends a DTLS close: the connection state stays as it was. */
  endDtls() {
    this.transport.state = 'closed';
    this.transport.dispatchEvent(new Event('statechange'));
  }
}

/** A link with sessions the test controls. @param {Partial<import('../assets/link.js').LinkOptions>} [options] */
function bench(options = {}) {
  /** @type {FakeConnection[]} */
  const connections = [];
  /** @type {string[]} */
  const closed = [];
  /** @type {string[]} */
  const phases = [];
  /** @type {Error[]} */
  const refusals = [];
  const link = new Link({
    connect: async () => {
      const refusal = refusals.shift();
      if (refusal) throw refusal;
      const pc = new FakeConnection();
      connections.push(pc);
      const url = `/whip/lobby/${connections.length}`;
      return /** @type {Session} */ (/** @type {unknown} */ ({ pc, url, close: async () => void closed.push(url) }));
    },
    changed: ({ phase }) => {
      if (phases.at(-1) !== phase) phases.push(phase);
    },
    backoff: new Backoff(() => 0),
    ...options,
  });
  return { link, connections, closed, phases, refusals };
}

/** Lets promises that are already settled run their course. */
async function settle() {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

beforeEach((context) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  if ('after' in context) context.after(() => mock.timers.reset());
});

test('it goes from idle over connecting to live, and back by stop', async () => {
  const { link, connections, closed, phases } = bench();
  link.start();
  await settle();
  connections[0].become('connecting');
  connections[0].become('connected');
  assert.equal(link.url, '/whip/lobby/1');
  await link.stop();
  assert.deepEqual(phases, ['connecting', 'live', 'idle']);
  assert.deepEqual(closed, ['/whip/lobby/1']);
  assert.equal(link.pc, null);
});

for (const [name, lose] of /** @type {const} */ ([
  ['a failed connection', (/** @type {FakeConnection} */ pc) => pc.become('failed')],
  ['a session ended by the server', (/** @type {FakeConnection} */ pc) => pc.endDtls()],
])) {
  test(`${name} is ended and replaced after a pause`, async () => {
    const { link, connections, closed } = bench();
    link.start();
    await settle();
    connections[0].become('connected');
    lose(connections[0]);
    assert.equal(link.state.phase, 'reconnecting');
    assert.equal(link.state.retryAt, Date.now() + 500);
    assert.deepEqual(closed, ['/whip/lobby/1']);
    mock.timers.tick(499);
    assert.equal(connections.length, 1);
    mock.timers.tick(1);
    await settle();
    assert.equal(link.reconnects, 0, 'not before it works');
    connections[1].become('connected');
    assert.equal(link.state.phase, 'live');
    assert.equal(link.reconnects, 1);
  });
}

test('a short interruption heals without a new session, a long one does not', async () => {
  const { link, connections, closed } = bench();
  link.start();
  await settle();
  connections[0].become('connected');
  connections[0].become('disconnected');
  assert.equal(link.state.phase, 'reconnecting');
  mock.timers.tick(1999);
  connections[0].become('connected');
  assert.equal(link.state.phase, 'live');
  assert.equal(link.reconnects, 0);
  connections[0].become('disconnected');
  mock.timers.tick(2000);
  assert.deepEqual(closed, ['/whip/lobby/1']);
});

test('a media path that never opens is given up', async () => {
  const { link, connections, closed } = bench();
  link.start();
  await settle();
  connections[0].become('connecting');
  mock.timers.tick(12_000);
  assert.deepEqual(closed, ['/whip/lobby/1']);
  assert.equal(link.state.reason, 'the media path did not open');
});

test('a refusal that will not change is final and says why', async () => {
  /** @type {number[]} */
  const denied = [];
  for (const status of [400, 401, 403, 404, 406, 415, 422]) {
    const { link, connections, refusals } = bench({ denied: (error) => void denied.push(error.status) });
    refusals.push(new ApiError(status, 'H264 is what we take'));
    link.start();
    await settle();
    assert.deepEqual(link.state, { phase: 'failed', reason: 'H264 is what we take', retryAt: null });
    assert.equal(link.isRunning, false);
    mock.timers.tick(60_000);
    assert.equal(connections.length, 0);
  }
  assert.deepEqual(denied, [401, 403]);
});

test('a busy server is asked again, no sooner than it wishes', async () => {
  for (const status of [0, 409, 429, 500, 503]) {
    const { link, connections, refusals } = bench();
    refusals.push(new ApiError(status, 'later', 4000));
    link.start();
    await settle();
    mock.timers.tick(3999);
    await settle();
    assert.equal(connections.length, 0, `status ${status}`);
    mock.timers.tick(1);
    await settle();
    assert.equal(connections.length, 1, `status ${status}`);
    await link.stop();
  }
});

test('a publisher yields to another one at first, but takes its own place back after a loss', async () => {
  const { link, connections, refusals } = bench({ yields: true });
  refusals.push(new ApiError(409, 'somebody else publishes here'));
  link.start();
  await settle();
  assert.equal(link.state.phase, 'failed');
  assert.equal(link.state.reason, 'somebody else publishes here', 'in the words of the server');

  link.start();
  await settle();
  connections[0].become('connected');
  refusals.push(new ApiError(409, 'the old session is still there'));
  connections[0].become('failed');
  mock.timers.tick(500);
  await settle();
  assert.equal(link.state.phase, 'reconnecting');
  mock.timers.tick(500);
  await settle();
  connections[1].become('connected');
  assert.equal(link.reconnects, 1);
});

test('a session that arrives after stop is ended at once', async () => {
  /** @type {(session: Session) => void} */
  let arrive = () => assert.fail('it never tried');
  const { link } = bench({ connect: () => new Promise((resolve) => void (arrive = resolve)) });
  link.start();
  await link.stop();
  let ended = false;
  const late = /** @type {unknown} */ ({ pc: new FakeConnection(), url: '/late', close: async () => void (ended = true) });
  arrive(/** @type {Session} */ (late));
  await settle();
  assert.ok(ended);
  assert.equal(link.state.phase, 'idle');
});

test('the return of the network ends the waiting', async () => {
  const { link, connections, refusals } = bench();
  refusals.push(new ApiError(0, 'the server cannot be reached'));
  link.start();
  await settle();
  link.retryNow();
  await settle();
  assert.equal(connections.length, 1);
  link.retryNow();
  await settle();
  assert.equal(connections.length, 1, 'a connection under way is left alone');
});

test('events of a replaced session change nothing', async () => {
  const { link, connections } = bench();
  link.start();
  await settle();
  connections[0].become('connected');
  link.restart('another source was chosen');
  await settle();
  connections[1].become('connected');
  connections[0].become('failed');
  assert.equal(link.state.phase, 'live');
});
