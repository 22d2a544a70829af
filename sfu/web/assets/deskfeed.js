/**
 * What a page that steers knows of its channel, and the way of its commands.
 */

import { Feed } from './feed.js';
import { Line } from './line.js';

/** A feed over a line. */
export class DeskFeed extends Feed {
  /** @type {Line} */
  line;

  /** @param {string} channel @param {import('./feed.js').FeedListener} listener */
  constructor(channel, listener) {
    /** @type {Line[]} */
    const lines = [];
    super(channel, listener, (hears) => {
      lines.push(new Line(channel, hears));
      return lines[0];
    });
    [this.line] = lines;
  }
}
