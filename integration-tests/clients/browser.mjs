#!/usr/bin/env node
// A real Chromium, driven over stdin and stdout: one JSON command per line in, one JSON event per line out.
//
//   browser.mjs [--mdns] [--any-certificate]
//
//     --mdns              host candidates carry .local names, as for a page without a camera
//     --any-certificate   HTTPS works with certificates that nobody has vouched for
//
// The first event is `ready`. Each command {"id", "cmd", ...} is answered by {"event": "reply", "id",
// "ok", "value" | "error"}. It ends on {"cmd": "close"}, a line `stop`, the end of stdin or SIGTERM,
// and at once, as in a crash, on {"cmd": "kill"}. CHROMIUM names another executable.
// @ts-check
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import puppeteer from 'puppeteer-core';
import { flashAndBeep } from './flash.mjs';
import { publishLayers, watchLayers } from './layers.mjs';
import { findings, listen, prepare, record, restartIce, stats, stopFrames, watchFrames } from './page.mjs';

/** Milliseconds between two batches of frames. */
const BATCH = 250;
/** Milliseconds a page may take to load, or a `wait` to come true, unless the command says otherwise. */
const PATIENCE = 15_000;

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

/** Judges whether people with other senses and hands can use a page. */
const axe = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** @type {Map<string, import('puppeteer-core').Page>} */
const pages = new Map();
/** Frames with names of their own: the page that each is in, and how its address begins. @type {Map<string, { page: string, at: string }>} */
const frames = new Map();
const profile = mkdtempSync(join(tmpdir(), 'reverie-chromium-'));

const hidesAddresses = process.argv.includes('--mdns');
const trusting = process.argv.includes('--any-certificate') ? ['--ignore-certificate-errors'] : [];
const browser = await puppeteer.launch({
  executablePath: executable(),
  headless: true,
  pipe: true,
  userDataDir: profile,
  handleSIGINT: false,
  handleSIGTERM: false,
  handleSIGHUP: false,
  args: [...FLAGS, ...trusting, ...(hidesAddresses ? [] : ['--disable-features=WebRtcHideLocalIpsWithMdns'])],
});
const root = /** @type {number} */ (browser.process()?.pid);

/** What each command does; the returned value is the reply's. */
const COMMANDS = {
  open,
  /** @param {any} command */
  eval: ({ page, code }) => within(page).evaluate(code),
  wait,
  /** From now on the frame of a page whose address begins with `at` is known by a name, as if it were a page. @param {any} command */
  frame: async ({ page, at, name }) => {
    frames.set(name, { page, at });
    await framed(name);
  },
  /** Notes every text that an element says, in `window.testSaid`. @param {any} command */
  listen: ({ page, selector }) => within(page).evaluate(listen, selector),
  /** @param {any} command */
  click: ({ page, selector }) => within(page).click(selector),
  /** @param {any} command */
  type: ({ page, selector, text }) => within(page).type(selector, text),
  /** @param {any} command */
  reload: async ({ page }) => void (await named(page).reload({ timeout: PATIENCE })),
  /** @param {any} command */
  goto: async ({ page, url }) => void (await named(page).goto(url, { waitUntil: 'load', timeout: PATIENCE })),
  /** A click that leads to another page. @param {any} command */
  follow: async ({ page, selector }) => {
    const arrived = named(page).waitForNavigation({ waitUntil: 'load', timeout: PATIENCE });
    await Promise.all([arrived, named(page).click(selector)]);
  },
  /** Takes a cookie away, as if its time were over. @param {any} command */
  forget: async ({ page, cookie }) => {
    const context = named(page).browserContext();
    const kept = (await context.cookies()).filter(({ name }) => name === cookie);
    if (kept.length === 0) throw new Error(`page ${page} has no cookie ${cookie}`);
    await context.deleteCookie(...kept);
  },
  /** @param {any} command */
  watch_frames: async ({ page, selector = 'video' }) => {
    await wait({ page, code: `document.querySelector(${JSON.stringify(selector)}) !== null` });
    await within(page).evaluate(watchFrames, selector, BATCH);
  },
  /** @param {any} command */
  flash: ({ page, whip, whep }) => named(page).evaluate(flashAndBeep, whip, whep),
  /** @param {any} command */
  publish_layers: ({ page, whip }) => named(page).evaluate(publishLayers, whip),
  /** @param {any} command */
  watch_layers: ({ page, whep }) => named(page).evaluate(watchLayers, whep),
  /** @param {any} command */
  stop_frames: ({ page }) => within(page).evaluate(stopFrames),
  /** @param {any} command */
  stats: ({ page }) => within(page).evaluate(stats),
  /** @param {any} command */
  restart_ice: ({ page, session }) => named(page).evaluate(restartIce, session),
  /** @param {any} command */
  screenshot: async ({ page, path, selector }) => {
    const shown = selector ? await named(page).$(selector) : named(page);
    if (!shown) throw new Error(`page ${page} has no ${selector}`);
    await shown.screenshot({ path });
  },
  /** @param {any} command */
  viewport: async ({ page, width, height }) => void (await named(page).setViewport({ width, height })),
  /** @param {any} command */
  axe: ({ page }) => within(page).evaluate(`${axe}; (${findings})()`),
  /** @param {any} command */
  scheme: ({ page, value }) =>
    named(page).emulateMediaFeatures([{ name: 'prefers-color-scheme', value }]),
  /** @param {any} command */
  close_page: async ({ page }) => {
    await named(page).browserContext().close();
    pages.delete(page);
  },
};

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, close);
browser.on('disconnected', async () => {
  // Children of the browser write there a little longer than it lives.
  await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  emit('exit');
  process.exit();
});
const input = createInterface({ input: process.stdin });
input.on('line', run);
input.on('close', close);
emit('ready', { browser: await browser.version(), pid: root });

/** @param {string} line */
async function run(line) {
  if (line.trim() === 'stop') return close();
  let id = null;
  try {
    const command = JSON.parse(line);
    id = command.id;
    if (command.cmd === 'close') return await close();
    if (command.cmd === 'kill') return killTree();
    const act = /** @type {Record<string, Function>} */ (COMMANDS)[command.cmd];
    if (!act) throw new Error(`unknown command ${command.cmd}`);
    emit('reply', { id, ok: true, value: (await act(command)) ?? null });
  } catch (error) {
    emit('reply', { id, ok: false, error: String(error) });
  }
}

/**
 * Opens a page in a context and a window of its own, so that no page is ever in the background. Requests for an address in
 * `answers` are answered with that file of this folder. With `traffic` everything is told that the page's scripts, and those
 * of its frames, send and get.
 * @param {any} command
 */
async function open({ page: name, url, prelude, answers, traffic }) {
  if (pages.has(name)) throw new Error(`page ${name} is open`);
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  pages.set(name, page);
  page.on('console', (message) => {
    const { url, lineNumber } = message.location();
    const at = url ? `${url}:${lineNumber}` : null;
    emit('console', { page: name, level: message.type(), text: message.text(), at });
  });
  page.on('pageerror', (error) => emit('page_error', { page: name, text: String(error) }));
  // Whoever is asked whether to leave leaves.
  page.on('dialog', async (dialog) => {
    emit('dialog', { page: name, kind: dialog.type() });
    await dialog.accept();
  });
  page.on('error', (error) => emit('page_crash', { page: name, text: String(error) }));
  await page.exposeFunction('testReport', (/** @type {string} */ kind, /** @type {object} */ what) =>
    emit(kind, { page: name, ...what }),
  );
  await page.evaluateOnNewDocument(prepare);
  if (traffic) await page.evaluateOnNewDocument(record);
  if (prelude) await page.evaluateOnNewDocument(prelude);
  if (answers) await answerFrom(page, answers);
  const response = await page.goto(url, { waitUntil: 'load', timeout: PATIENCE });
  return { status: response?.status() ?? null };
}

/**
 * @param {import('puppeteer-core').Page} page
 * @param {Record<string, string>} answers files by address
 */
async function answerFrom(page, answers) {
  await page.setRequestInterception(true);
  page.on('request', (request) => {
    const file = answers[request.url()];
    if (file === undefined) return void request.continue();
    void request.respond({ contentType: 'text/javascript', body: readFileSync(new URL(file, import.meta.url), 'utf8') });
  });
}

/**
 * Waits until an expression is true; the page's policy may forbid eval, so the browser evaluates it.
 * @param {{ page: string, code: string, timeout_ms?: number }} command
 */
function wait({ page, code, timeout_ms = PATIENCE }) {
  const failure = JSON.stringify(`not within ${timeout_ms} ms: ${code}`);
  return within(page).evaluate(`(async () => {
    const end = performance.now() + ${Number(timeout_ms)};
    for (;;) {
      const value = await (${code});
      if (value) return value;
      if (performance.now() > end) throw new Error(${failure});
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })()`);
}

/** @param {string} name */
function named(name) {
  const page = pages.get(name);
  if (!page) throw new Error(`no page ${name}`);
  return page;
}

/** A page, or a frame by the name that it was given. @param {string} name */
function within(name) {
  const frame = frames.get(name);
  if (!frame) return named(name);
  const found = named(frame.page).frames().find((one) => one.url().startsWith(frame.at));
  if (!found) throw new Error(`page ${frame.page} has no frame at ${frame.at}`);
  return found;
}

/** Waits until the frame is there. @param {string} name */
async function framed(name) {
  const { page, at } = /** @type {{ page: string, at: string }} */ (frames.get(name));
  const frame = await named(page).waitForFrame((one) => one.url().startsWith(at), { timeout: PATIENCE });
  await frame.waitForSelector('body', { timeout: PATIENCE });
}

async function close() {
  await browser.close();
}

/** Kills every process of the browser with SIGKILL, the children first seen before the parent is gone. */
function killTree() {
  const parents = new Map(
    readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .map((entry) => [Number(entry), parentOf(entry)]),
  );
  const tree = [root];
  for (const member of tree) {
    for (const [pid, parent] of parents) if (parent === member) tree.push(pid);
  }
  emit('killed', { processes: tree.length });
  for (const pid of tree) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone by itself in the meantime.
    }
  }
}

/** @param {string} pid */
function parentOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return null;
  }
}

function executable() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const names = 'chromium chromium-browser google-chrome';
  const script = `for name in ${names}; do command -v $name && exit; done; exit 1`;
  return execFileSync('sh', ['-c', script], { encoding: 'utf8' }).trim();
}

/**
 * @param {string} event
 * @param {object} [fields]
 */
function emit(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, t: Date.now() / 1000, ...fields })}\n`);
}
