/**
 * The viewer's part of the watch page and the panel: a prompt, a button per product, and where the own moment stands.
 */

import { ApiError, readMoment } from './api.js';
import { standing } from './purchase.js';
import { cancel } from './shop.js';
import { announce, byId, make, mark, messageOf, say, show } from './ui.js';
import { secondsUntilTurn } from './wait.js';
import { Wallet } from './wallet.js';
import { balanceWords, productWords, promptLength, purchaseWords, secondsUntil } from './words.js';

/** @typedef {import('./api.js').Moment} Moment */
/** @typedef {import('./api.js').Product} Product */
/** @typedef {import('./feed.js').Feed} Feed */
/** @typedef {import('./till.js').Till} Till */
/** @typedef {import('./till.js').Unit} Unit */

const EXAMPLES = ['watercolour painting', 'neon city at night', 'pencil sketch', 'stained glass', 'deep under water'];
/** The server's default limit; it answers 422 with its own words when it is configured lower. */
const MAX_CHARS = 500;
/** How often an own moment that ended unseen is asked for. */
const ASK_MS = 5_000;
/** How long the end of the own moment is shown. */
const LINGER_MS = 10 * 60_000;

/** The form `#moment-form` with `#prompt`, `#prompt-count`, `#examples`, `#products`, `#credits`, and the line `#purchase`. */
export class Storefront {
  #feed;
  #till;
  #unit;
  #wallet;
  #prompt = byId('prompt', HTMLTextAreaElement);
  #count = byId('prompt-count', HTMLElement);
  #buttons = byId('products', HTMLElement);
  #line = byId('purchase', HTMLElement);
  #words = byId('purchase-words', HTMLElement);
  #cancel = byId('purchase-cancel', HTMLButtonElement);
  #error = byId('moment-error', HTMLElement);
  /** @type {Array<Product | null>} */
  #offered = [];
  #askedAt = 0;
  #spoken = '';
  /** What the viewer's credits were asked for last, since only the steps of a purchase change them. @type {string | null} */
  #countedAt = null;
  /** False while the service that takes Bits does not know for whom. */
  #canUseBits = true;

  /** @param {string} channel @param {Feed} feed @param {Till} till @param {Unit} unit what is paid with; credits are always taken */
  constructor(channel, feed, till, unit) {
    this.#feed = feed;
    this.#till = till;
    this.#unit = unit;
    this.#wallet = new Wallet(channel, () => this.#restock());
    this.#prompt.addEventListener('input', () => this.#update());
    this.#cancel.addEventListener('click', () => void this.#withdraw());
    byId('moment-form', HTMLFormElement).addEventListener('submit', (event) => event.preventDefault());
    byId('examples', HTMLElement).append(...EXAMPLES.map((text) => this.#chip(text)));
    this.offer([]);
  }

  /** Shows a button for each product; for none, one that asks without a product. @param {Product[]} products */
  offer(products) {
    const offered = products.length > 0 ? products : [null];
    if (JSON.stringify(offered) === JSON.stringify(this.#offered)) return;
    this.#offered = offered;
    this.#restock();
    this.recount();
  }

  /** Whether Bits can be used; credits can be meanwhile. @param {boolean} can */
  allowBits(can) {
    this.#canUseBits = can;
    this.#update();
  }

  /** Asks anew which credits there are, since somebody else may be signed in by now; not where nothing is sold for them. */
  recount() {
    if (this.#sells) void this.#wallet.refresh();
  }

  get #sells() {
    return this.#offered.some((product) => product !== null && product.price > 0);
  }

  /** The buttons: of each product one for each way to pay it. */
  #restock() {
    const { balance } = this.#wallet;
    const buttons = this.#offered.flatMap((product) => {
      const first = this.#button(product, this.#unit);
      const more = product !== null && product.price > 0 && this.#unit === 'bits' && balance !== null && balance >= product.price;
      return more ? [first, this.#button(product, 'credits')] : [first];
    });
    this.#buttons.replaceChildren(...buttons);
    const words = balance !== null && this.#sells ? balanceWords(balance) : '';
    const line = byId('credits', HTMLElement);
    // Who has none of them in the panel need not hear of them.
    show(line, words !== '' && (balance !== 0 || this.#unit === 'credits'));
    say(line, words);
    this.#update();
  }

  /** Shows the present state. */
  render() {
    const moment = this.#own();
    const { view, clock } = this.#feed;
    const purchase = this.#till.purchase;
    const known = purchase && standing(purchase, moment);
    this.#recountAfter(known?.step ?? '');
    const old = moment?.ended_at != null && clock.now() - moment.ended_at > LINGER_MS;
    show(this.#line, known !== null && !old);
    this.#update();
    if (!known || old) return;
    const place = view.queue.findIndex(({ id }) => id === moment?.id) + 1 || null;
    const left = moment?.state === 'active' && moment.ends_at !== null ? secondsUntil(moment.ends_at, clock.now()) : null;
    const wait = moment ? secondsUntilTurn(view, moment.id, clock.now()) : null;
    mark(this.#line, known.step);
    say(this.#words, `Yours: ${purchaseWords(known, moment, { place, left, wait })}`);
    show(this.#cancel, known.step === 'queued' && moment?.source !== 'streamer');
    this.#speak(purchaseWords(known, moment, { place, left: null, wait: null }));
  }

  /** Asks for the credits where they may have changed. @param {string} step */
  #recountAfter(step) {
    const now = `${this.#till.purchase?.key ?? ''} ${step}`;
    if (now !== this.#countedAt) this.recount();
    this.#countedAt = now;
  }

  /** The own moment, as far as it is known; asked for while nothing else tells of it. @returns {Moment | null} */
  #own() {
    const id = this.#till.purchase?.taken?.moment;
    if (id === undefined) return null;
    const found = this.#feed.find(id);
    if (!found?.current && Date.now() - this.#askedAt > ASK_MS) void this.#ask(id);
    return found?.moment ?? null;
  }

  /** @param {string} id */
  async #ask(id) {
    this.#askedAt = Date.now();
    try {
      this.#feed.correct(await readMoment(id));
    } catch (error) {
      // Otherwise it stays as it was last seen and is asked for again.
      if (error instanceof ApiError && error.status === 404) this.#till.forget();
    }
  }

  async #withdraw() {
    const id = this.#till.purchase?.taken?.moment;
    if (id === undefined) return;
    say(this.#error, '');
    try {
      this.#feed.correct(await cancel(id));
    } catch (error) {
      say(this.#error, messageOf(error));
    }
  }

  #update() {
    const length = promptLength(this.#prompt.value.trim());
    const over = length > MAX_CHARS;
    say(this.#count, `${length} / ${MAX_CHARS}`);
    mark(this.#count, over ? 'over' : 'fits');
    this.#prompt.setAttribute('aria-invalid', String(over));
    const id = this.#till.purchase?.taken?.moment;
    const busy = this.#till.isBusy(id === undefined ? null : (this.#feed.find(id)?.moment ?? null));
    for (const button of this.#buttons.querySelectorAll('button')) {
      const { unit = 'credits', price = '0' } = button.dataset;
      const can = Number(price) === 0 || (unit === 'bits' ? this.#canUseBits : this.#wallet.covers(Number(price)));
      button.disabled = busy || length === 0 || over || !can;
    }
  }

  /** @param {Product | null} product @param {Unit} unit */
  #button(product, unit) {
    const text = product ? productWords(product, unit) : 'Start moment';
    const button = make('button', { className: `button ${unit === this.#unit ? 'dream' : ''} product`, text });
    button.type = 'button';
    if (product) Object.assign(button.dataset, { unit, price: product.price });
    if (product) {
      const length = product.seconds === null ? '' : `, ${product.seconds} s`;
      button.append(make('span', { className: 'product-name', text: product.name + length }));
    } else {
      button.id = 'moment-start';
    }
    button.addEventListener('click', () => void this.#buy(product, unit));
    return button;
  }

  /** @param {Product | null} product @param {Unit} unit */
  async #buy(product, unit) {
    say(this.#error, '');
    const prompt = this.#prompt.value.trim();
    await this.#till.buy(prompt, product, unit);
    if (this.#till.purchase?.taken) this.#prompt.value = '';
    this.render();
  }

  /** @param {string} text */
  #chip(text) {
    const chip = make('button', { className: 'chip', text });
    chip.type = 'button';
    chip.addEventListener('click', () => {
      this.#prompt.value = text;
      this.#update();
      this.#prompt.focus();
    });
    return chip;
  }

  /** @param {string} words */
  #speak(words) {
    if (words !== this.#spoken) announce(`Your moment: ${words}`);
    this.#spoken = words;
  }
}
