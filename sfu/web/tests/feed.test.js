import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Feed } from '../assets/feed.js';
import { ChannelModel } from './channelmodel.js';
import { generator } from './random.js';

/** @typedef {import('../assets/moments.js').ChannelEvent} ChannelEvent */

/** Answers each request for events with the next list; the stream then ends. @param {import('node:test').TestContext} context @param {ChannelEvent[][]} answers */
function serve(context, answers) {
  /** @type {string[]} */
  const lastIds = [];
  context.mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    assert.equal(path, '/v1/channels/lobby/events');
    lastIds.push(new Headers(init.headers).get('Last-Event-ID') ?? '');
    const events = answers.shift();
    // Without another answer the request stays open until the page ends it.
    if (!events) return new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal?.reason)));
    return new Response(events.map((event) => `id: ${event.n}\ndata: ${JSON.stringify(event)}\n\n`).join(''));
  });
  return lastIds;
}

/** A started feed that never pauses, and a promise for the moment when a condition holds. */
function start() {
  /** @type {(() => void) | null} */
  let news = null;
  const feed = new Feed('lobby', {
    changed: () => {
      if (!feed.connected) setImmediate(() => feed.retryNow());
      news?.();
    },
    denied: () => assert.fail('nobody asked for a token'),
  });
  feed.start();
  const until = async (/** @type {() => boolean} */ holds) => {
    while (!holds()) {
      await new Promise((resolve) => {
        news = () => resolve(undefined);
      });
    }
  };
  return { feed, until };
}

/** @param {number} seed @param {number} steps */
function modelAfter(seed, steps) {
  const model = new ChannelModel(generator(seed));
  for (let step = 0; step < steps; step += 1) model.step();
  return model;
}

test('a server that was replaced and counts from the beginning is believed', async (context) => {
  const old = modelAfter(1, 60);
  const replaced = modelAfter(2, 3);
  const lastIds = serve(context, [[old.snapshotEvent()], [replaced.snapshotEvent()]]);
  const { feed, until } = start();
  await until(() => feed.events.length === 2 && feed.connected);
  feed.stop();
  assert.ok(replaced.events.length < old.events.length);
  assert.equal(lastIds[1], String(old.events.length));
  assert.equal(feed.view.viewers, replaced.snapshot().viewers);
  assert.equal(feed.view.live, replaced.snapshot().live);
  assert.deepEqual(feed.view.queue, replaced.snapshot().queue);
});

test('a resumed stream goes on where it was', async (context) => {
  const model = modelAfter(3, 5);
  const snapshot = model.snapshotEvent();
  const before = model.events.length;
  for (let step = 0; step < 20; step += 1) model.step();
  serve(context, [[snapshot], model.events.slice(before)]);
  const { feed, until } = start();
  await until(() => feed.events.at(-1)?.n === model.events.length);
  feed.stop();
  assert.deepEqual(feed.view.queue, model.snapshot().queue);
  assert.deepEqual(feed.view.moment, model.snapshot().moment);
  assert.deepEqual(feed.view.last, model.snapshot().last);
});

test('the log keeps the last 200 events', async (context) => {
  const model = modelAfter(4, 300);
  assert.ok(model.events.length > 250);
  serve(context, [model.events]);
  const { feed, until } = start();
  await until(() => feed.events.at(-1)?.n === model.events.length);
  feed.stop();
  assert.equal(feed.events.length, 200);
  assert.equal(feed.events[0].n, model.events.length - 199);
});
