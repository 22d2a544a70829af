import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { Applied, appliedWords } from '../assets/applied.js';
import { Debounce } from '../assets/debounce.js';
import { slidersOf, stepsOf } from '../assets/sliders.js';

beforeEach((context) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  if ('after' in context) context.after(() => mock.timers.reset());
});

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('the sliders give the published lists', () => {
  assert.deepEqual(stepsOf(4, 5, 50), [12, 24, 35, 47]);
  assert.deepEqual(stepsOf(4, 10, 50), [8, 16, 23, 31]);
  assert.deepEqual(stepsOf(1, 5, 50), [12]);
  assert.deepEqual(stepsOf(9, 99, 50), stepsOf(4, 10, 50));
});

test('the list of two sliders always rises and stays in the schedule', () => {
  for (let quality = 1; quality <= 4; quality += 1) {
    for (let tenth = 0; tenth <= 100; tenth += 1) {
      for (const steps of [1, 2, 3, 4, 10, 50]) {
        const list = stepsOf(quality, tenth / 10, steps);
        assert.equal(list.length, Math.min(quality, steps));
        assert.ok(list.every((step, index) => step < steps && step > (list[index - 1] ?? -1)), `${quality} ${tenth} ${steps}: ${list}`);
      }
    }
  }
});

test('a list that the sliders gave is found again, another one is near', () => {
  for (let quality = 1; quality <= 4; quality += 1) {
    for (let creativity = 0; creativity <= 10; creativity += 1) {
      const found = slidersOf(stepsOf(quality, creativity, 50), 50);
      assert.deepEqual(stepsOf(found.quality, found.creativity, 50), stepsOf(quality, creativity, 50));
      assert.equal(found.exact, true);
    }
  }
  assert.deepEqual(slidersOf([12, 20, 32], 50), { quality: 3, creativity: 7, exact: false });
});

test('a slider that is drawn sends its last value once it rests for half a second', async () => {
  /** @type {number[]} */
  const sent = [];
  const debounce = new Debounce(500, async (/** @type {number} */ value) => void sent.push(value));
  for (const value of [1, 2, 3]) {
    debounce.push(value);
    mock.timers.tick(499);
  }
  assert.deepEqual([sent, debounce.waiting], [[], 3]);
  mock.timers.tick(1);
  await settled();
  assert.deepEqual([sent, debounce.waiting], [[3], null]);
});

test('what is changed while a request is under way follows it', async () => {
  /** @type {number[]} */
  const sent = [];
  /** @type {() => void} */
  let answer = () => {};
  const debounce = new Debounce(500, (/** @type {number} */ value) => {
    sent.push(value);
    return new Promise((resolve) => {
      answer = () => resolve();
    });
  });
  debounce.push(1);
  mock.timers.tick(500);
  debounce.push(2);
  mock.timers.tick(500);
  assert.deepEqual(sent, [1]);
  answer();
  await settled();
  assert.deepEqual(sent, [1, 2]);
});

test('the toast waits for the event, whichever of answer and event is first', () => {
  const event = { applied: true, hash: 'ab', fields: ['seed'], reason: null };
  const first = new Applied();
  assert.equal(first.answered('ab'), null);
  assert.equal(first.told(event), event);
  assert.equal(first.told(event), null, 'and it is shown once');
  const late = new Applied();
  assert.equal(late.told(event), null);
  assert.equal(late.answered('ab'), event);
  assert.equal(late.answered('other'), null);
});

test('a toast says what holds, what is kept, and what was refused', () => {
  const event = { applied: true, hash: '', fields: ['t_index_list', 'seed'], reason: null };
  assert.equal(appliedWords(event), 'Applied: quality and creativity, seed');
  assert.equal(appliedWords({ ...event, applied: false }), 'Kept for the next pipeline: quality and creativity, seed');
  assert.equal(appliedWords({ ...event, applied: false, reason: 'no memory' }), 'Not applied: no memory');
});
