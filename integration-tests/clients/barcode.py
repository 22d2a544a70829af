"""The bar code of the test picture: which frame this is, and which clock it was drawn at.

The picture is a grid of 32 columns and 18 rows. Row 0 carries the frame number, row 1 the clock in
milliseconds; each is four sync cells (1 0 1 0), 24 value bits and a 4-bit checksum, most significant
bit first, white for 1. Inverting the picture inverts the sync cells too, so an inverted code is still
read, and known to be inverted.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]

COLUMNS = 32
ROWS = 18
MODULUS = 1 << 24
#: Video-range luma of the two kinds of cell.
WHITE, BLACK = 235, 16
#: Below this distance between white and black the cells carry no code.
MIN_CONTRAST = 40

_SYNC = (1, 0, 1, 0)


@dataclass(frozen=True)
class Code:
    """What one picture says about itself; `clock` is in milliseconds, both values modulo 2**24."""

    number: int
    clock: int
    inverted: bool


def write(luma: Luma, number: int, clock: int) -> None:
    """Draws both code rows into a luma plane of shape (height, width), in place."""
    height, width = luma.shape
    xs = [round(column * width / COLUMNS) for column in range(COLUMNS + 1)]
    ys = [round(row * height / ROWS) for row in range(3)]
    for row, value in enumerate((number, clock)):
        for column, bit in enumerate(_cells(value % MODULUS, row)):
            luma[ys[row] : ys[row + 1], xs[column] : xs[column + 1]] = WHITE if bit else BLACK


def stamp(planes: Luma, number: int, clock: int) -> None:
    """Draws both code rows in black and white into a whole yuv420p picture of shape (height * 3/2, width)."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    write(planes[:height], number, clock)
    chroma = planes.reshape(-1)[height * width :].reshape(2, height // 2, width // 2)
    # A browser reads RGB, where a coloured white cell is neither white nor readable.
    chroma[:, : -(-height // ROWS)] = 128


def read(luma: Luma) -> Code | None:
    """Reads both code rows of a luma plane; None where there is no code or a checksum is wrong."""
    rows = [_read_row(luma, row) for row in range(2)]
    number, clock = rows
    if number is None or clock is None or number[1] != clock[1]:
        return None
    return Code(number=number[0], clock=clock[0], inverted=number[1])


def _checksum(value: int, row: int) -> int:
    return (sum(value >> shift & 0xF for shift in range(0, 24, 4)) + row) % 16


def _cells(value: int, row: int) -> list[int]:
    word = value << 4 | _checksum(value, row)
    return [*_SYNC, *(word >> shift & 1 for shift in reversed(range(28)))]


def _read_row(luma: Luma, row: int) -> tuple[int, bool] | None:
    cells = _cell_means(luma, row)
    white = (cells[0] + cells[2]) / 2
    black = (cells[1] + cells[3]) / 2
    if abs(white - black) < MIN_CONTRAST:
        return None
    word = 0
    for cell in cells[4:]:
        word = word << 1 | (abs(cell - white) < abs(cell - black))
    value = word >> 4
    if word & 0xF != _checksum(value, row):
        return None
    return value, bool(white < black)


def _cell_means(luma: Luma, row: int) -> list[float]:
    """Mean luma of the central half of each cell of one row."""
    height, width = luma.shape
    band = luma[_central_half(row, height / ROWS)].mean(axis=0)
    return [float(band[_central_half(column, width / COLUMNS)].mean()) for column in range(COLUMNS)]


def _central_half(index: int, size: float) -> slice:
    start = round((index + 0.25) * size)
    return slice(start, max(start + 1, round((index + 0.75) * size)))
