/**
 * What a channel looks like, from its snapshot and its events: a pure reducer, no clock and no network.
 *
 * Events may come shuffled, twice, or after the snapshot that already includes them. Every part of the state is therefore
 * a "newest wins" register: stream, warnings, pipeline, viewers, queue and review by event number, each moment by its own version.
 * Joining such registers gives the same result in any order.
 */

/** @typedef {import('./api.js').Channel} Channel */
/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./api.js').Pipeline} Pipeline */
/** @typedef {{ n: number, at: number, type: string, version: number, data: any }} ChannelEvent */
/** @typedef {{ n: number, moment: Moment }} Entry */
/** What only those are told who decide: the moments in review. @typedef {{ paused: boolean, queue: Moment[], pending?: Moment[] }} QueueView */
/** @template T @typedef {{ n: number, value: T }} Register */

/**
 * @typedef {object} State
 * @property {Register<{ live: boolean, audio: boolean, video: boolean }>} stream
 * @property {Register<string[]>} warnings what is wrong with what the publisher sends
 * @property {Register<Pipeline>} pipeline
 * @property {Register<number>} viewers
 * @property {Register<Moment[]>} queue
 * @property {Register<boolean>} paused nothing of the queue is started
 * @property {Register<ReadonlySet<string>>} review ids of the moments in review, as last listed
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
 * @property {boolean} paused
 * @property {Moment[]} pending those a moderator has to look at, the oldest first
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
    paused: { n: NEVER, value: false },
    review: { n: NEVER, value: new Set() },
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
  if (type === 'queue.changed') return applyQueue(state, n, data);
  if (type === 'pipeline.params' || type === 'pipeline.status') return state;
  if (type.startsWith('pipeline.')) {
    return { ...state, pipeline: newest(state.pipeline, n, { state: data.state, name: data.name, reason: data.reason }) };
  }
  if (type.startsWith('moment.')) return { ...state, moments: learn(state.moments, n, [data]) };
  return state;
}

/**
 * Takes the queue as the server listed it at the event `n` or later. An answer to a request tells no number; that of the last
 * event heard before it was sent is one that it surely includes.
 * @param {State} state
 * @param {number} n
 * @param {QueueView} told
 * @returns {State}
 */
export function applyQueue(state, n, { queue, paused, pending }) {
  return {
    ...state,
    queue: newest(state.queue, n, queue),
    // A server that cannot pause does not say so.
    paused: paused === undefined ? state.paused : newest(state.paused, n, paused),
    review: listed(state.review, n, pending),
    moments: learn(state.moments, n, [...queue, ...(pending ?? [])]),
  };
}

/** Number of the newest event that the state includes; -1 before the first. @param {State} state */
export function heardUntil(state) {
  const registers = [state.stream, state.warnings, state.pipeline, state.viewers, state.queue, state.paused, state.review, state.snapshot];
  return [...registers, ...state.moments.values()].reduce((most, { n }) => Math.max(most, n), NEVER);
}

/** Another publisher, or none: what was wrong with the one before is forgotten. @param {State} state @param {number} n @param {{ live: boolean, audio: boolean, video: boolean }} stream @returns {State} */
function applyStream(state, n, stream) {
  return { ...state, stream: newest(state.stream, n, stream), warnings: newest(state.warnings, n, []) };
}

/** @param {State} state @param {Channel} channel @returns {State} */
function applySnapshot(state, channel) {
  const n = channel.event;
  const named = [...channel.queue, ...(channel.pending ?? []), channel.moment, channel.last].filter((moment) => moment !== null);
  return {
    stream: newest(state.stream, n, { live: channel.live, audio: channel.audio, video: channel.video }),
    warnings: newest(state.warnings, n, channel.warnings),
    pipeline: newest(state.pipeline, n, channel.pipeline),
    viewers: newest(state.viewers, n, channel.viewers),
    queue: newest(state.queue, n, channel.queue),
    paused: newest(state.paused, n, channel.paused ?? false),
    review: listed(state.review, n, channel.pending),
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
    paused: state.paused.value,
    pending: inReview(state, entries),
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
  return { moment: entry.moment, current: hasEnded(entry.moment) || queued || isLive(state, entry) || maybeInReview(state, entry) };
}

/** @type {ReadonlySet<import('./api.js').MomentState>} */
const ENDS = new Set(['completed', 'rejected', 'failed', 'cancelled', 'expired']);

/** True once a moment is over; only one that expired unpaid can come back, when its receipt was late. @param {Moment} moment */
export function hasEnded({ state }) {
  return ENDS.has(state);
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

/** Those in review: as last listed, and those that came since. @param {State} state @param {Entry[]} entries @returns {Moment[]} */
function inReview({ review }, entries) {
  const found = entries.filter(({ n, moment }) => moment.state === 'pending_approval' && (n > review.n || review.value.has(moment.id)));
  return found.map(({ moment }) => moment).sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1));
}

/** Viewers are told no list of those in review: for them it is so until a newer snapshot. @param {State} state @param {Entry} entry */
function maybeInReview(state, entry) {
  if (state.review.n !== NEVER) return inReview(state, [entry]).length > 0;
  return entry.moment.state === 'pending_approval' && entry.n >= state.snapshot.n;
}

/** @param {Register<ReadonlySet<string>>} review @param {number} n @param {Moment[] | undefined} pending undefined for those who are not told */
function listed(review, n, pending) {
  return pending === undefined || n < review.n ? review : { n, value: new Set(pending.map(({ id }) => id)) };
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
