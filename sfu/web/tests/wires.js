/**
 * The other end of a page's sockets: each one that is opened is a wire that the test answers.
 */

/** A socket as the page sees it, with what the server does on it. */
export class FakeWire {
  /** @type {any} */
  onopen = null;
  /** @type {any} */
  onmessage = null;
  /** @type {any} */
  onclose = null;
  /** What the page sent, in order. @type {any[]} */
  sent = [];
  isClosed = false;

  /** @param {any} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.isClosed = true;
  }

  /** The server takes the connection and welcomes it. @param {string} name */
  welcome(name) {
    this.onopen?.({});
    this.say({ type: 'welcome', socket: name });
  }

  /** @param {object} message */
  say(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** @param {number} code @param {string} [reason] */
  end(code, reason = '') {
    this.onclose?.({ code, reason });
  }
}

/** Opens wires and keeps them. */
export class Wires {
  /** @type {FakeWire[]} */
  all = [];

  /** @returns {any} */
  open = () => {
    this.all.push(new FakeWire());
    return this.last;
  };

  get last() {
    return this.all[this.all.length - 1];
  }
}
