//! The test picture: a frame number and a time in two rows of cells above moving content.
//!
//! 32 columns by 18 rows of cells. The two top rows hold 4 cells of sync (1 0 1 0), 24 bits of value
//! and 4 bits of checksum (sum of the value's nibbles and the row number), most significant first.

use reverie_transcoder::I420;

const COLUMNS: usize = 32;
const ROWS: usize = 18;
const SYNC: u32 = 0b1010;
const WHITE: u8 = 235;
const BLACK: u8 = 16;
const CONTRAST: f32 = 40.0;

/// What the bar code of a picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub number: u32,
    pub millis: u32,
    pub inverted: bool,
}

/// Paints frame `number` at `millis`: bar code, colour gradients that drift, and a moving box.
pub fn paint(picture: &mut I420, number: u32, millis: u32) {
    let (width, height) = dimensions(picture);
    let [luma, u, v] = picture.planes_mut();
    let shift = number as usize * 3;
    for (at, sample) in luma.iter_mut().enumerate() {
        let (x, y) = (at % width, at / width);
        *sample = 70 + ((x * 96 / width + y * 64 / height + shift) % 128) as u8;
    }
    for (at, (u, v)) in u.iter_mut().zip(v).enumerate() {
        let (x, y) = (at % (width / 2), at / (width / 2));
        *u = 88 + ((x * 160 / width + shift / 2) % 80) as u8;
        *v = 88 + ((y * 160 / height + shift / 3) % 80) as u8;
    }
    let (left, top) = (shift * 2 % (width - width / 8), height / 3);
    for row in luma.chunks_mut(width).skip(top).take(height / 6) {
        row[left..left + width / 8].fill(200);
    }
    for (row, value) in [number, millis].into_iter().enumerate() {
        paint_row(luma, width, height, row, value);
    }
}

fn paint_row(luma: &mut [u8], width: usize, height: usize, row: usize, value: u32) {
    let value = value & 0xff_ffff;
    let bits = SYNC << 28 | value << 4 | checksum(value, row);
    let (top, bottom) = (row * height / ROWS, (row + 1) * height / ROWS);
    for line in luma.chunks_mut(width).take(bottom).skip(top) {
        for column in 0..COLUMNS {
            let white = bits >> (COLUMNS - 1 - column) & 1 == 1;
            let cell = column * width / COLUMNS..(column + 1) * width / COLUMNS;
            line[cell].fill(if white { WHITE } else { BLACK });
        }
    }
}

/// Reads the bar code; `None` if there is none or a checksum is wrong.
pub fn read(picture: &I420) -> Option<Code> {
    let (number, inverted) = read_row(picture, 0)?;
    let (millis, _) = read_row(picture, 1)?;
    Some(Code {
        number,
        millis,
        inverted,
    })
}

fn read_row(picture: &I420, row: usize) -> Option<(u32, bool)> {
    let cells: Vec<f32> = (0..COLUMNS)
        .map(|column| mean(picture, row, column))
        .collect();
    let (white, black) = ((cells[0] + cells[2]) / 2.0, (cells[1] + cells[3]) / 2.0);
    if (white - black).abs() < CONTRAST {
        return None;
    }
    let bit = |cell: &f32| u32::from((cell - white).abs() < (cell - black).abs());
    let bits = cells.iter().fold(0, |bits, cell| bits << 1 | bit(cell));
    let value = bits >> 4 & 0xff_ffff;
    (bits & 0xf == checksum(value, row)).then_some((value, white < black))
}

/// Mean luma of the central half of a cell.
fn mean(picture: &I420, row: usize, column: usize) -> f32 {
    let (width, height) = dimensions(picture);
    let (cell_width, cell_height) = (width as f32 / 32.0, height as f32 / 18.0);
    let span = |index: usize, cell: f32| {
        let start = (index as f32 + 0.25) * cell;
        start as usize..((start + cell / 2.0) as usize).max(start as usize + 1)
    };
    let samples: Vec<f32> = span(row, cell_height)
        .flat_map(|y| span(column, cell_width).map(move |x| y * width + x))
        .map(|at| f32::from(picture.planes()[0][at]))
        .collect();
    samples.iter().sum::<f32>() / samples.len() as f32
}

fn checksum(value: u32, row: usize) -> u32 {
    let nibbles: u32 = (0..6).map(|nibble| (value >> (4 * nibble)) & 0xf).sum();
    (nibbles + row as u32) & 0xf
}

fn dimensions(picture: &I420) -> (usize, usize) {
    (
        picture.size().width() as usize,
        picture.size().height() as usize,
    )
}
