import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { Backoff } from '../assets/backoff.js';
import { standing } from '../assets/purchase.js';
import { productsIn } from '../assets/shop.js';
import { Till } from '../assets/till.js';

/** @typedef {import('../assets/till.js').TillOptions} TillOptions */

const RAIN = { sku: 'rain', name: 'Rain', price: 100, seconds: 15 };
const PAID = { initiator: 'current_user', transactionId: 't1', transactionReceipt: 'r1', product: { sku: 'rain' } };

/** A browser's storage. */
function storage() {
  /** @type {Map<string, string>} */
  const kept = new Map();
  return {
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
    removeItem: (/** @type {string} */ key) => void kept.delete(key),
  };
}

/** Answers requests in turn with status and body; notes them. @param {Array<[number, object]>} answers */
function serve(answers) {
  /** @type {Array<{ line: string, body: any, key: string | null }>} */
  const requests = [];
  mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    const key = new Headers(init.headers).get('Idempotency-Key');
    requests.push({ line: `${init.method} ${path}`, body: init.body ? JSON.parse(String(init.body)) : null, key });
    const [status, body] = answers.shift() ?? assert.fail(`no answer to ${path}`);
    return new Response(JSON.stringify(body), { status });
  });
  return requests;
}

/** A till, and what it began to pay. @param {Partial<TillOptions>} [options] */
function open(options = {}) {
  /** @type {string[]} */
  const used = [];
  const till = new Till('lobby', {
    storage: null, told: () => {}, changed: () => {}, useBits: (sku) => void used.push(sku), refused: () => false,
    backoff: new Backoff(() => 0), ...options,
  });
  return { till, used };
}

/** @param {Till} till */
function step(till) {
  return till.purchase && standing(till.purchase, null).step;
}

/** Lets every answer that is there be taken. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

beforeEach((context) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  if ('after' in context) {
    context.after(() => {
      mock.timers.reset();
      mock.restoreAll();
    });
  }
});

test('a wish is taken first, then paid, then its receipt is sent with the intent', async () => {
  const requests = serve([[201, { id: 'm1', state: 'submitted', intent: 'i1' }], [200, {}]]);
  const { till, used } = open();
  await till.buy('neon', RAIN, 'bits');
  assert.deepEqual([step(till), used], ['paying', ['rain']]);
  till.transaction(PAID);
  await settled();
  assert.equal(step(till), 'waiting');
  assert.deepEqual(requests.map(({ line }) => line), ['POST /v1/channels/lobby/moments', 'POST /v1/moments/m1/receipt']);
  assert.deepEqual(requests.map(({ body }) => body), [{ prompt: 'neon', sku: 'rain' }, { intent: 'i1', receipt: 'r1' }]);
  assert.match(String(requests[0].key), /^[0-9a-f]{32}$/);
});

test('an intent that did not come with the moment is asked for', async () => {
  const requests = serve([[201, { id: 'm1', state: 'submitted' }], [200, { intent: 'i2' }], [200, {}]]);
  const { till } = open();
  await till.buy('neon', RAIN, 'bits');
  till.transaction(PAID);
  await settled();
  assert.deepEqual(requests.slice(1).map(({ line, body }) => [line, body]), [
    ['POST /v1/moments/m1/intent', null], ['POST /v1/moments/m1/receipt', { intent: 'i2', receipt: 'r1' }],
  ]);
});

test('nothing is paid for a wish that is refused', async () => {
  serve([[409, { detail: 'the channel is offline' }]]);
  const { till, used } = open();
  await till.buy('neon', RAIN, 'bits');
  assert.deepEqual([step(till), till.purchase?.refused, used], ['refused', 'the channel is offline', []]);
});

test('transactions of others, and of another product, are not submitted', async () => {
  const requests = serve([[201, { id: 'm1', intent: 'i1' }]]);
  const { till } = open();
  await till.buy('neon', RAIN, 'bits');
  till.transaction({ ...PAID, initiator: 'other' });
  till.transaction({ ...PAID, product: { sku: 'snow' } });
  await settled();
  assert.deepEqual([step(till), requests.length], ['paying', 1]);
});

test('a receipt is sent again until the server has counted it', async () => {
  const requests = serve([[201, { id: 'm1', intent: 'i1' }], [503, {}], [401, {}], [401, {}], [200, {}]]);
  const { till } = open();
  await till.buy('neon', RAIN, 'bits');
  till.transaction(PAID);
  for (let answer = 0; answer < 3; answer += 1) {
    await settled();
    mock.timers.tick(500);
  }
  await settled();
  const receipts = requests.filter(({ line }) => line.endsWith('/receipt'));
  assert.deepEqual([step(till), receipts.length], ['waiting', 3]);
});

test('a receipt outlives a reload', async () => {
  const kept = storage();
  serve([[201, { id: 'm1', intent: 'i1' }], [503, {}]]);
  const { till } = open({ storage: kept });
  await till.buy('neon', RAIN, 'bits');
  till.transaction(PAID);
  await settled();
  mock.restoreAll();
  const requests = serve([[200, {}]]);
  const { till: next } = open({ storage: kept });
  await settled();
  assert.deepEqual(requests.map(({ body }) => body), [{ intent: 'i1', receipt: 'r1' }]);
  assert.equal(step(next), 'waiting');
});

test('a receipt that will never count is not sent for ever', async () => {
  const requests = serve([[201, { id: 'm1', intent: 'i1' }], [409, { detail: 'the transaction t1 has been used already' }]]);
  const { till } = open();
  await till.buy('neon', RAIN, 'bits');
  till.transaction(PAID);
  await settled();
  mock.timers.tick(60_000);
  await settled();
  assert.deepEqual([step(till), requests.length], ['spoiled', 2]);
});

test('a closed payment frees the way for another one', async () => {
  serve([[201, { id: 'm1', intent: 'i1' }]]);
  const { till } = open();
  await till.buy('neon', RAIN, 'bits');
  assert.equal(till.isBusy(null), true);
  till.abandon();
  assert.deepEqual([step(till), till.isBusy(null)], ['abandoned', false]);
});

test('what the server does not know of is forgotten, but never a payment', async () => {
  serve([[201, { id: 'm1', intent: 'i1' }], [503, {}], [200, {}]]);
  const { till } = open();
  await till.buy('neon', RAIN, 'bits');
  till.transaction(PAID);
  await settled();
  till.forget();
  assert.equal(step(till), 'confirming');
  mock.timers.tick(500);
  await settled();
  assert.equal(step(till), 'waiting');
  till.forget();
  assert.equal(till.purchase, null);
});

test('outside of Twitch one pays with credits, and nothing for what is free', async () => {
  const requests = serve([[201, { id: 'm1', intent: 'i1' }], [200, {}], [201, { id: 'm2' }]]);
  const { till } = open({ useBits: null });
  await till.buy('neon', RAIN, 'credits');
  assert.equal(step(till), 'waiting');
  await till.buy('neon', { ...RAIN, price: 0 }, 'credits');
  assert.equal(step(till), 'waiting');
  assert.deepEqual(requests.map(({ line }) => line).slice(1), ['POST /v1/moments/m1/credit', 'POST /v1/channels/lobby/moments']);
  const bodies = requests.map(({ body }) => body);
  assert.deepEqual(bodies, [{ prompt: 'neon', sku: 'rain', pay: 'credit' }, null, { prompt: 'neon', sku: 'rain' }]);
});

test('on Twitch, too, one can pay with credits, and no Bits are used then', async () => {
  const requests = serve([[201, { id: 'm1', state: 'submitted' }], [200, {}]]);
  const { till, used } = open();
  await till.buy('neon', RAIN, 'credits');
  assert.deepEqual([step(till), used], ['waiting', []]);
  assert.equal(requests[1].line, 'POST /v1/moments/m1/credit');
});

test('credits that do not suffice are said', async () => {
  serve([[201, { id: 'm1', intent: 'i1' }], [402, { detail: 'the moment costs 100 credits; 0 are there' }]]);
  const { till } = open({ useBits: null });
  await till.buy('neon', RAIN, 'credits');
  const purchase = till.purchase ?? assert.fail();
  assert.deepEqual(standing(purchase, null), { step: 'refused', ended: true, reason: 'the moment costs 100 credits; 0 are there' });
});

test('what has no name of its own is called by its SKU, and what has no SKU is not offered', () => {
  const told = { products: [{ sku: 'rain', price: 100, duration_s: 15 }, { name: 'x' }] };
  assert.deepEqual(productsIn(told), [{ sku: 'rain', name: 'rain', price: 100, seconds: 15 }]);
  assert.deepEqual(productsIn(null), []);
});
