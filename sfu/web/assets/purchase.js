/**
 * One viewer's way from a wish to a moment: asked, paid, confirmed, and then whatever becomes of the moment. Pure.
 *
 * What is heard of it is a set of facts, each of which can only be added: so facts that come shuffled, twice or late give the
 * same state, and a payment is never forgotten because something else came first.
 */

/** @typedef {import('./api.js').Moment} Moment */

/**
 * What has happened.
 * - `taken`: the server keeps the wish as this moment; `intent` is what the payment is to name, null when nothing is to be paid
 * - `paid`: a transaction of this viewer, with its receipt
 * - `settled`: the server has counted that transaction, or says that it has been counted
 * - `spoiled`: the server will never count that transaction
 * - `refused`: the server did not take the wish
 * - `abandoned`: the viewer closed the payment
 * @typedef {{ type: 'taken', moment: string, intent: string | null, waitS: number | null }
 *   | { type: 'paid', transaction: string, receipt: string }
 *   | { type: 'settled', transaction: string }
 *   | { type: 'spoiled', transaction: string, reason: string }
 *   | { type: 'refused', reason: string }
 *   | { type: 'abandoned' }} Fact
 */

/**
 * @typedef {object} Purchase
 * @property {string} key names the wish, so that one that is sent twice is one
 * @property {string} prompt
 * @property {string} sku
 * @property {{ moment: string, intent: string | null, waitS: number | null } | null} taken
 * @property {ReadonlyMap<string, string>} paid receipts by transaction
 * @property {ReadonlySet<string>} settled
 * @property {ReadonlyMap<string, string>} spoiled reasons by transaction
 * @property {string | null} refused
 * @property {boolean} abandoned
 */

/**
 * Where it stands. `ended` is true when another one may begin.
 * @typedef {'asking' | 'refused' | 'paying' | 'abandoned' | 'confirming' | 'spoiled' | 'waiting' | import('./api.js').MomentState} Step
 */

/** A wish that has not been sent. @param {string} key @param {string} prompt @param {string} sku @returns {Purchase} */
export function wish(key, prompt, sku) {
  return { key, prompt, sku, taken: null, paid: new Map(), settled: new Set(), spoiled: new Map(), refused: null, abandoned: false };
}

/** The purchase with one more fact. @param {Purchase} purchase @param {Fact} fact @returns {Purchase} */
export function note(purchase, fact) {
  switch (fact.type) {
    case 'taken': {
      const { moment, intent, waitS } = fact;
      return { ...purchase, taken: purchase.taken ?? { moment, intent, waitS } };
    }
    case 'paid':
      return { ...purchase, paid: added(purchase.paid, fact.transaction, fact.receipt) };
    case 'settled':
      return { ...purchase, settled: new Set([...purchase.settled, fact.transaction]) };
    case 'spoiled':
      return { ...purchase, spoiled: added(purchase.spoiled, fact.transaction, fact.reason) };
    case 'refused':
      return { ...purchase, refused: purchase.refused ?? fact.reason };
    case 'abandoned':
      return { ...purchase, abandoned: true };
  }
}

/** The transactions whose receipts the server has yet to count. @param {Purchase} purchase @returns {Array<{ transaction: string, receipt: string }>} */
export function unsettled({ paid, settled, spoiled }) {
  const open = [...paid].filter(([transaction]) => !settled.has(transaction) && !spoiled.has(transaction));
  return open.map(([transaction, receipt]) => ({ transaction, receipt }));
}

/**
 * Where the purchase stands, given its moment as far as it is known.
 * @param {Purchase} purchase
 * @param {Moment | null} moment
 * @returns {{ step: Step, ended: boolean, reason: string | null }}
 */
export function standing(purchase, moment) {
  const { taken, settled, spoiled, refused, abandoned } = purchase;
  const paying = unsettled(purchase).length > 0;
  // What the server says of the moment counts for more than what is heard here; only an unpaid one waits for this side.
  if (moment && moment.state !== 'submitted' && !(moment.state === 'expired' && paying)) {
    return { step: moment.state, ended: OVER.has(moment.state), reason: moment.reason };
  }
  if (paying) return { step: 'confirming', ended: false, reason: null };
  if (settled.size > 0) return { step: 'waiting', ended: false, reason: null };
  if (spoiled.size > 0) return { step: 'spoiled', ended: true, reason: [...spoiled.values()].sort()[0] };
  if (refused !== null) return { step: 'refused', ended: true, reason: refused };
  if (abandoned) return { step: 'abandoned', ended: true, reason: null };
  if (taken === null) return { step: 'asking', ended: false, reason: null };
  return { step: taken.intent === null ? 'waiting' : 'paying', ended: false, reason: null };
}

/** @type {ReadonlySet<string>} */
const OVER = new Set(['completed', 'rejected', 'failed', 'cancelled', 'expired']);

/** The first value that is heard is kept where a key comes again. @param {ReadonlyMap<string, string>} known @param {string} key @param {string} value */
function added(known, key, value) {
  return known.has(key) ? known : new Map([...known, [key, value]]);
}
