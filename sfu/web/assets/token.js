/**
 * The bearer tokens of this tab: one for everything, or one for each scope; kept in sessionStorage, never in the address bar.
 */

/** What a token allows: to send a picture, to look at one, to change what is shown. @typedef {'publish' | 'watch' | 'control'} Scope */

const KEY = 'reverie.token';
/** @type {readonly Scope[]} */
const SCOPES = ['publish', 'watch', 'control'];

/** The token of a fragment such as `#token=abc`, or null. @param {string} hash */
export function tokenInFragment(hash) {
  const token = new URLSearchParams(hash.replace(/^#/, '')).get('token');
  // Tokens hold no spaces, so a space here is a '+' that form decoding took away.
  return token ? token.replaceAll(' ', '+') : null;
}

/**
 * The tokens of a fragment such as `#publish=abc&watch=def`, by scope; empty when it names none.
 * @param {string} hash
 * @returns {Array<[Scope, string]>}
 */
export function scopedInFragment(hash) {
  const named = new URLSearchParams(hash.replace(/^#/, ''));
  return SCOPES.flatMap((scope) => {
    const token = named.get(scope);
    return token ? [/** @type {[Scope, string]} */ ([scope, token.replaceAll(' ', '+')])] : [];
  });
}

/** Tokens by scope, with one that serves every scope without its own. */
export class Tokens {
  #storage;
  /** @type {Map<string, string>} */
  #memory = new Map();

  /** @param {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null} storage null keeps the tokens in memory only */
  constructor(storage) {
    this.#storage = storage;
    for (const key of [KEY, ...SCOPES.map(keyOf)]) {
      const token = storage?.getItem(key);
      if (token) this.#memory.set(key, token);
    }
  }

  /** The token to send for a scope, or null. @param {Scope} scope */
  get(scope) {
    return this.#memory.get(keyOf(scope)) ?? this.#memory.get(KEY) ?? null;
  }

  /** Forgets every token but this one, which serves all scopes. @param {string} token */
  replaceAll(token) {
    for (const scope of SCOPES) this.#keep(keyOf(scope), null);
    this.#keep(KEY, token);
  }

  /**
   * Keeps a token for one scope. It also takes the place of a general token that is missing or has just failed this scope,
   * so that one token for everything is typed once; scopes that confirmed theirs keep it.
   * @param {Scope} scope
   * @param {string} token
   */
  set(scope, token) {
    const general = this.#memory.get(KEY);
    if (general === undefined || general === this.get(scope)) this.#keep(KEY, token);
    this.#keep(keyOf(scope), token);
  }

  /** Notes that the server has accepted the scope's token. @param {Scope} scope */
  confirm(scope) {
    const token = this.get(scope);
    if (token !== null && !this.#memory.has(keyOf(scope))) this.#keep(keyOf(scope), token);
  }

  /** @param {string} key @param {string | null} token null forgets it */
  #keep(key, token) {
    if (token === null) this.#memory.delete(key);
    else this.#memory.set(key, token);
    try {
      if (token === null) this.#storage?.removeItem(key);
      else this.#storage?.setItem(key, token);
    } catch {
      // A full or forbidden storage costs only that a reload asks again.
    }
  }
}

/** @param {Scope} scope */
function keyOf(scope) {
  return `${KEY}.${scope}`;
}

/** sessionStorage, or null where the browser refuses it. */
function sessionStore() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

/** The tokens of this tab. */
export const tokens = new Tokens(sessionStore());

/**
 * The token of a query such as `?dock=1&token=abc`, for programs that keep no fragment, and the query without it.
 * @param {string} search
 * @returns {{ token: string | null, rest: string }}
 */
export function tokenInQuery(search) {
  const token = tokenInFragment(search.replace(/^\?/, ''));
  const rest = search.replace(/^\?/, '').split('&').filter((part) => part !== '' && !part.startsWith('token='));
  return { token, rest: rest.length > 0 ? `?${rest.join('&')}` : '' };
}

/** Moves the tokens of the address bar into the store. Call it before the first request. */
export function adoptTokenFromAddress() {
  const [token, scoped] = [tokenInFragment(location.hash), scopedInFragment(location.hash)];
  const query = tokenInQuery(location.search);
  if (token === null && scoped.length === 0 && query.token === null) return;
  if (query.token !== null) tokens.replaceAll(query.token);
  if (token !== null) tokens.replaceAll(token);
  for (const [scope, own] of scoped) tokens.set(scope, own);
  history.replaceState(null, '', location.pathname + query.rest);
}
