/**
 * The small form that asks for a token when the server wants one.
 */

import { accountPath } from './route.js';
import { tokens } from './token.js';
import { byId, make, say, show } from './ui.js';
import { tokenWords } from './words.js';

/** @typedef {import('./token.js').Scope} Scope */

/** One form for the page; asks for one scope at a time. */
export class TokenForm {
  #form = byId('token-form', HTMLFormElement);
  #input = byId('token-input', HTMLInputElement);
  #words = byId('token-words', HTMLElement);
  /** @type {Map<Scope, Array<() => void>>} */
  #waiting = new Map();
  /** What the server said to the last token of a scope. @type {Map<Scope, { status: number, message: string }>} */
  #refusals = new Map();

  constructor() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit(this.#input.value.trim());
    });
    const account = make('a', { text: 'Sign in' });
    account.href = accountPath(location.pathname + location.search);
    const words = make('p', { className: 'hint', text: 'Whoever has an account here needs no token: ' }, []);
    words.append(account);
    this.#form.append(words);
  }

  /**
   * Asks for a token; `retry` runs once one has been given.
   * @param {Scope} scope
   * @param {() => void} retry
   * @param {{ status: number, message: string } | null} [refusal] the server's answer, where it is at hand
   */
  ask(scope, retry, refusal = null) {
    if (refusal) this.#refusals.set(scope, refusal);
    this.#waiting.set(scope, [...(this.#waiting.get(scope) ?? []), retry]);
    const wasHidden = this.#form.hidden;
    this.#update();
    if (wasHidden) this.#input.focus();
  }

  /** @param {string} token */
  #submit(token) {
    const asked = this.#asked();
    if (token === '' || asked === undefined) return;
    const before = new Map([...this.#waiting.keys()].map((scope) => [scope, tokens.get(scope)]));
    tokens.set(asked, token);
    const helped = [...this.#waiting].filter(([scope]) => scope === asked || tokens.get(scope) !== before.get(scope));
    for (const [scope] of helped) this.#waiting.delete(scope);
    this.#input.value = '';
    this.#update();
    for (const retry of helped.flatMap(([, retries]) => retries)) retry();
  }

  #update() {
    const asked = this.#asked();
    show(this.#form, asked !== undefined);
    if (asked === undefined) return;
    const refusal = tokens.get(asked) === null ? null : (this.#refusals.get(asked) ?? null);
    say(this.#words, tokenWords(asked, refusal));
  }

  #asked() {
    return this.#waiting.keys().next().value;
  }
}
