import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { ApiError } from '../assets/api.js';
import { Backoff } from '../assets/backoff.js';
import { EventStream } from '../assets/events.js';

/** A server side for the stream: every opening waits for the test to answer it. */
class Server {
  /** @type {Array<{ lastId: string, signal: AbortSignal, answer: (response: Response) => void, refuse: (error: Error) => void }>} */
  openings = [];
  /** @type {(() => void) | null} */
  #arrived = null;

  /** @type {import('../assets/events.js').Opener} */
  open = (lastId, signal) =>
    new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
      this.openings.push({ lastId, signal, answer: resolve, refuse: reject });
      this.#arrived?.();
    });

  /** The n-th opening, once it has come. @param {number} index */
  async opening(index) {
    while (this.openings.length <= index) {
      await new Promise((resolve) => {
        this.#arrived = () => resolve(undefined);
      });
    }
    return this.openings[index];
  }
}

/** A response whose body the test writes. */
function streamed() {
  /** @type {ReadableStreamDefaultController<Uint8Array> | undefined} */
  let controller;
  const body = new ReadableStream({ start: (given) => void (controller = given) });
  const encoder = new TextEncoder();
  return {
    response: new Response(body),
    /** @param {number} n @param {string} type */
    event: (n, type) => controller?.enqueue(encoder.encode(`id: ${n}\nevent: ${type}\ndata: {"n":${n},"type":"${type}"}\n\n`)),
    end: () => controller?.close(),
  };
}

/** A listener that remembers, and tells when something comes. */
class Recorder {
  /** @type {string[]} */
  heard = [];
  /** @type {(() => void) | null} */
  #news = null;

  /** @type {import('../assets/events.js').Listener} */
  listener = {
    event: ({ n, type }, first) => this.#note(`${type} ${n}${first ? ' first' : ''}`),
    connected: (open) => this.#note(open ? 'open' : 'down'),
    denied: ({ status }) => this.#note(`denied ${status}`),
  };

  /** @param {number} count */
  async until(count) {
    while (this.heard.length < count) {
      await new Promise((resolve) => {
        this.#news = () => resolve(undefined);
      });
    }
    return this.heard;
  }

  /** @param {string} words */
  #note(words) {
    this.heard.push(words);
    this.#news?.();
  }
}

beforeEach((context) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  if ('after' in context) context.after(() => mock.timers.reset());
});

test('a connection that ends is resumed after the last event, later', async () => {
  const server = new Server();
  const recorder = new Recorder();
  const stream = new EventStream(server.open, recorder.listener, new Backoff(() => 0.5));
  stream.start();

  const first = streamed();
  const opening = await server.opening(0);
  assert.equal(opening.lastId, '');
  opening.answer(first.response);
  first.event(7, 'snapshot');
  first.event(8, 'viewers');
  first.end();
  assert.deepEqual(await recorder.until(4), ['open', 'snapshot 7 first', 'viewers 8', 'down']);
  assert.equal(server.openings.length, 1, 'it does not come back at once');

  mock.timers.tick(749);
  assert.equal(server.openings.length, 1);
  mock.timers.tick(1);
  const second = await server.opening(1);
  assert.equal(second.lastId, '8');
  const resumed = streamed();
  second.answer(resumed.response);
  resumed.event(9, 'stream.live');
  assert.deepEqual((await recorder.until(6)).slice(4), ['open', 'stream.live 9 first']);
  stream.stop();
});

test('a stream that has fallen silent is given up and opened again', async () => {
  const server = new Server();
  const recorder = new Recorder();
  const stream = new EventStream(server.open, recorder.listener, new Backoff(() => 0));
  stream.start();
  const { response, event } = streamed();
  (await server.opening(0)).answer(response);
  event(1, 'snapshot');
  await recorder.until(2);
  mock.timers.tick(45_000);
  assert.ok(server.openings[0].signal.aborted);
  stream.stop();
});

test('a refused token stops the stream until it is started again', async () => {
  const server = new Server();
  const recorder = new Recorder();
  const stream = new EventStream(server.open, recorder.listener, new Backoff(() => 0));
  stream.start();
  (await server.opening(0)).refuse(new ApiError(401, 'a token is needed'));
  assert.deepEqual(await recorder.until(1), ['denied 401']);
  mock.timers.tick(60_000);
  assert.equal(server.openings.length, 1);
  stream.start();
  await server.opening(1);
  stream.stop();
});

test('a server that cannot be reached is tried again, at once when asked', async () => {
  const server = new Server();
  const recorder = new Recorder();
  const stream = new EventStream(server.open, recorder.listener, new Backoff(() => 0));
  stream.start();
  (await server.opening(0)).refuse(new ApiError(0, 'the server cannot be reached'));
  await recorder.until(1);
  await Promise.resolve();
  stream.retryNow();
  await server.opening(1);
  stream.stop();
  assert.ok(server.openings[1].signal.aborted, 'stopping ends the request');
});
