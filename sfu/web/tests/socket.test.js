import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { ApiError } from '../assets/api.js';
import { Backoff } from '../assets/backoff.js';
import { ChannelSocket } from '../assets/socket.js';
import { Wires } from './wires.js';

beforeEach((context) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  if ('after' in context) context.after(() => mock.timers.reset());
});

/** A started socket with its other end, and what it told. @param {{ settle?: import('../assets/socket.js').SocketOptions['settle'] }} [options] */
function started({ settle = () => Promise.reject(new ApiError(0, 'not asked')) } = {}) {
  const wires = new Wires();
  /** @type {string[]} */
  const heard = [];
  /** @type {{ cursor: number | null, tokens: { token?: string, control?: string } }} */
  const page = { cursor: null, tokens: { token: 'abc' } };
  const socket = new ChannelSocket(
    { open: wires.open, tokens: () => page.tokens, cursor: () => page.cursor, settle },
    {
      event: ({ n, type }, first) => {
        heard.push(`${type} ${n}${first ? ' first' : ''}`);
        page.cursor = n;
      },
      changed: () => {},
      denied: ({ status, message }) => heard.push(`denied ${status} ${message}`),
      unavailable: () => heard.push('unavailable'),
    },
    new Backoff(() => 0),
  );
  socket.start();
  return { socket, wires, heard, page };
}

test('the first message says who the page is and where it was; the address says nothing', () => {
  const { wires, heard, socket } = started();
  wires.last.welcome('one');
  wires.last.say({ n: 7, type: 'snapshot', data: {} });
  wires.last.say({ n: 8, type: 'viewers', data: {} });
  wires.last.end(1006);
  mock.timers.tick(500);
  wires.last.welcome('two');
  wires.last.say({ n: 9, type: 'viewers', data: {} });
  assert.deepEqual(wires.all.map(({ sent }) => sent[0]), [{ token: 'abc' }, { token: 'abc', resume: 8, replaces: 'one' }]);
  assert.deepEqual(heard, ['snapshot 7 first', 'viewers 8', 'viewers 9 first']);
  socket.stop();
});

test('a server that says nothing for nine seconds is gone, and the page says when it tries again', () => {
  const { wires, socket } = started();
  const state = () => socket.state;
  const phase = () => state().phase;
  wires.last.welcome('one');
  mock.timers.tick(8_000);
  wires.last.say({ type: 'ping', at: 1 });
  mock.timers.tick(8_999);
  assert.equal(phase(), 'live');
  mock.timers.tick(1);
  assert.deepEqual(state(), { phase: 'reconnecting', retryAt: Date.now() + 500 });
  assert.ok(wires.all[0].isClosed);
  mock.timers.tick(500);
  assert.deepEqual(state(), { phase: 'reconnecting', retryAt: null });
  // A way that is dark lets a connection begin and tells nothing.
  mock.timers.tick(10_000);
  assert.ok(wires.all[1].isClosed && state().retryAt !== null);
  socket.stop();
});

test('a command is answered under its id, whatever comes between', async () => {
  const { wires, heard, socket } = started();
  wires.last.welcome('one');
  const first = socket.command('pause');
  const second = socket.command('approve', { moment: 'm', version: 3 });
  const [, pause, approve] = wires.last.sent;
  assert.deepEqual(approve, { id: approve.id, cmd: 'approve', moment: 'm', version: 3 });
  const error = { status: 409, detail: 'the moment has version 4', moment: { id: 'm', version: 4 } };
  wires.last.say({ id: approve.id, error, version: 4, snapshot: { n: 5, type: 'snapshot', data: {} } });
  wires.last.say({ n: 6, type: 'viewers', data: {} });
  wires.last.say({ id: pause.id, ok: true, version: null, data: { paused: true } });
  wires.last.say({ id: 'another', ok: true });
  assert.deepEqual(await first, { data: { paused: true }, version: null });
  const refused = await second.catch((/** @type {unknown} */ reason) => reason);
  assert.ok(refused instanceof ApiError);
  assert.deepEqual([refused.status, refused.moment?.version], [409, 4]);
  assert.deepEqual(heard, ['snapshot 5', 'viewers 6 first']);
  socket.stop();
});

test('a command without an answer is looked up once the next connection stands, and never sent again', async () => {
  /** @type {string[]} */
  const asked = [];
  const { wires, socket } = started({
    settle: async ({ cmd, fields }) => {
      asked.push(`${cmd} ${fields.moment}`);
      return { data: { id: fields.moment, version: 4 }, version: 4 };
    },
  });
  wires.last.welcome('one');
  const approved = socket.command('approve', { moment: 'm', version: 3 });
  mock.timers.tick(9_000);
  mock.timers.tick(500);
  assert.deepEqual(asked, [], 'before, the one that was sent may still arrive');
  wires.last.welcome('two');
  assert.deepEqual(asked, ['approve m']);
  assert.equal((await approved).version, 4);
  assert.deepEqual(wires.last.sent.filter(({ cmd }) => cmd), [], 'nothing is sent twice');
  // What the dead connection still says is not heard.
  assert.equal(wires.all[0].onmessage, null);
  socket.stop();
});

test('without a connection a command is refused at once', async () => {
  const { wires, socket } = started();
  wires.last.welcome('one');
  wires.last.end(1006);
  const refused = await socket.command('pause').catch((/** @type {unknown} */ reason) => reason);
  assert.ok(refused instanceof ApiError && refused.status === 0);
  assert.match(refused.message, /nothing was sent/);
  mock.timers.tick(500);
  wires.last.welcome('two');
  assert.deepEqual(wires.last.sent.length, 1, 'only the hello');
  socket.stop();
});

test('a token that somebody gives meanwhile is told before the next command', () => {
  const { wires, page, socket } = started();
  wires.last.welcome('one');
  void socket.command('pause').catch(() => {});
  page.tokens = { token: 'abc', control: 'def' };
  void socket.command('pause').catch(() => {});
  void socket.command('resume').catch(() => {});
  const [, ...said] = wires.last.sent;
  assert.deepEqual(said.map((message) => message.cmd ?? message), ['pause', { token: 'abc', control: 'def' }, 'pause', 'resume']);
  socket.stop();
});

test('a refused token stops the socket until it is started again', () => {
  const { wires, heard, socket } = started();
  wires.last.end(4401, 'the session is over');
  assert.deepEqual(heard, ['denied 401 the session is over']);
  mock.timers.tick(60_000);
  assert.equal(wires.all.length, 1);
  socket.start();
  assert.equal(wires.all.length, 2);
  socket.stop();
});

test('a way without WebSockets is noticed, one that breaks is not taken for it', () => {
  const { wires, heard, socket } = started();
  wires.last.end(1006);
  mock.timers.tick(500);
  wires.last.welcome('one');
  wires.last.end(1006);
  mock.timers.tick(500);
  wires.last.end(1006);
  mock.timers.tick(10_000);
  assert.deepEqual(heard, []);
  wires.last.end(1013);
  assert.deepEqual(heard, ['unavailable']);
  assert.equal(socket.state.phase, 'idle');
});
