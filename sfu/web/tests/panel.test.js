import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { atHome, homeOrigin, moveTo } from '../assets/home.js';
import { situation } from '../assets/situation.js';
import { tokens } from '../assets/token.js';
import { sellable } from '../extension/bits.js';
import { Entry } from '../extension/entry.js';
import { namedServer } from '../extension/twitch.js';

beforeEach((context) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  if ('after' in context) {
    context.after(() => {
      mock.timers.reset();
      mock.restoreAll();
    });
  }
});

/** Answers exchanges in turn; notes the tokens sent. @param {Array<[number, object]>} answers */
function serve(answers) {
  /** @type {string[]} */
  const sent = [];
  mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    assert.equal(path, '/v1/auth/twitch-ext');
    sent.push(JSON.parse(String(init.body)).token);
    const [status, body] = answers.shift() ?? assert.fail('one exchange too many');
    return new Response(JSON.stringify(body), { status });
  });
  return sent;
}

/** @returns {{ entry: Entry, heard: string[] }} */
function enter() {
  /** @type {string[]} */
  const heard = [];
  const entry = new Entry({
    entered: (channel) => void heard.push(`entered ${channel}`),
    renewed: (isKnown) => void (isKnown && heard.push('known')),
    failed: (error) => void heard.push(`failed ${error}`),
  });
  return { entry, heard };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("Twitch's token becomes a session, and again before the session is over", async () => {
  const sent = serve([[200, { token: 's1', channel: 'lobby', expires_in: 900 }], [200, { token: 's2', channel: 'lobby', expires_in: 900 }]]);
  const { entry, heard } = enter();
  await entry.take('t1', false);
  assert.equal(tokens.get('watch'), 's1');
  mock.timers.tick(719_999);
  assert.equal(sent.length, 1);
  mock.timers.tick(1);
  await settled();
  assert.deepEqual([tokens.get('control'), sent, heard], ['s2', ['t1', 't1'], ['entered lobby']]);
});

test('a fresh token of Twitch takes the place of the old one', async () => {
  const sent = serve([[200, { token: 's1', channel: 'lobby', expires_in: 900 }], [200, { token: 's2', channel: 'lobby', expires_in: 900 }]]);
  const { entry, heard } = enter();
  await entry.take('t1', false);
  await entry.take('t2', true);
  // Who shares who they are is known from then on, and not before the server knows it.
  assert.deepEqual([tokens.get('watch'), sent, heard], ['s2', ['t1', 't2'], ['entered lobby', 'known']]);
});

test('an exchange that fails is tried again', async () => {
  serve([[503, { detail: 'later' }], [200, { token: 's', channel: null, expires_in: 900 }]]);
  const { entry, heard } = enter();
  await entry.take('t', false);
  mock.timers.tick(5_000);
  await settled();
  assert.deepEqual(heard, ['failed ApiError: later', 'entered null']);
});

test('only what Twitch sells at the same price is offered, and what is free', () => {
  const offer = (/** @type {string} */ sku, /** @type {number} */ price) => ({ sku, name: sku, price, seconds: 15 });
  const sold = (/** @type {string} */ sku, /** @type {string | number} */ amount) => ({ sku, displayName: sku, cost: { amount, type: 'bits' } });
  const offered = [offer('rain', 100), offer('snow', 200), offer('sun', 0), offer('fog', 50)];
  assert.deepEqual(sellable(offered, [sold('rain', '100'), sold('snow', 250), sold('wind', 10)]).map(({ sku }) => sku), ['rain', 'sun']);
});

test('the server of the configuration is read, and nonsense is none', () => {
  const ext = (/** @type {string | undefined} */ content) => /** @type {any} */ ({ configuration: { broadcaster: content && { content } } });
  assert.equal(namedServer(ext('{"server":"https://reverie.example"}')), 'https://reverie.example');
  for (const content of [undefined, '', '{', '{"server":7}', 'null']) assert.equal(namedServer(ext(content)), '', String(content));
});

test('requests go to the server that was named, without a second slash', () => {
  moveTo('https://reverie.example/');
  assert.equal(atHome('/v1/me'), 'https://reverie.example/v1/me');
  Object.assign(globalThis, { location: new URL('https://abc.ext-twitch.tv/panel.html') });
  assert.equal(homeOrigin(), 'https://reverie.example');
  moveTo('');
  assert.equal(atHome('/v1/me'), '/v1/me');
  assert.equal(homeOrigin(), 'https://abc.ext-twitch.tv');
});

test('the badge tells connection, channel and picture apart', () => {
  const link = (/** @type {any} */ phase, /** @type {string | null} */ reason = null) => ({ phase, reason, retryAt: 3000 });
  const channel = { live: true, audio: true, video: true };
  assert.equal(situation(link('live'), channel, true, 0).cover, '');
  assert.equal(situation(link('live'), { ...channel, video: false }, false, 0).cover, 'Sound only');
  assert.equal(situation(link('live'), channel, false, 0).badge, 'starting');
  assert.equal(situation(link('live'), { ...channel, live: false }, false, 0).badge, 'offline');
  assert.equal(situation(link('reconnecting', 'lost'), channel, false, 0).cover, 'Reconnecting in 3 s');
  assert.equal(situation(link('failed', 'no'), channel, true, 0).badge, 'failed');
});
