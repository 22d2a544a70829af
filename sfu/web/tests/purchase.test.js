import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apply, find, initial, view } from '../assets/moments.js';
import { note, standing, unsettled, wish } from '../assets/purchase.js';
import { placeAfterDrop, placeAfterStep, secondsUntilTurn, waitWords } from '../assets/wait.js';
import { productWords, purchaseWords } from '../assets/words.js';
import { ChannelModel } from './channelmodel.js';
import { below, generator, shuffled } from './random.js';

/** @typedef {import('../assets/purchase.js').Fact} Fact */
/** @typedef {import('../assets/purchase.js').Purchase} Purchase */

const TAKEN = /** @type {Fact} */ ({ type: 'taken', moment: 'm1', intent: 'i', waitS: 120 });
const PAID = /** @type {Fact} */ ({ type: 'paid', transaction: 't1', receipt: 'r1' });
const SETTLED = /** @type {Fact} */ ({ type: 'settled', transaction: 't1' });

/** @param {Fact[]} facts @param {Purchase} [from] */
function heard(facts, from = wish('k', 'rain', 'rain')) {
  return facts.reduce(note, from);
}

/** @param {object} change */
function moment(change) {
  return /** @type {import('../assets/api.js').Moment} */ ({
    id: 'm1', channel: 'lobby', prompt: 'rain', pipeline: 'x', state: 'queued', duration_s: 15, version: 2, position: null,
    created_at: 0, active_at: null, ends_at: null, ended_at: null, reason: null, ...change,
  });
}

test('a purchase goes from asking over paying and confirming to waiting', () => {
  const steps = [[], [TAKEN], [TAKEN, PAID], [TAKEN, PAID, SETTLED]].map((facts) => standing(heard(facts), null).step);
  assert.deepEqual(steps, ['asking', 'paying', 'confirming', 'waiting']);
});

test('facts in any order, some of them twice, give the same purchase', () => {
  /** @type {Fact[]} */
  const all = [
    TAKEN, PAID, SETTLED, { type: 'abandoned' }, { type: 'paid', transaction: 't2', receipt: 'r2' },
    { type: 'spoiled', transaction: 't2', reason: 'used already' }, { type: 'refused', reason: 'offline' },
  ];
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = generator(seed);
    const some = all.filter(() => random() < 0.7);
    const again = some.filter(() => random() < 0.5);
    const other = shuffled(random, [...some, ...again]);
    assert.deepEqual(heard(other), heard(some), `seed ${seed}`);
    assert.deepEqual(standing(heard(other), null), standing(heard(some), null), `seed ${seed}`);
  }
});

test('facts and events of the channel, shuffled, late and repeated, end where the snapshot is', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = generator(seed);
    const model = new ChannelModel(random);
    while (!model.events.some(({ type }) => type === 'moment.pending')) model.step();
    for (let step = below(random, 40); step > 0; step -= 1) model.step();
    const mine = model.events.find(({ type }) => type === 'moment.pending')?.data.id;
    const facts = /** @type {Fact[]} */ ([{ ...TAKEN, moment: mine }, PAID, SETTLED]);
    const purchase = heard(shuffled(random, [...facts, ...facts.slice(below(random, 3))]));
    const late = model.events.filter(() => random() < 0.3);
    const state = shuffled(random, [...model.events, ...late, model.snapshotEvent()]).reduce(apply, initial());
    const newest = model.events.filter(({ data }) => data.id === mine).at(-1)?.data;
    const snapshot = model.snapshot();
    const listed = [snapshot.moment, ...snapshot.queue, ...(snapshot.pending ?? [])].find((m) => m?.id === mine) ?? null;
    const { step } = standing(purchase, find(state, mine)?.moment ?? null);
    assert.equal(step, listed?.state ?? newest.state, `seed ${seed}`);
    assert.equal(view(state).queue.findIndex(({ id }) => id === mine), snapshot.queue.findIndex(({ id }) => id === mine), `seed ${seed}`);
  }
});

test('a payment counts although its window was closed, or its moment expired meanwhile', () => {
  const closed = heard([TAKEN, { type: 'abandoned' }]);
  assert.deepEqual(standing(closed, moment({ state: 'submitted' })), { step: 'abandoned', ended: true, reason: null });
  const late = note(closed, PAID);
  assert.equal(standing(late, moment({ state: 'expired' })).step, 'confirming');
  assert.deepEqual(unsettled(late), [{ transaction: 't1', receipt: 'r1' }]);
  assert.equal(standing(note(late, SETTLED), moment({ state: 'pending_approval' })).step, 'pending_approval');
});

test('a receipt that the server has counted, or never will, is not sent again', () => {
  assert.deepEqual(unsettled(heard([PAID, SETTLED])), []);
  const spoiled = heard([TAKEN, PAID, { type: 'spoiled', transaction: 't1', reason: 'used already' }]);
  assert.deepEqual(unsettled(spoiled), []);
  assert.deepEqual(standing(spoiled, null), { step: 'spoiled', ended: true, reason: 'used already' });
});

test('what costs nothing waits at once', () => {
  assert.equal(standing(heard([{ type: 'taken', moment: 'm1', intent: null, waitS: null }]), null).step, 'waiting');
});

test('the status line says place, likely wait, refusal and credit', () => {
  const words = (/** @type {object} */ change, wait = 118) => {
    const one = moment(change);
    return purchaseWords(standing(heard([TAKEN, PAID, SETTLED]), one), one, { place: 3, left: null, wait });
  };
  assert.equal(words({ state: 'pending_approval' }), 'In review');
  assert.equal(words({ state: 'queued' }), 'Waiting, position 3 (about 2 min)');
  assert.equal(words({ state: 'warming' }), 'Warming up');
  assert.equal(words({ state: 'completed' }), 'Done');
  const refused = words({ state: 'rejected', reason: 'not today', compensation: 'credited', price: 100 });
  assert.equal(refused, 'Not approved: not today. 100 credits came back to you for another one.');
});

test('Bits are used, never bought or spent', () => {
  const product = { sku: 'rain', name: 'Rain', price: 100, seconds: 15 };
  assert.equal(productWords(product, 'bits'), 'Use 100 Bits');
  assert.equal(productWords(product, 'credits'), 'Use 100 credits');
  assert.equal(productWords({ ...product, price: 0 }, 'bits'), 'Send for free');
});

test('the wait is what is left of the one that runs and all of those before', () => {
  const base = view([new ChannelModel(generator(1)).snapshotEvent()].reduce(apply, initial()));
  const channel = {
    ...base, live: true, moment: moment({ id: 'a', state: 'active', ends_at: 10_000 }), queue: [moment({ id: 'b' }), moment({ id: 'c' })],
  };
  assert.equal(secondsUntilTurn(channel, 'b', 4000), 6 + 3);
  assert.equal(secondsUntilTurn(channel, 'c', 4000), 6 + 3 + 15 + 3);
  assert.equal(secondsUntilTurn({ ...channel, moment: null }, 'b', 4000), 0);
  assert.equal(secondsUntilTurn({ ...channel, paused: true }, 'b', 4000), null);
  assert.equal(secondsUntilTurn(channel, 'z', 4000), null);
  assert.deepEqual([0, 12, 44, 50, 130].map(waitWords), ['about 5 s', 'about 15 s', 'about 45 s', 'about 1 min', 'about 2 min']);
});

test('a dropped moment takes the place of the one it is dropped on', () => {
  assert.equal(placeAfterDrop(['a', 'b', 'c'], 'a', 'c'), 3);
  assert.equal(placeAfterDrop(['a', 'b', 'c'], 'c', 'a'), 1);
  assert.equal(placeAfterDrop(['a', 'b', 'c'], 'b', 'b'), null);
  assert.equal(placeAfterDrop(['a', 'b'], 'gone', 'b'), null);
  assert.deepEqual([placeAfterStep(['a', 'b'], 'a', 1), placeAfterStep(['a', 'b'], 'a', -1), placeAfterStep(['a', 'b'], 'b', 1)], [2, null, null]);
});
