import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Backoff } from '../assets/backoff.js';
import { generator } from './random.js';

test('every delay lies between 0.5 and 10 seconds', () => {
  const backoff = new Backoff(generator(11));
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const delay = backoff.next();
    assert.ok(delay >= 500 && delay <= 10_000, `attempt ${attempt}: ${delay}`);
  }
});

test('the longest delay doubles up to ten seconds, and starts over after a success', () => {
  const backoff = new Backoff(() => 0.999_999);
  const delays = Array.from({ length: 7 }, () => backoff.next());
  assert.deepEqual(delays, [1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
  backoff.reset();
  assert.equal(backoff.next(), 1000);
});

test('two pages do not come back at the same time', () => {
  const one = new Backoff(generator(1));
  const two = new Backoff(generator(2));
  assert.notEqual(one.next(), two.next());
});
