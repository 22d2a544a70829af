/**
 * What became of a command whose answer was lost with its connection: told by what is so now, and never by doing it again.
 */

import { ApiError, readMoment } from './api.js';
import { readQueue } from './desk.js';

/** @typedef {import('./socket.js').Command} Command */
/** @typedef {import('./socket.js').Done} Done */

/** @param {string} channel @param {Command} command @returns {Promise<Done>} rejects where it was not done, or nobody can say */
export async function settle(channel, { cmd, fields }) {
  if (typeof fields.moment === 'string') return settleMoment(cmd, fields.moment, Number(fields.version));
  if (cmd === 'pause' || cmd === 'resume') {
    const queue = await readQueue(channel);
    if (queue?.paused === (cmd === 'pause')) return { data: queue, version: null };
    throw lost(`“${cmd}” was not carried out`);
  }
  throw lost(`whether “${cmd}” was carried out is not known`);
}

/** A moment that was changed has another version, whoever did it. @param {string} cmd @param {string} id @param {number} version @returns {Promise<Done>} */
async function settleMoment(cmd, id, version) {
  const moment = await readMoment(id);
  if (moment.version > version) return { data: moment, version: moment.version };
  const error = lost(`“${cmd}” was not carried out`);
  error.moment = moment;
  throw error;
}

/** @param {string} what */
function lost(what) {
  return new ApiError(0, `The connection was lost, and ${what}.`);
}
