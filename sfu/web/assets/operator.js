/**
 * The part of the operator's page that is for whoever runs the server: its sessions, whether it takes new ones, its
 * configuration, and how much it is used. Nobody else is shown any of it.
 */

import { ApiError, json, request } from './api.js';
import { daysAsCsv } from './csv.js';
import { announce, byId, make, messageOf, say, show } from './ui.js';

/** @typedef {{ id: number, protocol: 'whip' | 'whep', channel: string, since: number }} Session */
/** @typedef {{ at: number, streams: number, viewers: number, peak: number }} Day */

/** See the module: the sections `#run`, `#sessions-part`, `#analytics-part` and `#config-part`. */
export class Operator {
  #parts = ['sessions-part', 'analytics-part', 'config-part'].map((id) => byId(id, HTMLElement));
  #error = byId('error', HTMLElement);
  #drain = byId('drain', HTMLButtonElement);
  #isDraining = false;
  #save;
  /** @type {Day[]} */
  #days = [];
  /** What the list shows, as text, so that focus in it survives a refresh without news. */
  #shown = '';

  /** @param {(name: string, text: string) => void} save gives the person a file */
  constructor(save) {
    this.#save = save;
    this.#drain.addEventListener('click', () => void this.#setDraining(!this.#isDraining));
    byId('days-csv', HTMLElement).addEventListener('click', () => this.#save('analytics.csv', daysAsCsv(this.#days)));
    byId('config-part', HTMLDetailsElement).addEventListener('toggle', () => void this.#showConfig());
  }

  /** Asks for everything anew; what is refused is not shown. */
  async refresh() {
    try {
      const [{ sessions }, { days }] = await Promise.all([
        json('GET', '/v1/admin/sessions', 'control'), json('GET', '/v1/admin/analytics', 'control'),
      ]);
      this.#reveal(true);
      this.#renderSessions(sessions);
      this.#renderDays(days);
    } catch (error) {
      if (error instanceof ApiError && error.isDenied) this.#reveal(false);
    }
  }

  /** Takes what `/readyz` says of draining. @param {boolean} draining */
  draining(draining) {
    this.#isDraining = draining;
    say(this.#drain, draining ? 'Take new sessions' : 'Drain');
    this.#drain.setAttribute('aria-pressed', String(draining));
  }

  /** @param {boolean} may */
  #reveal(may) {
    for (const part of [...this.#parts, this.#drain]) show(part, may);
  }

  /** @param {Session[]} sessions */
  #renderSessions(sessions) {
    show(byId('session-words', HTMLElement), sessions.length === 0);
    const text = JSON.stringify(sessions);
    if (text === this.#shown) return;
    this.#shown = text;
    byId('sessions', HTMLUListElement).replaceChildren(...sessions.map((session) => this.#item(session)));
  }

  /** @param {Session} session */
  #item({ id, protocol, channel, since }) {
    const what = protocol === 'whip' ? 'publishes' : 'watches';
    const button = make('button', { className: 'button small', text: 'End' });
    button.type = 'button';
    button.setAttribute('aria-label', `End session ${id}, which ${what} ${channel}`);
    button.addEventListener('click', () => void this.#run(() => request('DELETE', `/v1/admin/sessions/${id}`, { scope: 'control' }), 'The session is ended.'));
    const words = make('span', { className: 'grow', text: `${what} ${channel}` });
    const when = make('span', { className: 'quiet', text: `since ${new Date(since).toLocaleTimeString()}` });
    return make('li', {}, [words, when, button]);
  }

  /** @param {Day[]} days the oldest first */
  #renderDays(days) {
    this.#days = days;
    show(byId('day-words', HTMLElement), days.length === 0);
    const rows = days.toReversed().map(({ at, streams, viewers, peak }) => {
      const cells = [streams, viewers, peak].map((count) => make('td', { text: String(count) }));
      const day = make('th', { text: new Date(at).toISOString().slice(0, 10) });
      day.scope = 'row';
      return make('tr', {}, [day, ...cells]);
    });
    byId('days', HTMLElement).replaceChildren(...rows);
  }

  async #showConfig() {
    if (!byId('config-part', HTMLDetailsElement).open) return;
    const words = byId('config', HTMLElement);
    try {
      const response = await request('GET', '/v1/admin/config', { scope: 'control' });
      say(words, (await response.text()).trim());
    } catch (error) {
      say(words, messageOf(error));
    }
  }

  /** @param {boolean} draining */
  #setDraining(draining) {
    const words = draining ? 'No new sessions are taken.' : 'New sessions are taken again.';
    return this.#run(() => json('PUT', '/v1/admin/drain', 'control', { draining }), words);
  }

  /** @param {() => Promise<unknown>} act @param {string} done */
  async #run(act, done) {
    say(this.#error, '');
    try {
      await act();
      announce(done);
      await this.refresh();
    } catch (error) {
      say(this.#error, messageOf(error));
    }
  }
}
