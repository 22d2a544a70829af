/**
 * Server-sent events from text chunks (WHATWG HTML, section 9.2.6): a parser only, no network.
 * The pages read the stream with fetch because EventSource cannot send an Authorization header.
 */

/**
 * @typedef {object} ServerEvent
 * @property {string} id the last id the stream has named so far, '' before the first
 * @property {string} type `message` when the stream names none
 * @property {string} data the data lines joined by line feeds
 */

/** Turns chunks of text, cut anywhere, into events. */
export class SseParser {
  #rest = '';
  #started = false;
  #id = '';
  #type = '';
  /** @type {string[]} */
  #data = [];

  /**
   * Takes the next chunk and returns the events it completes; an event ends at its blank line.
   * @param {string} chunk
   * @returns {ServerEvent[]}
   */
  push(chunk) {
    let text = this.#rest + chunk;
    if (!this.#started && text !== '') {
      text = text.replace(/^\uFEFF/, '');
      this.#started = true;
    }
    /** @type {ServerEvent[]} */
    const events = [];
    // A CR at the very end may be half of a CR LF: it stays until the next chunk says.
    const line = /([^\r\n]*)(\r\n|\n|\r(?!$))/y;
    let used = 0;
    for (let found = line.exec(text); found; found = line.exec(text)) {
      used = line.lastIndex;
      const event = this.#line(found[1]);
      if (event) events.push(event);
    }
    this.#rest = text.slice(used);
    return events;
  }

  /** @param {string} line @returns {ServerEvent | null} */
  #line(line) {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    return null;
  }

  /** @returns {ServerEvent | null} */
  #dispatch() {
    const data = this.#data;
    const type = this.#type || 'message';
    this.#data = [];
    this.#type = '';
    return data.length === 0 ? null : { id: this.#id, type, data: data.join('\n') };
  }
}
