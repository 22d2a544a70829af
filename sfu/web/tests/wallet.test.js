import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { Wallet } from '../assets/wallet.js';
import { balanceWords } from '../assets/words.js';

/** Holds each answer back until it is given. @param {import('node:test').TestContext} context */
function held(context) {
  /** @type {Array<(response: Response) => void>} */
  const answers = [];
  mock.method(globalThis, 'fetch', () => new Promise((resolve) => answers.push(resolve)));
  context.after(() => mock.restoreAll());
  return (/** @type {number} */ at, /** @type {number} */ status, /** @type {object} */ body) =>
    answers[at](new Response(JSON.stringify(body), { status }));
}

test('the answer to the newest question stands, in whatever order answers come', async (context) => {
  const answer = held(context);
  let changes = 0;
  const wallet = new Wallet('lobby', () => (changes += 1));
  const [first, second] = [wallet.refresh(), wallet.refresh()];
  answer(1, 200, { credits: 100 });
  await second;
  answer(0, 200, { credits: 0 });
  await first;
  assert.deepEqual([wallet.balance, changes], [100, 1]);
  assert.ok(wallet.covers(100) && !wallet.covers(101));
});

test('who is not signed in has no balance, and a server that is away changes none', async (context) => {
  const answer = held(context);
  const wallet = new Wallet('lobby', () => {});
  const first = wallet.refresh();
  answer(0, 200, { credits: 100 });
  await first;
  const away = wallet.refresh();
  answer(1, 503, {});
  await away;
  assert.equal(wallet.balance, 100);
  const stranger = wallet.refresh();
  answer(2, 401, {});
  await new Promise(setImmediate);
  // Nor has this browser a session that could be renewed.
  answer(3, 401, {});
  await stranger;
  // Nothing is known of them, so the server decides.
  assert.deepEqual([wallet.balance, wallet.covers(1000)], [null, true]);
});

test('credits are counted as people count', () => {
  assert.deepEqual([0, 1, 100].map(balanceWords), ['You have 0 credits.', 'You have 1 credit.', 'You have 100 credits.']);
});
