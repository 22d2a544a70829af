import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { ApiError } from '../assets/api.js';
import { approve, ban, bans, blockWords, lift, move, panic, readQueue, reject, setPaused } from '../assets/desk.js';
import { Held } from '../assets/held.js';

/** @type {any} */
const MOMENT = { id: 'm/1', version: 3, prompt: 'rain' };

beforeEach((context) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  if ('after' in context) {
    context.after(() => {
      mock.timers.reset();
      mock.restoreAll();
    });
  }
});

/** Answers each request with the next of these; notes what was asked. @param {Array<[number, object, Record<string, string>?]>} answers */
function serve(answers) {
  /** @type {Array<{ line: string, body: any, match: string | null, keepalive: boolean }>} */
  const requests = [];
  mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    const match = new Headers(init.headers).get('If-Match');
    const body = init.body ? JSON.parse(String(init.body)) : null;
    requests.push({ line: `${init.method} ${path}`, body, match, keepalive: init.keepalive === true });
    const [status, answer, headers] = answers.shift() ?? assert.fail(`no answer to ${path}`);
    return new Response(JSON.stringify(answer), { status, headers });
  });
  return requests;
}

test('a decision names the version that was looked at', async () => {
  const requests = serve([[200, {}], [200, {}], [200, {}]]);
  await approve(MOMENT);
  await reject(MOMENT, 'no', { keepalive: true });
  await move(MOMENT, 2);
  assert.deepEqual(requests.map(({ line }) => line), ['approve', 'reject', 'move'].map((act) => `POST /v1/moments/m%2F1/${act}`));
  assert.ok(requests.every(({ match }) => match === '"3"'));
  assert.deepEqual(requests.map(({ body }) => body), [null, { reason: 'no' }, { position: 2 }]);
  assert.deepEqual(requests.map(({ keepalive }) => keepalive), [false, true, false]);
});

test('who decides about something old is told what it is now', async () => {
  serve([[412, { detail: 'the moment has version 4', moment: { ...MOMENT, version: 4 } }]]);
  const refused = await approve(MOMENT).catch((/** @type {unknown} */ error) => error);
  assert.ok(refused instanceof ApiError);
  assert.equal(refused.moment?.version, 4);
});

test('the queue is paused, goes on, and is cleared of what runs', async () => {
  const requests = serve([[200, {}], [200, {}], [200, {}], [404, {}]]);
  await setPaused('lobby', true);
  await setPaused('lobby', false);
  await panic('lobby');
  assert.equal(await readQueue('lobby'), null);
  const paths = requests.map(({ line }) => line.replace('/v1/channels/lobby', ''));
  assert.deepEqual(paths, ['POST /queue/pause', 'POST /queue/resume', 'POST /panic', 'GET /queue']);
});

test('a viewer is banned by the moment that was looked at, told, and let in again', async () => {
  const told = { moment: 'm/1', viewer: 'Ann', since: 5, until: null };
  const requests = serve([[200, {}], [200, { bans: [told] }], [200, {}]]);
  await ban(MOMENT);
  assert.deepEqual(await bans('lobby'), [told]);
  await lift('lobby', 'm/1');
  assert.deepEqual(requests.map(({ line, match }) => [line, match]), [
    ['POST /v1/moments/m%2F1/ban', '"3"'], ['GET /v1/channels/lobby/bans', null], ['DELETE /v1/channels/lobby/bans/m%2F1', null],
  ]);
});

test('blocked words are added to those that are there', async () => {
  const requests = serve([[200, { entries: ['mud'] }, { ETag: '"7"' }], [200, {}], [200, { entries: ['mud', 'rain'] }]]);
  await blockWords('lobby', 'rain');
  assert.deepEqual(requests[1], {
    line: 'PUT /v1/channels/lobby/blocklist', body: { entries: ['mud', 'rain'] }, match: '"7"', keepalive: false,
  });
  await blockWords('lobby', 'rain');
  assert.equal(requests.length, 3, 'what is there is not added again');
});

test('a decision waits five seconds and can be taken back', () => {
  /** @type {string[]} */
  const done = [];
  const held = new Held(() => {});
  held.hold('a', 'Approving', () => void done.push('a'));
  held.hold('b', 'Rejecting', () => void done.push('b'));
  mock.timers.tick(4_999);
  assert.deepEqual([done, held.of('a')], [[], { what: 'Approving', left: 1 }]);
  held.undo('a');
  mock.timers.tick(1);
  assert.deepEqual([done, held.of('a'), held.of('b')], [['b'], null, null]);
});

test('another decision about the same takes the place of the first', () => {
  /** @type {string[]} */
  const done = [];
  const held = new Held(() => {});
  held.hold('a', 'Approving', () => void done.push('approved'));
  mock.timers.tick(3_000);
  held.hold('a', 'Rejecting', () => void done.push('rejected'));
  mock.timers.tick(5_000);
  assert.deepEqual(done, ['rejected']);
});

test('a page that goes away sends what was decided at once, and only once', () => {
  /** @type {boolean[]} */
  const done = [];
  const held = new Held(() => {});
  held.hold('a', 'Approving', (leaving) => void done.push(leaving));
  held.flush();
  mock.timers.tick(10_000);
  assert.deepEqual(done, [true]);
});
