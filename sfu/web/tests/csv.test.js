import assert from 'node:assert/strict';
import { test } from 'node:test';

import { channelsAsCsv, daysAsCsv, totals } from '../assets/csv.js';
import { ChannelModel } from './channelmodel.js';
import { generator } from './random.js';

/** @param {object} change */
function channel(change) {
  return { ...new ChannelModel(generator(1)).snapshot(), ...change };
}

test('a channel is a row, and what has no value is an empty field', () => {
  const [head, row, end] = channelsAsCsv([channel({ channel: 'lobby', viewers: 3 })]).split('\r\n');
  assert.equal(head, 'channel,live,viewers,pipeline,pipeline_state,moment_state,moment,waiting,paused');
  assert.deepEqual([row, end], ['lobby,false,3,,cold,,,0,false', '']);
});

test('a prompt is neither a formula nor the end of a field', () => {
  const shown = (/** @type {string} */ prompt) => channelsAsCsv([channel({ moment: { state: 'active', prompt } })]).split('\r\n')[1];
  assert.ok(shown('=HYPERLINK(1)').includes(",'=HYPERLINK(1),"));
  assert.ok(shown('say "hi", now').includes(',"say ""hi"", now",'));
});

test('a day is a row with its date in UTC', () => {
  const days = [{ at: Date.UTC(2026, 10, 28), streams: 2, viewers: 30, peak: 12 }];
  assert.equal(daysAsCsv(days), 'day,streams,viewers,peak\r\n2026-11-28,2,30,12\r\n');
});

test('the totals count what runs', () => {
  const warm = { state: 'warm', name: 'x', reason: null };
  const all = [channel({ live: true, viewers: 2, pipeline: warm }), channel({ viewers: 1, queue: [{}, {}] })];
  assert.deepEqual(totals(all), { channels: 2, live: 1, viewers: 3, loaded: 1, waiting: 2 });
});
