/**
 * A small model of the server's side of a channel: it changes at random and writes the events a real one would write.
 */

import { below } from './random.js';

/** @typedef {import('../assets/api.js').Channel} Channel */
/** @typedef {import('../assets/api.js').Moment} Moment */
/** @typedef {import('../assets/api.js').MomentState} MomentState */
/** @typedef {import('../assets/api.js').PipelineState} PipelineState */
/** @typedef {import('../assets/moments.js').ChannelEvent} ChannelEvent */

/** One channel with everything it has told. */
export class ChannelModel {
  /** @type {ChannelEvent[]} */
  events = [];
  /** @type {Moment[]} */
  #queue = [];
  /** @type {Moment[]} */
  #pending = [];
  #paused = false;
  /** @type {Moment | null} */
  #running = null;
  /** @type {Moment | null} */
  #last = null;
  #stream = { live: false, audio: false, video: false };
  /** @type {string[]} */
  #warnings = [];
  #viewers = 0;
  /** @type {import('../assets/api.js').Pipeline} */
  #pipeline = { state: 'cold', name: null, reason: null };
  #made = 0;
  #random;

  /** @param {() => number} random */
  constructor(random) {
    this.#random = random;
  }

  /** The state as the server would send it now. @returns {Channel} */
  snapshot() {
    return structuredClone({
      channel: 'lobby',
      ...this.#stream,
      warnings: this.#warnings,
      viewers: this.#viewers,
      event: this.events.length,
      pipeline: this.#pipeline,
      pipelines: ['debug-invert', 'passthrough'],
      default_pipeline: 'debug-invert',
      moment: this.#running,
      queue: this.#queue,
      paused: this.#paused,
      pending: this.#pending,
      last: this.#last,
    });
  }

  /** The snapshot as an event; it repeats the number of the last event it includes. @returns {ChannelEvent} */
  snapshotEvent() {
    const data = this.snapshot();
    return { n: data.event, at: 0, type: 'snapshot', version: data.event, data };
  }

  /** What a moderator is answered who asks for the queue; it names no event. @returns {import('../assets/moments.js').QueueView} */
  queue() {
    return structuredClone({ queue: this.#queue, paused: this.#paused, pending: this.#pending });
  }

  /** Something happens. */
  step() {
    const actions = [
      () => this.#enqueue(),
      () => this.#submit(),
      () => this.#decide(),
      () => this.#move(),
      () => this.#pause(),
      () => this.#advance(),
      () => this.#advance(),
      () => this.#cancelQueued(),
      () => this.#streamChanges(),
      () => this.#warns(),
      () => this.#viewersChange(),
      () => this.#pipelineChanges(),
    ];
    actions[below(this.#random, actions.length)]();
  }

  /** @param {MomentState} state @returns {Moment} */
  #make(state) {
    this.#made += 1;
    return {
      id: `m${this.#made}`, channel: 'lobby', prompt: `prompt ${this.#made}`, pipeline: 'debug-invert', state,
      duration_s: 15, version: 1, position: null, created_at: this.#made, active_at: null, ends_at: null, ended_at: null,
      reason: null,
    };
  }

  #enqueue() {
    const moment = this.#make('queued');
    this.#queue = [...this.#queue, moment];
    this.#tell('moment.queued', moment);
    this.#queueChanged();
  }

  /** A viewer asks and pays; a moderator has to look at it. */
  #submit() {
    const moment = this.#make('submitted');
    this.#tell('moment.submitted', moment);
    this.#pending = [...this.#pending, this.#changed(moment, 'pending_approval')];
  }

  #decide() {
    if (this.#pending.length === 0) return;
    const moment = this.#pending[below(this.#random, this.#pending.length)];
    this.#pending = this.#pending.filter((other) => other !== moment);
    if (this.#random() < 0.5) {
      this.#last = this.#changed(moment, this.#random() < 0.5 ? 'rejected' : 'expired');
      return;
    }
    this.#queue = [...this.#queue, this.#changed(moment, 'queued')];
    this.#queueChanged();
  }

  #move() {
    if (this.#queue.length < 2) return;
    const moved = this.#queue[below(this.#random, this.#queue.length)];
    const others = this.#queue.filter((moment) => moment !== moved);
    others.splice(below(this.#random, others.length + 1), 0, { ...moved, version: moved.version + 1 });
    this.#queue = others;
    this.#tell('moment.moved', { ...moved, version: moved.version + 1 });
    this.#queueChanged();
  }

  #pause() {
    this.#paused = !this.#paused;
    this.#queueChanged();
  }

  #advance() {
    if (!this.#running) {
      const [next, ...rest] = this.#queue;
      if (!next) return;
      this.#queue = rest;
      this.#running = this.#changed(next, 'warming');
      this.#queueChanged();
      return;
    }
    const dice = this.#random();
    if (this.#running.state === 'warming' && dice < 0.6) this.#running = this.#changed(this.#running, 'active');
    else this.#end(this.#running, dice < 0.8 ? 'completed' : 'failed');
  }

  #cancelQueued() {
    if (this.#queue.length === 0) return;
    const victim = this.#queue[below(this.#random, this.#queue.length)];
    this.#queue = this.#queue.filter((moment) => moment !== victim);
    this.#last = this.#changed(victim, this.#random() < 0.5 ? 'cancelled' : 'expired');
    this.#queueChanged();
  }

  /** @param {Moment} moment @param {MomentState} state */
  #end(moment, state) {
    this.#running = null;
    this.#last = this.#changed(moment, state);
  }

  #streamChanges() {
    const live = !this.#stream.live;
    const audio = live && this.#random() < 0.5;
    this.#stream = { live, audio, video: live };
    this.#warnings = [];
    this.#tell(live ? 'stream.live' : 'stream.offline', live ? { audio, video: true } : {});
  }

  #warns() {
    if (!this.#stream.live) return;
    this.#warnings = ['b_frames'];
    this.#tell('stream.warning', { warnings: this.#warnings });
  }

  #viewersChange() {
    this.#viewers = below(this.#random, 50);
    this.#tell('viewers', { viewers: this.#viewers });
  }

  #pipelineChanges() {
    /** @type {PipelineState[]} */
    const states = ['cold', 'loading', 'warm', 'active', 'error'];
    const state = states[below(this.#random, states.length)];
    this.#pipeline = { state, name: state === 'cold' ? null : 'debug-invert', reason: state === 'error' ? 'lost' : null };
    this.#tell(`pipeline.${state}`, this.#pipeline);
  }

  /** @param {Moment} moment @param {MomentState} state @returns {Moment} */
  #changed(moment, state) {
    const next = { ...moment, state, version: moment.version + 1, position: null };
    this.#tell(state === 'pending_approval' ? 'moment.pending' : `moment.${state}`, next);
    return next;
  }

  #queueChanged() {
    this.#queue = this.#queue.map((moment, index) => ({ ...moment, position: index + 1 }));
    this.#tell('queue.changed', { queue: this.#queue, paused: this.#paused });
  }

  /** @param {string} type @param {object} data */
  #tell(type, data) {
    const n = this.events.length + 1;
    this.events.push(structuredClone({ n, at: n, type, version: n, data }));
  }
}
