/**
 * Carries one viewer's purchase out: asks, has it paid, and tells the server of the payment until the server has counted it.
 * A receipt is kept in the browser meanwhile, so that neither a reload nor a server that is away loses a payment.
 */

import { ApiError } from './api.js';
import { Backoff } from './backoff.js';
import { note, standing, unsettled, wish } from './purchase.js';
import { ask, intentOf, sendReceipt, useCredit } from './shop.js';
import { messageOf } from './ui.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./api.js').Product} Product */
/** @typedef {import('./purchase.js').Fact} Fact */
/** @typedef {import('./purchase.js').Purchase} Purchase */
/** What a product is paid with. @typedef {'bits' | 'credits'} Unit */

/** A transaction as Twitch's helper tells it. @typedef {{ initiator: string, transactionId: string, transactionReceipt: string, product: { sku: string } }} Transaction */

/**
 * @typedef {object} TillOptions
 * @property {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null} storage
 * @property {(moment: Moment) => void} told the server's word on the moment
 * @property {() => void} changed
 * @property {((sku: string) => void) | null} useBits begins a payment with Bits; null where there are only credits
 * @property {(error: unknown) => boolean} refused true when a refusal has been dealt with and needs no words here
 * @property {Backoff} [backoff]
 */

/** Answers to a receipt after which it may be counted later; every other refusal is final. */
const LATER = new Set([0, 401, 403, 408, 425, 429, 500, 502, 503, 504]);

/** @type {ReadonlySet<string>} */
const BUSY = new Set(['asking', 'paying', 'confirming']);

/** See the module. */
export class Till {
  #channel;
  #options;
  #backoff;
  /** @type {Purchase | null} */
  #purchase = null;
  #isSending = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {string} channel @param {TillOptions} options */
  constructor(channel, options) {
    this.#channel = channel;
    this.#options = options;
    this.#backoff = options.backoff ?? new Backoff();
    this.#purchase = restored(options.storage?.getItem(this.#key) ?? null);
    void this.settle();
  }

  /** The last purchase, or null. @returns {Purchase | null} */
  get purchase() {
    return this.#purchase;
  }

  /** True while another purchase has to wait, since this one is being asked for or paid. @param {Moment | null} moment that of the last one */
  isBusy(moment) {
    return this.#purchase !== null && BUSY.has(standing(this.#purchase, moment).step);
  }

  /** Forgets a purchase that the server does not know of, unless it has been paid. */
  forget() {
    if (this.#purchase && unsettled(this.#purchase).length === 0) this.#set(null);
  }

  /** Asks for a moment and has it paid. @param {string} prompt @param {Product | null} product null for one without a product @param {Unit} unit */
  async buy(prompt, product, unit) {
    const begun = wish(randomKey(), prompt, product?.sku ?? '');
    this.#set(begun);
    try {
      const costs = product !== null && product.price > 0;
      const moment = await ask(this.#channel, wanted(prompt, product, costs && unit === 'credits'), begun.key);
      const byBits = costs && unit === 'bits';
      const intent = !costs ? null : byBits ? (moment.intent ?? (await intentOf(moment.id))) : '';
      this.#note({ type: 'taken', moment: moment.id, intent, waitS: moment.eta_s ?? null });
      this.#tell(moment);
      if (costs) await this.#pay(product, moment.id, unit);
    } catch (error) {
      const dealt = this.#options.refused(error);
      if (dealt) this.#set(null);
      else this.#note({ type: 'refused', reason: messageOf(error) });
    }
  }

  /** Takes a transaction that Twitch's helper tells of; those of other viewers are none of ours. @param {Transaction} transaction */
  transaction({ initiator, transactionId, transactionReceipt, product }) {
    if (initiator.toLowerCase() !== 'current_user') return;
    // One that names another product was begun elsewhere, in another window of the same viewer.
    if (this.#purchase?.taken == null || this.#purchase.sku !== product.sku) return;
    this.#note({ type: 'paid', transaction: transactionId, receipt: transactionReceipt });
    void this.settle();
  }

  /** The viewer has closed the payment. */
  abandon() {
    if (this.#purchase) this.#note({ type: 'abandoned' });
  }

  /** Tells the server of the payments that it has not counted yet, until it has. */
  async settle() {
    if (this.#isSending || this.#purchase?.taken == null) return;
    this.#isSending = true;
    clearTimeout(this.#timer);
    const { key, taken } = this.#purchase;
    for (const { transaction, receipt } of unsettled(this.#purchase)) {
      try {
        await sendReceipt(taken.moment, { intent: taken.intent, receipt });
        this.#backoff.reset();
        this.#noteOf(key, { type: 'settled', transaction });
      } catch (error) {
        const later = error instanceof ApiError && LATER.has(error.status);
        if (later) this.#timer = setTimeout(() => void this.settle(), this.#backoff.next());
        else this.#noteOf(key, { type: 'spoiled', transaction, reason: messageOf(error) });
      }
    }
    this.#isSending = false;
  }

  /** @param {Product} product @param {string} moment @param {Unit} unit */
  async #pay(product, moment, unit) {
    if (unit === 'bits') {
      this.#options.useBits?.(product.sku);
      return;
    }
    await useCredit(moment);
    this.#note({ type: 'settled', transaction: 'credit' });
  }

  /** @param {Moment} moment an answer of the server; some say less than a whole moment */
  #tell(moment) {
    if (typeof moment.version === 'number' && typeof moment.duration_s === 'number') this.#options.told(moment);
  }

  /** @param {Fact} fact */
  #note(fact) {
    if (this.#purchase) this.#set(note(this.#purchase, fact));
  }

  /** A fact of a purchase that another one may have followed. @param {string} key @param {Fact} fact */
  #noteOf(key, fact) {
    if (this.#purchase?.key === key) this.#note(fact);
  }

  /** @param {Purchase | null} purchase */
  #set(purchase) {
    this.#purchase = purchase;
    try {
      if (purchase === null) this.#options.storage?.removeItem(this.#key);
      else this.#options.storage?.setItem(this.#key, kept(purchase));
    } catch {
      // A full or forbidden storage costs only what a reload would have kept.
    }
    this.#options.changed();
  }

  get #key() {
    return `reverie.purchase.${this.#channel}`;
  }
}

/** @param {string} prompt @param {Product | null} product @param {boolean} byCredits */
function wanted(prompt, product, byCredits) {
  if (product === null) return { prompt };
  return byCredits ? { prompt, sku: product.sku, pay: /** @type {const} */ ('credit') } : { prompt, sku: product.sku };
}

/** @param {Purchase} purchase */
function kept(purchase) {
  const { paid, settled, spoiled, ...rest } = purchase;
  return JSON.stringify({ ...rest, paid: [...paid], settled: [...settled], spoiled: [...spoiled] });
}

/** @param {string | null} text @returns {Purchase | null} */
function restored(text) {
  try {
    const { paid, settled, spoiled, ...rest } = JSON.parse(text ?? '');
    // A wish that was not taken, and an answer that never came, are forgotten with the page they were made on.
    return rest.taken === null ? null : { ...rest, paid: new Map(paid), settled: new Set(settled), spoiled: new Map(spoiled) };
  } catch {
    return null;
  }
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** localStorage, or null where the browser refuses it, as it may in a frame of another site. */
export function localStore() {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
