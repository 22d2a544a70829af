import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SseParser } from '../assets/sse.js';
import { below, generator } from './random.js';

const STREAM = [
  '\uFEFF: ping\n\n',
  'id: 1\nevent: snapshot\ndata: {"n":1,\ndata: "text":"grüße ✓"}\n\n',
  'id: 2\r\nevent: viewers\r\ndata:no space\r\n\r\n',
  ': ping\r\rdata: old mac\rretry: 10\r\r',
  'event: nothing\n\n',
  'unknown: field\ndata\ndata: after an empty line\n\n',
].join('');

const EXPECTED = [
  { id: '1', type: 'snapshot', data: '{"n":1,\n"text":"grüße ✓"}' },
  { id: '2', type: 'viewers', data: 'no space' },
  { id: '2', type: 'message', data: 'old mac' },
  { id: '2', type: 'message', data: '\nafter an empty line' },
];

test('one chunk gives every event', () => {
  assert.deepEqual(new SseParser().push(STREAM), EXPECTED);
});

test('the stream cut at any one place gives the same events', () => {
  for (let cut = 0; cut <= STREAM.length; cut += 1) {
    const parser = new SseParser();
    const events = [...parser.push(STREAM.slice(0, cut)), ...parser.push(STREAM.slice(cut))];
    assert.deepEqual(events, EXPECTED, `cut at ${cut}`);
  }
});

test('the stream cut at many places gives the same events', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = generator(seed);
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < STREAM.length; ) {
      const end = at + 1 + below(random, 7);
      events.push(...parser.push(STREAM.slice(at, end)));
      at = end;
    }
    assert.deepEqual(events, EXPECTED, `seed ${seed}`);
  }
});

test('an event without its blank line is not given yet', () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push('data: half'), []);
  assert.deepEqual(parser.push(' whole\n'), []);
  assert.deepEqual(parser.push('\n'), [{ id: '', type: 'message', data: 'half whole' }]);
});

test('an id with a NUL is ignored', () => {
  const [event] = new SseParser().push('id: 4\nid: 5\0\ndata: x\n\n');
  assert.equal(event.id, '4');
});
