import assert from 'node:assert/strict';
import { test } from 'node:test';

import { errorFrom } from '../assets/api.js';
import { ServerClock } from '../assets/clock.js';
import { h264First, startingAt } from '../assets/codecs.js';
import { accountPath, channelFromPath, isChannel, pathWithin } from '../assets/route.js';
import { Tokens, scopedInFragment, tokenInFragment, tokenInQuery } from '../assets/token.js';
import { linkWords, momentWords, promptLength, secondsUntil, tokenWords, warningWords } from '../assets/words.js';

test('a channel name is 1 to 64 letters, digits, dashes and underscores', () => {
  assert.ok(isChannel('a') && isChannel('A-b_9') && isChannel('x'.repeat(64)));
  for (const name of ['', 'x'.repeat(65), 'a b', 'ä', 'a/b', '..', 'a%20']) assert.ok(!isChannel(name), name);
});

test('the channel of a page is the last part of its path', () => {
  assert.equal(channelFromPath('/watch/lobby'), 'lobby');
  assert.equal(channelFromPath('/bridge/lobby/'), 'lobby');
  assert.equal(channelFromPath('/watch/a%20b'), null);
  assert.equal(channelFromPath('/'), null);
});

test('who signs in is led back to a page of this server and nowhere else', () => {
  const { searchParams } = new URL(accountPath('/mod/lobby?dock=1'), 'https://a.example');
  assert.equal(pathWithin(searchParams.get('to') ?? ''), '/mod/lobby?dock=1');
  for (const path of ['', 'mod', '//evil.example/', '/\\evil.example', 'https://evil.example/', 'javascript:alert(1)']) {
    assert.equal(pathWithin(path), null, path);
  }
});

test('constrained baseline in mode 1 comes first and nothing is lost', () => {
  const h264 = (/** @type {number} */ mode, /** @type {string} */ profile) => ({
    mimeType: 'video/H264',
    sdpFmtpLine: `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${profile}`,
  });
  const codecs = [{ mimeType: 'video/VP8' }, h264(0, '42e01f'), h264(1, '42001f'), { mimeType: 'video/rtx' }, h264(1, '42e01f')];
  assert.deepEqual(h264First(codecs), [codecs[4], codecs[2], codecs[1], codecs[0], codecs[3]]);
});

test('only the H264 lines of an answer get a starting bitrate', () => {
  const answer = [
    'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=fmtp:111 minptime=10;useinbandfec=1', 'm=video 9 UDP/TLS/RTP/SAVPF 108 109',
    'a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f', 'a=fmtp:109 apt=108', '',
  ];
  const changed = startingAt(answer.join('\r\n'), 1499.6).split('\r\n');
  assert.equal(changed[3], `${answer[3]};x-google-start-bitrate=1500`);
  assert.deepEqual(changed.with(3, answer[3]), answer);
});

test('an error speaks with the detail of problem+json, else its title, else the status', async () => {
  const problem = (/** @type {object} */ body) => new Response(JSON.stringify(body), { status: 406, headers: { 'Retry-After': '3' } });
  const detailed = await errorFrom(problem({ title: 'Not acceptable', detail: 'offered VP8, wanted H264' }));
  assert.equal(detailed.message, 'offered VP8, wanted H264');
  assert.equal(detailed.retryAfterMs, 3000);
  assert.equal((await errorFrom(problem({ title: 'Not acceptable' }))).message, 'Not acceptable');
  const plain = await errorFrom(new Response('<html>', { status: 502 }));
  assert.equal(plain.message, 'the server answered 502');
  assert.equal(plain.retryAfterMs, null);
});

test('a rejection says why, and says it once where nobody said why', () => {
  const rejected = (/** @type {string} */ reason) => momentWords(/** @type {any} */ ({ state: 'rejected', reason }), { place: null, left: null });
  assert.equal(rejected('not today'), 'Not approved: not today');
  assert.equal(rejected('not approved'), 'Not approved');
});

test('a warning about the picture says what to set in the encoder, and an unknown one is named', () => {
  assert.equal(warningWords([]), '');
  assert.match(warningWords(['b_frames']), /B-frames to 0 .*x264: tune zerolatency/);
  assert.match(warningWords(['b_frames', 'upside_down']), /B-frames .* The server warns: upside_down\.$/);
});

test('a token is read from the fragment, plus signs included', () => {
  assert.equal(tokenInFragment('#token=abc+/%3D'), 'abc+/=');
  assert.equal(tokenInFragment('#x=1&token=t'), 't');
  assert.equal(tokenInFragment('#token='), null);
  assert.equal(tokenInFragment(''), null);
});

test('a fragment may name a token for each scope', () => {
  assert.deepEqual(scopedInFragment('#publish=a.b-c&watch=d+e&other=f'), [['publish', 'a.b-c'], ['watch', 'd+e']]);
  assert.deepEqual(scopedInFragment('#token=x&publish='), []);
});

test('a token in the query is read and taken out, and the rest stays', () => {
  assert.deepEqual(tokenInQuery('?dock=1&token=a+b%3D'), { token: 'a+b=', rest: '?dock=1' });
  assert.deepEqual(tokenInQuery('?token=t'), { token: 't', rest: '' });
  assert.deepEqual(tokenInQuery('?dock=1'), { token: null, rest: '?dock=1' });
  assert.deepEqual(tokenInQuery(''), { token: null, rest: '' });
});

test('a refused token is explained: unknown or expired, or good for something else', async () => {
  const answer = (/** @type {number} */ status, /** @type {string} */ detail) => errorFrom(new Response(JSON.stringify({ detail }), { status }));
  assert.equal(tokenWords('publish', null), 'Publishing on this channel needs a token.');
  const expired = tokenWords('publish', await answer(401, 'the token has expired'));
  assert.equal(expired, 'Publishing on this channel needs a token. The one given was refused: the token has expired.');
  const elsewhere = tokenWords('watch', await answer(403, 'the token is for watching on channel "a"; this needs one for watching channel "b"'));
  assert.match(elsewhere, /^Watching this channel needs a token\. The one given is for something else: .*channel "a"/);
});

test('the first token serves every scope; one that works is kept when another scope gets its own', () => {
  const tokens = new Tokens(null);
  assert.equal(tokens.get('watch'), null);
  tokens.replaceAll('first');
  tokens.confirm('publish');
  tokens.set('control', 'second');
  assert.deepEqual([tokens.get('publish'), tokens.get('control'), tokens.get('watch')], ['first', 'second', 'second']);
  tokens.set('watch', 'third');
  assert.deepEqual([tokens.get('publish'), tokens.get('control'), tokens.get('watch')], ['first', 'second', 'third']);
});

test('tokens outlive a reload and a storage that refuses them', () => {
  /** @type {Map<string, string>} */
  const kept = new Map();
  const storage = {
    getItem: (/** @type {string} */ key) => kept.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value),
    removeItem: (/** @type {string} */ key) => void kept.delete(key),
  };
  new Tokens(storage).set('watch', 'w');
  assert.equal(new Tokens(storage).get('watch'), 'w');
  new Tokens(storage).replaceAll('new');
  assert.equal(new Tokens(storage).get('watch'), 'new');

  const full = new Tokens({ ...storage, setItem: () => { throw new Error('full'); } });
  full.set('publish', 'p');
  assert.equal(full.get('publish'), 'p');
});

test('the freshest time seen sets the clock, replayed ones do not set it back', () => {
  let local = 1000;
  const clock = new ServerClock(() => local);
  assert.equal(clock.now(), 1000);
  clock.observe(40_000);
  clock.observe(90_000);
  local = 2000;
  clock.observe(5000);
  assert.equal(clock.now(), 91_000);
  clock.reset();
  assert.equal(clock.now(), 2000);
});

test('words for connections count down', () => {
  assert.equal(linkWords({ phase: 'live', reason: null, retryAt: null }, 0), 'live');
  assert.equal(linkWords({ phase: 'reconnecting', reason: 'x', retryAt: 2500 }, 1000), 'reconnecting in 2 s');
  assert.equal(linkWords({ phase: 'reconnecting', reason: 'x', retryAt: null }, 1000), 'reconnecting…');
  assert.equal(secondsUntil(10, 5000), 0);
});

test('words for moments name the place, the time left and the reason', () => {
  const moment = {
    id: 'm', channel: 'c', prompt: 'p', pipeline: 'x', state: /** @type {const} */ ('queued'), duration_s: 1, version: 1,
    position: 3, created_at: 0, active_at: null, ends_at: null, ended_at: null, reason: null,
  };
  const say = (/** @type {object} */ change, place = null, left = null) => momentWords({ ...moment, ...change }, { place, left });
  assert.equal(momentWords(moment, { place: 3, left: null }), 'Waiting, position 3');
  assert.equal(momentWords(moment, { place: 1, left: null }), 'Waiting, next');
  assert.equal(say({}), 'Waiting');
  assert.equal(say({ state: 'warming' }), 'Warming up');
  assert.equal(say({ state: 'pending_approval' }), 'In review');
  assert.equal(say({ state: 'rejected', reason: 'not today' }), 'Not approved: not today');
  assert.equal(momentWords({ ...moment, state: 'active' }, { place: null, left: 12 }), 'Live: 12 s left');
  assert.equal(say({ state: 'completed' }), 'Done');
  assert.equal(say({ state: 'failed', reason: 'the streamer left' }), 'Failed: the streamer left');
  assert.equal(say({ state: 'cancelled' }), 'Cancelled');
});

test('a prompt is counted in characters', () => {
  assert.equal(promptLength('naïve 🎨'), 7);
});
