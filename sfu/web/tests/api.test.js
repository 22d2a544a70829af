import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { json } from '../assets/api.js';

/** Answers each request with the next status; notes what was asked. @param {import('node:test').TestContext} context @param {number[]} statuses */
function serve(context, statuses) {
  /** @type {string[]} */
  const asked = [];
  mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {RequestInit} */ init) => {
    asked.push(`${init.method} ${path}`);
    return new Response('{}', { status: statuses.shift() });
  });
  context.after(() => mock.restoreAll());
  return asked;
}

test('a request of a session that is over is made again once it is renewed', async (context) => {
  const asked = serve(context, [401, 200, 200]);
  await json('PUT', '/v1/x', null, { a: 1 });
  assert.deepEqual(asked, ['PUT /v1/x', 'POST /v1/auth/refresh', 'PUT /v1/x']);
});

test('several that are refused at once renew it once', async (context) => {
  const asked = serve(context, [401, 401, 200, 200, 200]);
  await Promise.all([json('GET', '/v1/a', null), json('GET', '/v1/b', null)]);
  assert.equal(asked.filter((line) => line === 'POST /v1/auth/refresh').length, 1);
});

test('nobody is asked for a password of a stranger twice', async (context) => {
  const asked = serve(context, [401, 401, 401, 403]);
  for (const path of ['/v1/a', '/v1/b', '/v1/c']) await assert.rejects(json('GET', path, null));
  assert.deepEqual(asked, ['GET /v1/a', 'POST /v1/auth/refresh', 'GET /v1/b', 'GET /v1/c']);
});
