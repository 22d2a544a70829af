#!/usr/bin/env node
// Serves one page with the WHIP and WHEP libraries of npm, bundled as a site would, from an origin of its
// own: everything they ask of the server goes through the browser's CORS checks.
//
// Prints {"event": "ready", "url"} and ends on a line `stop`, the end of stdin or SIGTERM.
//   URL?library=NAME&endpoint=URL     NAME as in libraries_page.mjs
// @ts-check
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const bundle = buildSync({
  entryPoints: [`${here}libraries_page.mjs`],
  bundle: true,
  write: false,
  format: 'esm',
  logLevel: 'error',
}).outputFiles[0].text;
const page = `<!doctype html><meta charset="utf-8"><title>Libraries</title>
<video id="video" autoplay muted playsinline></video><script type="module" src="/page.js"></script>`;
// The test picture draws by this worker.
const ticker = readFileSync(`${here}../../sfu/web/assets/ticker.js`, 'utf8');

const pinned = JSON.parse(readFileSync(`${here}package.json`, 'utf8'));

/** @type {Record<string, [string, string]>} */
const FILES = {
  '/': ['text/html', page],
  '/page.js': ['text/javascript', bundle],
  '/assets/ticker.js': ['text/javascript', ticker],
};

const server = createServer((request, response) => {
  const found = FILES[new URL(request.url ?? '/', 'http://here').pathname];
  if (!found) return void response.writeHead(404).end();
  response.writeHead(200, { 'content-type': found[0] }).end(found[1]);
});
server.listen(0, '127.0.0.1', () => {
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  const url = `http://127.0.0.1:${address.port}/`;
  const ready = { event: 'ready', t: Date.now() / 1000, url, versions: pinned.dependencies };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
});

const input = createInterface({ input: process.stdin });
input.on('line', (line) => line.trim() === 'stop' && process.exit());
input.on('close', () => process.exit());
process.on('SIGTERM', () => process.exit());
