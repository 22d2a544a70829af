/**
 * Tables as files for a spreadsheet (RFC 4180). Pure.
 */

/** @typedef {import('./api.js').Channel} Channel */

const COLUMNS = ['channel', 'live', 'viewers', 'pipeline', 'pipeline_state', 'moment_state', 'moment', 'waiting', 'paused'];

/** @param {Channel[]} channels */
export function channelsAsCsv(channels) {
  const rows = channels.map(({ channel, live, viewers, pipeline, moment, queue, paused }) => [
    channel, live, viewers, pipeline.name, pipeline.state, moment?.state, moment?.prompt, queue.length, paused ?? false,
  ]);
  return table([COLUMNS, ...rows]);
}

/** How much the server was used. @param {import('./operator.js').Day[]} days */
export function daysAsCsv(days) {
  const rows = days.map(({ at, streams, viewers, peak }) => [new Date(at).toISOString().slice(0, 10), streams, viewers, peak]);
  return table([['day', 'streams', 'viewers', 'peak'], ...rows]);
}

/** @param {unknown[][]} rows */
function table(rows) {
  return rows.map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

/** @param {unknown} value */
function field(value) {
  const text = value === null || value === undefined ? '' : String(value);
  // Programs for tables take a text that begins so for a formula, and prompts are written by strangers.
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** What all channels come to. @param {Channel[]} channels */
export function totals(channels) {
  return {
    channels: channels.length,
    live: channels.filter(({ live }) => live).length,
    viewers: channels.reduce((sum, { viewers }) => sum + viewers, 0),
    loaded: channels.filter(({ pipeline }) => pipeline.state !== 'cold' && pipeline.state !== 'error').length,
    waiting: channels.reduce((sum, { queue }) => sum + queue.length, 0),
  };
}
