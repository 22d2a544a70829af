"""What a player prints of a picture that it decoded, the same for every media library."""

import numpy as np

import barcode
from lines import emit


def tell(luma: barcode.Luma, now: float, size: tuple[int, int], **more: object) -> barcode.Code | None:
    """Prints one `frame` with what the bar code says, and returns that; `now` is when it was decoded."""
    code = barcode.read(luma)
    emit(
        "frame",
        t=now,
        n=code and code.number,
        clock=code and code.clock,
        inverted=code and code.inverted,
        luma=full_range_mean(luma),
        tiles=tiles(luma),
        size=list(size),
        **more,
    )
    return code


def full_range_mean(luma: barcode.Luma) -> float:
    """Mean luma stretched from video range to 0..255, as a browser's canvas would have it."""
    return round((float(luma.mean()) - 16) * 255 / 219, 1)


def tiles(luma: barcode.Luma) -> list[float]:
    """Mean luma of the picture's parts, four by four, row after row."""
    rows = [part for row in np.array_split(luma, 4) for part in np.array_split(row, 4, axis=1)]
    return [round(float(part.mean()), 2) for part in rows]
