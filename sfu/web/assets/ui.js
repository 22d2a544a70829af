/**
 * The few things every page does to its document; text only, never markup.
 */

/**
 * An element the page must have, with its type checked.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

/** Sets text, and leaves the document alone when it already says so. @param {HTMLElement} element @param {string} text */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows or hides an element. @param {HTMLElement} element @param {boolean} visible */
export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Sets the state a style sheet colours by. @param {HTMLElement} element @param {string} state */
export function mark(element, state) {
  if (element.dataset.state !== state) element.dataset.state = state;
}

/**
 * A new element.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {{ className?: string, text?: string }} [options]
 * @param {HTMLElement[]} [children]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, { className, text } = {}, children = []) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

/** Speaks a change to people who do not see it; counting numbers do not belong here. @param {string} text */
export function announce(text) {
  say(byId('announcer', HTMLElement), text);
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
