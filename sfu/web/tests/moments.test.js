import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apply, applyQueue, correct, find, heardUntil, initial, view } from '../assets/moments.js';
import { ChannelModel } from './channelmodel.js';
import { below, generator, shuffled } from './random.js';

/** @typedef {import('../assets/moments.js').ChannelEvent} ChannelEvent */
/** @typedef {import('../assets/moments.js').State} State */

/** @param {ChannelEvent[]} events @param {State} [from] */
function fold(events, from = initial()) {
  return events.reduce(apply, from);
}

/** @param {number} seed @param {number} steps */
function modelAfter(seed, steps) {
  const random = generator(seed);
  const model = new ChannelModel(random);
  const snapshots = [model.snapshotEvent()];
  for (let step = 0; step < steps; step += 1) {
    model.step();
    if (random() < 0.1) snapshots.push(model.snapshotEvent());
  }
  return { random, model, snapshots };
}

test('events in order end in the state of the snapshot', () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const { model, snapshots } = modelAfter(seed, 1 + (seed % 60));
    const followed = fold([snapshots[0], ...model.events]);
    assert.deepEqual(view(followed), view(fold([model.snapshotEvent()])), `seed ${seed}`);
  }
});

test('shuffled, repeated and late events and snapshots end in the state of the newest snapshot', () => {
  for (let seed = 1; seed <= 500; seed += 1) {
    const { random, model, snapshots } = modelAfter(seed, 1 + (seed % 60));
    const heard = [...snapshots, ...model.events];
    const repeated = heard.filter(() => random() < 0.3);
    const state = fold(shuffled(random, [...heard, ...repeated]));
    assert.deepEqual(view(state), view(fold([model.snapshotEvent()])), `seed ${seed}`);
  }
});

test('a late joiner with any snapshot and any part of the earlier events agrees with it', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const { random, model } = modelAfter(seed, 5 + (seed % 50));
    const early = model.events.slice(below(random, model.events.length + 1)).filter(() => random() < 0.5);
    const state = fold(shuffled(random, [...early, model.snapshotEvent()]));
    assert.deepEqual(view(state), view(fold([model.snapshotEvent()])), `seed ${seed}`);
  }
});

test('every prefix of the stream shows the model of that time', () => {
  const random = generator(7);
  const model = new ChannelModel(random);
  let state = fold([model.snapshotEvent()]);
  let seen = 0;
  for (let step = 0; step < 400; step += 1) {
    model.step();
    state = fold(model.events.slice(seen), state);
    seen = model.events.length;
    assert.deepEqual(view(state), view(fold([model.snapshotEvent()])), `step ${step}`);
  }
});

test('a moderator who asks for the queue now and then knows what is in review, whatever is late, repeated or lost', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = generator(seed);
    const model = new ChannelModel(random);
    let state = apply(initial(), untold(model.snapshotEvent()));
    /** @type {Array<{ n: number, told: import('../assets/moments.js').QueueView }>} */
    const answers = [];
    /** @type {ChannelEvent[]} */
    let late = [];
    for (let step = 0; step < 60; step += 1) {
      const n = heardUntil(state);
      const before = model.events.length;
      model.step();
      if (random() < 0.3) answers.push({ n, told: model.queue() });
      late.push(...model.events.slice(before));
      if (random() < 0.6) {
        state = fold(shuffled(random, [...late, ...late.slice(0, 1)]), state);
        late = [];
      }
      const answered = answers.splice(0, below(random, answers.length + 1));
      for (const { n: at, told } of shuffled(random, answered)) state = applyQueue(state, at, told);
    }
    // Events that nobody sends again: the server did not resume, and the page asked anew.
    const lost = random() < 0.5;
    state = lost ? apply(state, untold(model.snapshotEvent())) : fold(late, state);
    state = applyQueue(state, heardUntil(state), model.queue());
    const { pending, queue, paused } = view(state);
    assert.deepEqual({ pending, queue, paused }, model.queue(), `seed ${seed}`);
  }
});

test('a moment leaves the queue as soon as it warms, before the queue itself is told', () => {
  const { moment, events } = oneQueued();
  const state = fold([...events, { n: 3, at: 0, type: 'moment.warming', version: 3, data: { ...moment, state: 'warming', version: 2 } }]);
  assert.deepEqual(view(state).queue, []);
  assert.equal(view(state).moment?.id, moment.id);
});

test('a moment that ended unseen is no longer current, and a reading of it corrects that', () => {
  const { moment, events } = oneQueued();
  const later = new ChannelModel(generator(1)).snapshot();
  const state = fold([...events, { n: 9, at: 0, type: 'snapshot', version: 9, data: { ...later, event: 9 } }]);
  assert.equal(find(state, moment.id)?.current, false);
  const corrected = correct(state, { ...moment, state: 'completed', version: 4 });
  assert.equal(find(corrected, moment.id)?.current, true);
  assert.equal(find(corrected, moment.id)?.moment.state, 'completed');
  assert.equal(view(corrected).last, null, 'a reading claims no place in time');
});

test('a warning belongs to the publisher that it came with', () => {
  const at = (/** @type {number} */ n, /** @type {string} */ type, data = {}) => ({ n, at: 0, type, version: 0, data });
  const live = { audio: true, video: true };
  const warned = [at(2, 'stream.warning', { warnings: ['b_frames'] }), at(1, 'stream.live', live)];
  assert.deepEqual(view(fold(warned)).warnings, ['b_frames'], 'whichever is heard first');
  assert.deepEqual(view(fold([...warned, at(3, 'stream.offline')])).warnings, []);
  assert.deepEqual(view(fold([...warned, at(3, 'stream.live', live)])).warnings, [], 'another has taken over');
});

test('a type from the future changes nothing', () => {
  const state = fold([new ChannelModel(generator(1)).snapshotEvent()]);
  assert.deepEqual(view(apply(state, { n: 5, at: 0, type: 'weather', version: 5, data: {} })), view(state));
});

test('nothing is known before the first snapshot', () => {
  assert.equal(view(initial()).known, false);
  assert.equal(find(initial(), 'm1'), null);
});

/** A snapshot as viewers get it. @param {ChannelEvent} event @returns {ChannelEvent} */
function untold(event) {
  const { pending: _, ...data } = event.data;
  return { ...event, data };
}

function oneQueued() {
  const random = generator(3);
  const model = new ChannelModel(random);
  const start = model.snapshotEvent();
  while (model.snapshot().queue.length === 0) model.step();
  const events = [start, ...model.events.filter(({ type }) => type === 'moment.queued' || type === 'queue.changed')];
  const renumbered = events.map((event, index) => ({ ...event, n: index }));
  return { moment: model.snapshot().queue[0], events: renumbered };
}
