#!/usr/bin/env node
// Serves the extension that a server packs, as Twitch does: unpacked, from an origin of its own, under Twitch's policy.
//
//   extension.mjs --server URL
//
// Prints {"event": "ready", "url", "files"} and ends on a line `stop`, the end of stdin or SIGTERM.
// @ts-check
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { server: { type: 'string' } } });
const home = values.server ?? '';
const files = unpack(Buffer.from(await (await fetch(`${home}/extension.zip`)).arrayBuffer()));

/** What Twitch lets a panel do, with the one server that its developer has named. */
const POLICY = [
  "default-src 'self'",
  "script-src 'self' https://extension-files.twitch.tv",
  "style-src 'self' 'unsafe-inline'",
  'img-src * data: blob:',
  'media-src * data: blob:',
  `connect-src ${home}`,
].join('; ');

/** @type {Record<string, string>} */
const TYPES = { html: 'text/html', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };

const host = createServer((request, response) => {
  const path = new URL(request.url ?? '/', 'http://here').pathname.slice(1);
  const content = files.get(path);
  if (!content) return void response.writeHead(404).end();
  const type = TYPES[path.split('.').pop() ?? ''];
  response.writeHead(200, { 'content-type': type, 'content-security-policy': POLICY }).end(content);
});
host.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (host.address());
  const ready = { event: 'ready', t: Date.now() / 1000, url: `http://127.0.0.1:${port}`, files: [...files.keys()] };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
});

/**
 * The files of a zip file whose entries are stored (APPNOTE 4.3.7).
 * @param {Buffer} zip
 */
function unpack(zip) {
  /** @type {Map<string, Buffer>} */
  const found = new Map();
  for (let at = 0; zip.readUInt32LE(at) === 0x04034b50; ) {
    if (zip.readUInt16LE(at + 8) !== 0) throw new Error('an entry is compressed');
    const [size, name, extra] = [zip.readUInt32LE(at + 18), zip.readUInt16LE(at + 26), zip.readUInt16LE(at + 28)];
    const begin = at + 30 + name + extra;
    found.set(zip.toString('utf8', at + 30, at + 30 + name), zip.subarray(begin, begin + size));
    at = begin + size;
  }
  return found;
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => line.trim() === 'stop' && process.exit());
input.on('close', () => process.exit());
process.on('SIGTERM', () => process.exit());
