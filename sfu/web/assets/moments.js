/**
 * What a channel looks like, from its snapshot and its events: a pure reducer, no clock and no network.
 *
 * Events may come shuffled, twice, or after the snapshot that already includes them. Every part of the state is therefore
 * a "newest wins" register: stream, warnings, pipeline, viewers and queue by event number, each moment by its own version. Joining
 * such registers gives the same result in any order.
 */

/** @typedef {import('./api.js').Channel} Channel */
/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./api.js').Pipeline} Pipeline */
/** @typedef {{ n: number, at: number, type: string, version: number, data: any }} ChannelEvent */
/** @typedef {{ n: number, moment: Moment }} Entry */
/** @template T @typedef {{ n: number, value: T }} Register */

/**
 * @typedef {object} State
 * @property {Register<{ live: boolean, audio: boolean, video: boolean }>} stream
 * @property {Register<string[]>} warnings what is wrong with what the publisher sends
 * @property {Register<Pipeline>} pipeline
 * @property {Register<number>} viewers
 * @property {Register<Moment[]>} queue
 * @property {Register<{ liveId: string | null, pipelines: string[], fallback: string | null }>} snapshot the newest snapshot's word on what was running
 * @property {ReadonlyMap<string, Entry>} moments newest version of every moment heard of
 */

/**
 * What pages show.
 * @typedef {object} View
 * @property {boolean} known false until a snapshot has come
 * @property {boolean} live
 * @property {boolean} audio
 * @property {boolean} video
 * @property {string[]} warnings what is wrong with what the publisher sends, though it is shown
 * @property {number} viewers
 * @property {Pipeline} pipeline
 * @property {string[]} pipelines
 * @property {string | null} defaultPipeline
 * @property {Moment | null} moment
 * @property {Moment[]} queue
 * @property {Moment | null} last
 */

/** Ended moments remembered; more than a page can show, few enough to stay open for a month. */
const REMEMBERED = 300;
const NEVER = -1;

/** The state before anything was heard. @returns {State} */
export function initial() {
  return {
    stream: { n: NEVER, value: { live: false, audio: false, video: false } },
    warnings: { n: NEVER, value: [] },
    pipeline: { n: NEVER, value: { state: 'cold', name: null, reason: null } },
    viewers: { n: NEVER, value: 0 },
    queue: { n: NEVER, value: [] },
    snapshot: { n: NEVER, value: { liveId: null, pipelines: [], fallback: null } },
    moments: new Map(),
  };
}

/** The state after one more event, in whatever order it came. Unknown types change nothing. @param {State} state @param {ChannelEvent} event @returns {State} */
export function apply(state, event) {
  const { n, type, data } = event;
  if (type === 'snapshot') return applySnapshot(state, data);
  if (type === 'stream.live') return applyStream(state, n, { live: true, audio: data.audio, video: data.video });
  if (type === 'stream.offline') return applyStream(state, n, { live: false, audio: false, video: false });
  if (type === 'stream.warning') return { ...state, warnings: newest(state.warnings, n, data.warnings) };
  if (type === 'viewers') return { ...state, viewers: newest(state.viewers, n, data.viewers) };
  if (type === 'queue.changed') {
    return { ...state, queue: newest(state.queue, n, data.queue), moments: learn(state.moments, n, data.queue) };
  }
  if (type === 'pipeline.params' || type === 'pipeline.status') return state;
  if (type.startsWith('pipeline.')) {
    return { ...state, pipeline: newest(state.pipeline, n, { state: data.state, name: data.name, reason: data.reason }) };
  }
  if (type.startsWith('moment.')) return { ...state, moments: learn(state.moments, n, [data]) };
  return state;
}

/** Another publisher, or none: what was wrong with the one before is forgotten. @param {State} state @param {number} n @param {{ live: boolean, audio: boolean, video: boolean }} stream @returns {State} */
function applyStream(state, n, stream) {
  return { ...state, stream: newest(state.stream, n, stream), warnings: newest(state.warnings, n, []) };
}

/** @param {State} state @param {Channel} channel @returns {State} */
function applySnapshot(state, channel) {
  const n = channel.event;
  const named = [...channel.queue, channel.moment, channel.last].filter((moment) => moment !== null);
  return {
    stream: newest(state.stream, n, { live: channel.live, audio: channel.audio, video: channel.video }),
    warnings: newest(state.warnings, n, channel.warnings),
    pipeline: newest(state.pipeline, n, channel.pipeline),
    viewers: newest(state.viewers, n, channel.viewers),
    queue: newest(state.queue, n, channel.queue),
    snapshot: newest(state.snapshot, n, {
      liveId: channel.moment?.id ?? null,
      pipelines: channel.pipelines,
      fallback: channel.default_pipeline,
    }),
    moments: learn(state.moments, n, named),
  };
}

/** Takes a moment read outside the event stream: it can correct what is known of it, but claims no place in time. @param {State} state @param {Moment} moment @returns {State} */
export function correct(state, moment) {
  return { ...state, moments: learn(state.moments, NEVER, [moment]) };
}

/** What a page shows of this state. @param {State} state @returns {View} */
export function view(state) {
  const entries = [...state.moments.values()];
  return {
    known: state.snapshot.n !== NEVER,
    ...state.stream.value,
    warnings: state.warnings.value,
    viewers: state.viewers.value,
    pipeline: state.pipeline.value,
    pipelines: state.snapshot.value.pipelines,
    defaultPipeline: state.snapshot.value.fallback,
    moment: latest(entries.filter((entry) => isLive(state, entry))),
    queue: waiting(state, entries),
    last: latest(entries.filter(({ n, moment }) => n !== NEVER && hasEnded(moment))),
  };
}

/**
 * What is known of one moment. `current` is false when a newer snapshot no longer names it: it has ended unseen and is
 * worth asking for.
 * @param {State} state
 * @param {string} id
 * @returns {{ moment: Moment, current: boolean } | null}
 */
export function find(state, id) {
  const entry = state.moments.get(id);
  if (!entry) return null;
  const queued = waiting(state, [entry]).some((moment) => moment.id === id);
  return { moment: entry.moment, current: isEarly(entry.moment) || hasEnded(entry.moment) || queued || isLive(state, entry) };
}

/** True before it is let into the queue: no snapshot names it. @param {Moment} moment */
function isEarly({ state }) {
  return state === 'submitted' || state === 'pending_approval';
}

/** What a moment that is over is in. */
const ENDED = new Set(['completed', 'rejected', 'expired', 'failed', 'cancelled']);

/** True in the states a moment does not leave by itself. @param {Moment} moment */
export function hasEnded({ state }) {
  return ENDED.has(state);
}

/** @param {State} state @param {Entry} entry */
function isLive({ snapshot }, { n, moment }) {
  if (moment.state !== 'warming' && moment.state !== 'active') return false;
  return n > snapshot.n || moment.id === snapshot.value.liveId;
}

/** The queue as last listed, less those that moved on, plus those that came since. @param {State} state @param {Entry[]} entries @returns {Moment[]} */
function waiting({ queue, moments }, entries) {
  const listed = queue.value.filter((moment) => moments.get(moment.id)?.moment.state === 'queued');
  const ids = new Set(listed.map((moment) => moment.id));
  const since = entries
    .filter(({ n, moment }) => n > queue.n && moment.state === 'queued' && !ids.has(moment.id))
    .sort((a, b) => a.n - b.n);
  return [...listed, ...since.map((entry) => entry.moment)];
}

/** @param {Entry[]} entries @returns {Moment | null} */
function latest(entries) {
  /** @type {Entry | null} */
  let best = null;
  for (const entry of entries) {
    if (!best || entry.n > best.n) best = entry;
  }
  return best?.moment ?? null;
}

/** @template T @param {Register<T>} register @param {number} n @param {T} value @returns {Register<T>} */
function newest(register, n, value) {
  return n > register.n ? { n, value } : register;
}

/** @param {ReadonlyMap<string, Entry>} known @param {number} n @param {Moment[]} moments @returns {ReadonlyMap<string, Entry>} */
function learn(known, n, moments) {
  const next = new Map(known);
  for (const moment of moments) {
    const old = next.get(moment.id);
    const newer = !old || moment.version > old.moment.version || (moment.version === old.moment.version && n > old.n);
    if (newer) next.set(moment.id, { n, moment });
  }
  return forget(next);
}

/** @param {Map<string, Entry>} moments */
function forget(moments) {
  const ended = [...moments.values()].filter(({ moment }) => hasEnded(moment));
  if (ended.length > REMEMBERED) {
    ended.sort((a, b) => a.n - b.n);
    for (const { moment } of ended.slice(0, ended.length - REMEMBERED)) moments.delete(moment.id);
  }
  return moments;
}
