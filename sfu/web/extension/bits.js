/**
 * What can be had for Bits: what the channel offers and Twitch sells.
 */

import { products } from '../assets/shop.js';

/** @typedef {import('../assets/api.js').Product} Product */

/** @param {import('./twitch.js').Helper} ext @param {string} channel @returns {Promise<Product[]>} */
export async function bitsProducts(ext, channel) {
  const [offered, sold] = await Promise.all([products(channel), ext.bits.getProducts()]);
  return sellable(offered, sold);
}

/**
 * The products of the channel that Twitch sells at the channel's price, and those that cost nothing. A receipt for another
 * price would be refused, so such a product is not shown.
 * @param {Product[]} offered
 * @param {import('./twitch.js').BitsProduct[]} sold
 * @returns {Product[]}
 */
export function sellable(offered, sold) {
  const prices = new Map(sold.map(({ sku, cost }) => [sku, cost.type === 'bits' ? Number(cost.amount) : NaN]));
  return offered.filter(({ sku, price }) => price === 0 || prices.get(sku) === price);
}
