import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { ApiError } from '../assets/api.js';
import { approve, setPaused } from '../assets/desk.js';
import { DeskFeed } from '../assets/deskfeed.js';
import { Line } from '../assets/line.js';
import { apply, initial, view } from '../assets/moments.js';
import { settle } from '../assets/settle.js';
import { ChannelModel } from './channelmodel.js';
import { generator, shuffled } from './random.js';
import { Wires } from './wires.js';

/** @type {any} */
const MOMENT = { id: 'm1', version: 3, prompt: 'rain', state: 'pending_approval' };

beforeEach((context) => {
  if ('after' in context) context.after(() => mock.restoreAll());
});

/** Answers requests; notes which came. @param {(line: string, init: RequestInit) => Response | Promise<Response>} answer */
function serve(answer) {
  /** @type {string[]} */
  const requests = [];
  mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    requests.push(`${init.method} ${path}`);
    return answer(`${init.method} ${path}`, init);
  });
  return requests;
}

/** @param {object} body */
const told = (body) => new Response(JSON.stringify(body));

/** A request that stays open. @param {RequestInit} init @returns {Promise<Response>} */
const open = (init) => new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal?.reason)));

test('who is signed in gets a socket with new cookies before the old ones are over, and after', async (context) => {
  mock.timers.enable({ apis: ['setInterval', 'setTimeout', 'Date'] });
  context.after(() => mock.timers.reset());
  let status = 200;
  const requests = serve(() => new Response('{}', { status }));
  const wires = new Wires();
  /** @type {number[]} */
  const denied = [];
  const line = new Line('lobby', { event: () => {}, connected: () => {}, denied: (error) => denied.push(error.status) }, wires.open);
  const settled = () => new Promise(setImmediate);
  line.start();
  wires.last.welcome('one');
  wires.last.say({ n: 7, at: 0, type: 'viewers', version: 1, data: { viewers: 1 } });
  mock.timers.tick(8_000);
  wires.last.say({ n: 8, at: 0, type: 'viewers', version: 1, data: { viewers: 1 } });
  for (let minute = 0; minute < 600; minute += 5) {
    mock.timers.tick(5_000);
    wires.last.say({ type: 'ping' });
  }
  await settled();
  assert.deepEqual([requests, wires.all.length], [['POST /v1/auth/refresh'], 2]);
  wires.last.welcome('two');
  assert.deepEqual(wires.last.sent, [{ resume: 8, replaces: 'one' }]);
  // One that slept is told that its session is over.
  wires.last.end(4401, 'the session is over');
  await settled();
  assert.deepEqual([requests.length, wires.all.length, denied], [2, 3, []]);
  status = 401;
  wires.last.end(4401, 'the session is over');
  await settled();
  assert.deepEqual([requests.length, wires.all.length, denied], [3, 3, [401]]);
  line.stop();
});

test('shuffled, repeated and late events over a socket end in the state of the snapshot', () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const random = generator(seed);
    const model = new ChannelModel(random);
    const first = model.snapshotEvent();
    for (let step = 0; step < 40; step += 1) model.step();
    const wires = new Wires();
    let state = initial();
    const line = new Line('lobby', {
      event: (event) => {
        state = apply(state, event);
      },
      connected: () => {},
      denied: () => assert.fail('nobody asked for a token'),
    }, wires.open);
    line.start();
    wires.last.welcome('one');
    const repeated = model.events.filter(() => random() < 0.3);
    const middle = Math.floor(model.events.length / 2);
    for (const event of shuffled(random, [first, ...model.events.slice(0, middle), ...repeated])) wires.last.say(event);
    // Another connection, on which a part comes again and the rest late.
    wires.last.end(1006);
    line.retryNow();
    wires.last.welcome('two');
    for (const event of shuffled(random, [...model.events, model.snapshotEvent()])) wires.last.say(event);
    line.stop();
    assert.deepEqual(view(state), view(apply(initial(), model.snapshotEvent())), `seed ${seed}`);
  }
});

test('where a socket cannot be had, events are streamed and commands are requests', async () => {
  const event = { n: 5, at: 0, type: 'viewers', version: 0, data: { viewers: 2 } };
  const requests = serve((line, init) => {
    if (line.startsWith('POST')) return told({ ...MOMENT, version: 4 });
    return new Headers(init.headers).get('Last-Event-ID') === '5' ? open(init) : new Response(`id: 5\ndata: ${JSON.stringify(event)}\n\n`);
  });
  const wires = new Wires();
  /** @type {(value: unknown) => void} */
  let heard = () => {};
  const arrived = new Promise((resolve) => {
    heard = resolve;
  });
  const line = new Line('lobby', { event: heard, connected: () => {}, denied: () => {} }, wires.open);
  line.start();
  wires.last.end(1006);
  line.retryNow();
  wires.last.end(1006);
  await arrived;
  assert.equal(line.takesCommands, false);
  await approve(MOMENT, { line });
  assert.deepEqual(requests.slice(0, 2), ['GET /v1/channels/lobby/events', 'POST /v1/moments/m1/approve']);
  // The stream stands, so a socket is tried once more, and goes on where the stream was.
  assert.equal(wires.all.length, 3);
  wires.last.welcome('one');
  assert.deepEqual([line.takesCommands, wires.last.sent[0].resume], [true, 5]);
  line.stop();
});

test('a page that steers asks over its socket, and one that goes away by request', async () => {
  const requests = serve(() => told(MOMENT));
  const wires = new Wires();
  const line = new Line('lobby', { event: () => {}, connected: () => {}, denied: () => {} }, wires.open);
  line.start();
  wires.last.welcome('one');
  const paused = setPaused('lobby', true, { line });
  const [, command] = wires.last.sent;
  wires.last.say({ id: command.id, ok: true, version: null, data: { paused: true, queue: [] } });
  assert.deepEqual([command.cmd, (await paused).paused], ['pause', true]);
  await approve(MOMENT, { line, keepalive: true });
  assert.deepEqual(requests, ['POST /v1/moments/m1/approve']);
  line.stop();
});

test('what became of a lost command is told by what is so now', async () => {
  /** @type {any} */
  let now = { ...MOMENT, version: 4, state: 'queued' };
  const requests = serve((line) => told(line.includes('/queue') ? { paused: true, queue: [] } : now));
  const command = { cmd: 'approve', fields: { moment: 'm1', version: 3 } };
  assert.equal((await settle('lobby', command)).data.state, 'queued');
  now = MOMENT;
  const undone = await settle('lobby', command).catch((/** @type {unknown} */ error) => error);
  assert.ok(undone instanceof ApiError);
  assert.match(undone.message, /approve.*was not carried out/);
  assert.equal(undone.moment?.version, 3);
  assert.equal((await settle('lobby', { cmd: 'pause', fields: {} })).data.paused, true);
  await assert.rejects(settle('lobby', { cmd: 'resume', fields: {} }), /resume.*was not carried out/);
  await assert.rejects(settle('lobby', { cmd: 'warm', fields: {} }), /not known/);
  assert.ok(requests.every((line) => line.startsWith('GET')), 'nothing is tried again');
});

test('a page that steers begins with a socket', () => {
  const feed = new DeskFeed('lobby', { changed: () => {}, denied: () => {} });
  assert.deepEqual([feed.line.state.phase, feed.line.takesCommands, feed.connected], ['idle', true, false]);
});
