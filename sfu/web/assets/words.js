/**
 * Everything the pages say about states and numbers; pure.
 */

import { waitWords } from './wait.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./api.js').Pipeline} Pipeline */
/** @typedef {import('./link.js').LinkState} LinkState */

/** @type {Record<import('./token.js').Scope, string>} */
const PURPOSE = {
  publish: 'Publishing on this channel needs a token.',
  watch: 'Watching this channel needs a token.',
  control: 'Changing the picture of this channel needs a token.',
};

/** @type {Record<string, string>} */
const WARNING = {
  b_frames:
    'Your encoder sends B-frames, which delay the picture and make moments stutter: set B-frames to 0 (OBS: Settings, Output, ' +
    'Encoder Settings; x264: tune zerolatency).',
};

/**
 * What stands above the field for a token.
 * @param {import('./token.js').Scope} scope
 * @param {{ status: number, message: string } | null} refusal the server's answer to the token that was sent, null when none was
 */
export function tokenWords(scope, refusal) {
  if (refusal === null) return PURPOSE[scope];
  // 401: no token like it opens anything; 403: it opens something else, and the server says what.
  const told = refusal.status === 403 ? 'is for something else' : 'was refused';
  return `${PURPOSE[scope]} The one given ${told}: ${refusal.message}.`;
}

/** The chip of a connection. @param {LinkState} state @param {number} now milliseconds since 1970 */
export function linkWords({ phase, retryAt }, now) {
  if (phase !== 'reconnecting') return phase;
  return retryAt === null ? 'reconnecting…' : `reconnecting in ${secondsUntil(retryAt, now)} s`;
}

/** Whole seconds until a time, at least 0. @param {number} at @param {number} now */
export function secondsUntil(at, now) {
  return Math.max(0, Math.ceil((at - now) / 1000));
}

/**
 * Where a moment stands, in one line.
 * @param {Moment} moment
 * @param {{ place: number | null, left: number | null }} facts place in the queue from 1; seconds left when it is active
 */
export function momentWords(moment, { place, left }) {
  switch (moment.state) {
    case 'submitted':
      return 'Not paid yet';
    case 'pending_approval':
      return 'In review';
    case 'queued':
      return place === null ? 'Waiting' : place === 1 ? 'Waiting, next' : `Waiting, position ${place}`;
    case 'warming':
      return 'Warming up';
    case 'active':
      return left === null ? 'Live' : `Live: ${left} s left`;
    case 'completed':
      return 'Done';
    case 'rejected':
      // What is said where nobody said why would say it twice.
      return withReason('Not approved', moment.reason === 'not approved' ? null : moment.reason);
    case 'failed':
      return withReason('Failed', moment.reason);
    case 'cancelled':
      return withReason('Cancelled', moment.reason);
    case 'expired':
      return withReason('Expired', moment.reason);
  }
}

/**
 * Where a purchase stands, in one line: waiting, in review, position 3 (about 2 min), warming up, live, done, or what went wrong
 * and what the viewer got back.
 * @param {{ step: import('./purchase.js').Step, reason: string | null }} standing
 * @param {Moment | null} moment
 * @param {{ place: number | null, left: number | null, wait: number | null }} facts place from 1; seconds left and to wait
 */
export function purchaseWords({ step, reason }, moment, { place, left, wait }) {
  switch (step) {
    case 'asking':
      return 'Asking…';
    case 'paying':
      return 'Waiting for your Bits';
    case 'confirming':
      return 'Bits used; telling the server…';
    case 'waiting':
      return 'Waiting';
    case 'refused':
      return withReason('Not taken', reason);
    case 'abandoned':
      return 'No Bits were used.';
    case 'spoiled':
      return withReason('Your Bits could not be counted', reason);
    default: {
      if (moment === null) return 'Waiting';
      const words = momentWords(moment, { place, left });
      const likely = step === 'queued' && wait !== null ? ` (${waitWords(wait)})` : '';
      const back = moment.compensation === 'credited' ? `. ${creditWords(moment)}` : '';
      return words + likely + back;
    }
  }
}

/** @param {Moment} moment */
function creditWords({ price }) {
  return price ? `${price} credits came back to you for another one.` : 'A credit came back to you for another one.';
}

/** What a viewer has for moments of this channel. @param {number} credits */
export function balanceWords(credits) {
  return credits === 1 ? 'You have 1 credit.' : `You have ${credits} credits.`;
}

/** What stands on the button of a product. @param {import('./api.js').Product} product @param {'bits' | 'credits'} unit */
export function productWords({ price }, unit) {
  if (price === 0) return 'Send for free';
  return `Use ${price} ${unit === 'bits' ? 'Bits' : 'credits'}`;
}

/** @param {string} word @param {string | null} reason */
function withReason(word, reason) {
  return reason ? `${word}: ${reason}` : word;
}

/** A channel's moment in a list of channels. @param {Moment | null} moment */
export function activityWords(moment) {
  if (moment === null) return '';
  return moment.state === 'active' ? 'a moment is running' : 'a moment is warming up';
}

/** @param {Pipeline} pipeline */
export function pipelineWords({ state, name, reason }) {
  const subject = name ? `${state} · ${name}` : state;
  return state === 'error' ? withReason(subject, reason) : subject;
}

/** What is wrong with what the publisher sends, and what to do about it. @param {string[]} warnings */
export function warningWords(warnings) {
  return warnings.map((warning) => WARNING[warning] ?? `The server warns: ${warning}.`).join(' ');
}

/** @param {number} count */
export function viewerWords(count) {
  return count === 1 ? '1 viewer' : `${count} viewers`;
}

/** What holds the encoder back. @param {string | null} limit */
export function limitWords(limit) {
  switch (limit) {
    case null:
      return '–';
    case 'none':
      return 'nothing';
    case 'cpu':
      return 'processor';
    case 'bandwidth':
      return 'network';
    default:
      return limit;
  }
}

/** A number with its unit, or a dash when there is none. @param {number | null} value @param {string} unit @param {number} [digits] */
export function amount(value, unit, digits = 0) {
  return value === null ? '–' : `${value.toFixed(digits)} ${unit}`;
}

/** Length of a prompt as the server counts it: in characters, not in UTF-16 units. @param {string} text */
export function promptLength(text) {
  return [...text].length;
}
