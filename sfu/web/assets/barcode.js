/**
 * The bar code of the test picture: a frame number and a time, written on top of a picture and read back from its pixels.
 *
 * The picture is a grid of 32 x 18 cells. Rows 0 and 1 hold one value each: the sync cells 1 0 1 0, 24 bits with the most
 * significant first, and a 4-bit check sum (the six nibbles plus the row, modulo 16). Row 0 is the frame number, row 1 the
 * milliseconds of Unix time, both modulo 2^24. White is 1; a picture whose luma was inverted can still be read.
 */

const COLUMNS = 32;
const ROWS = 18;
const SYNC = [1, 0, 1, 0];
const VALUE_BITS = 24;
/** Below this difference of white and black luma (0 to 255) nothing is readable. */
const LEAST_CONTRAST = 40;

/** Both values count modulo this. */
export const SPAN = 2 ** VALUE_BITS;

/** @typedef {{ frame: number, ms: number, inverted: boolean }} Code */
/** Pixels as `ImageData` has them: RGBA, 8 bits each. @typedef {{ width: number, height: number, data: ArrayLike<number> }} Pixels */

/** The 32 cells of one row. @param {number} value @param {number} row 0 or 1 @returns {number[]} */
export function cellsOf(value, row) {
  const kept = value % SPAN;
  return [...SYNC, ...bits(kept, VALUE_BITS), ...bits(checksum(kept, row), 4)];
}

/**
 * Draws both code rows over the top of a picture.
 * @param {Pick<CanvasRenderingContext2D, 'fillStyle' | 'fillRect'>} context
 * @param {number} width of the picture in pixels
 * @param {number} height
 * @param {number} frame number of the frame, from 1
 * @param {number} ms milliseconds since 1970
 */
export function writeCode(context, width, height, frame, ms) {
  for (const [row, value] of [frame, ms].entries()) {
    const top = Math.round((row * height) / ROWS);
    const bottom = Math.round(((row + 1) * height) / ROWS);
    for (const [column, bit] of cellsOf(value, row).entries()) {
      const left = Math.round((column * width) / COLUMNS);
      const right = Math.round(((column + 1) * width) / COLUMNS);
      context.fillStyle = bit ? '#ffffff' : '#000000';
      context.fillRect(left, top, right - left, bottom - top);
    }
  }
}

/**
 * Reads the code of a picture.
 * @param {Pixels} pixels the picture, or only its top two rows of cells
 * @param {number} [height] of the whole picture, when `pixels` is only its top
 * @returns {Code | null} null when there is no code or a check sum is wrong
 */
export function readCode(pixels, height = pixels.height) {
  const frame = readRow(pixels, height, 0);
  const ms = readRow(pixels, height, 1);
  if (frame === null || ms === null || frame.inverted !== ms.inverted) return null;
  return { frame: frame.value, ms: ms.value, inverted: frame.inverted };
}

/** Age in milliseconds of a time read from a code, which wraps every 4.6 hours. @param {number} ms @param {number} now milliseconds since 1970 */
export function ageOf(ms, now) {
  const age = (now - ms) % SPAN;
  // A reader's clock may be a little behind the writer's.
  return age > SPAN / 2 ? age - SPAN : age;
}

/** @param {Pixels} pixels @param {number} height @param {number} row */
function readRow(pixels, height, row) {
  const lumas = Array.from({ length: COLUMNS }, (_, column) => cellLuma(pixels, height, column, row));
  const white = (lumas[0] + lumas[2]) / 2;
  const black = (lumas[1] + lumas[3]) / 2;
  if (Math.abs(white - black) < LEAST_CONTRAST) return null;
  const read = lumas.map((luma) => (Math.abs(luma - white) < Math.abs(luma - black) ? 1 : 0));
  const value = numberOf(read.slice(4, 4 + VALUE_BITS));
  const sound = numberOf(read.slice(4 + VALUE_BITS)) === checksum(value, row);
  const synced = SYNC.every((bit, index) => read[index] === bit);
  return sound && synced ? { value, inverted: white < black } : null;
}

/** Mean luma of the central half of a cell. @param {Pixels} pixels @param {number} height @param {number} column @param {number} row */
function cellLuma({ width, data }, height, column, row) {
  const left = Math.floor(((column + 0.25) * width) / COLUMNS);
  const right = Math.max(left + 1, Math.floor(((column + 0.75) * width) / COLUMNS));
  const top = Math.floor(((row + 0.25) * height) / ROWS);
  const bottom = Math.max(top + 1, Math.floor(((row + 0.75) * height) / ROWS));
  let sum = 0;
  for (let y = top; y < bottom; y += 1) {
    for (let x = left; x < right; x += 1) {
      const at = (y * width + x) * 4;
      sum += 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    }
  }
  return sum / ((bottom - top) * (right - left));
}

/** @param {number} value @param {number} row */
function checksum(value, row) {
  let sum = row;
  for (let shift = 0; shift < VALUE_BITS; shift += 4) sum += (value >> shift) & 15;
  return sum % 16;
}

/** @param {number} value @param {number} count @returns {number[]} most significant first */
function bits(value, count) {
  return Array.from({ length: count }, (_, index) => (value >> (count - 1 - index)) & 1);
}

/** @param {number[]} read most significant first */
function numberOf(read) {
  return read.reduce((value, bit) => value * 2 + bit, 0);
}
