import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SPAN, ageOf, cellsOf, readCode, writeCode } from '../assets/barcode.js';
import { below, generator } from './random.js';

/** A canvas of plain numbers: enough of a 2D context for `writeCode`. */
class Paper {
  fillStyle = '';

  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.data = new Uint8ClampedArray(width * height * 4).fill(128);
  }

  /** @param {number} x @param {number} y @param {number} width @param {number} height */
  fillRect(x, y, width, height) {
    const value = this.fillStyle === '#ffffff' ? 255 : 0;
    for (let row = y; row < y + height; row += 1) {
      const start = (row * this.width + x) * 4;
      this.data.fill(value, start, start + width * 4);
    }
  }

  /** @param {(value: number) => number} change */
  map(change) {
    this.data = this.data.map(change);
    return this;
  }
}

/** @param {number} width @param {number} height @param {number} frame @param {number} ms */
function picture(width, height, frame, ms) {
  const paper = new Paper(width, height);
  writeCode(paper, width, height, frame, ms);
  return paper;
}

test('a row is the sync, 24 bits and a check sum that differs by row', () => {
  assert.equal(cellsOf(0xa5000f, 0).join(''), '1010' + '101001010000000000001111' + '1110');
  assert.equal(cellsOf(0xa5000f, 1).slice(28).join(''), '1111');
  assert.equal(cellsOf(SPAN + 1, 0).join(''), cellsOf(1, 0).join(''));
});

test('what is written is read, at any size', () => {
  const random = generator(5);
  for (const [width, height] of [[640, 360], [320, 180], [1280, 720], [854, 480], [426, 240], [1920, 1080]]) {
    const frame = below(random, SPAN);
    const ms = 1_790_000_000_000 + below(random, 1e9);
    const code = readCode(picture(width, height, frame, ms));
    assert.deepEqual(code, { frame, ms: ms % SPAN, inverted: false }, `${width}x${height}`);
  }
});

test('an inverted picture is read and said to be inverted', () => {
  const code = readCode(picture(640, 360, 4711, 1234).map((value) => 255 - value));
  assert.deepEqual(code, { frame: 4711, ms: 1234, inverted: true });
});

test('noise, video range and little contrast do no harm', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = generator(seed);
    const noisy = picture(640, 360, seed, 99).map((value) => 16 + (value * 150) / 255 + (random() - 0.5) * 120);
    assert.deepEqual(readCode(noisy), { frame: seed, ms: 99, inverted: false }, `seed ${seed}`);
  }
});

test('the top of a picture is enough when its height is given', () => {
  const whole = picture(640, 360, 77, 88);
  const top = { width: 640, height: 40, data: whole.data.slice(0, 640 * 40 * 4) };
  assert.deepEqual(readCode(top, 360), { frame: 77, ms: 88, inverted: false });
});

test('a wrong cell, a grey picture and a black one are not read', () => {
  for (let column = 0; column < 32; column += 1) {
    const broken = picture(640, 360, 1000, 2000);
    broken.fillStyle = cellsOf(1000, 0)[column] ? '#000000' : '#ffffff';
    broken.fillRect(column * 20, 0, 20, 20);
    assert.equal(readCode(broken), null, `cell ${column}`);
  }
  assert.equal(readCode(new Paper(640, 360)), null);
  assert.equal(readCode(new Paper(640, 360).map(() => 0)), null);
  assert.equal(readCode(picture(640, 360, 1, 1).map((value) => 100 + value / 10)), null);
});

test('the age of a time survives the wrap and a clock that is behind', () => {
  assert.equal(ageOf((SPAN - 100) % SPAN, SPAN * 3 + 50), 150);
  assert.equal(ageOf(5020, SPAN * 7 + 5000), -20);
});
