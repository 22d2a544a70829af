"""The test picture as plain arrays, for clients of any media library: bar code, gradients, a moving box."""

import numpy as np

import barcode


class Picture:
    """Paints yuv420p pictures of one size; `left` of the box moves one column a frame."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        across = np.linspace(70, 190, width)
        down = np.linspace(-20, 20, height)
        luma = across[None, :] + down[:, None]
        shape = (height // 2, width // 2)
        blue = np.broadcast_to(np.linspace(90, 166, width // 2)[None, :], shape)
        red = np.broadcast_to(np.linspace(166, 90, height // 2)[:, None], shape)
        planes = [plane.astype(np.uint8).reshape(-1) for plane in (luma, blue, red)]
        self._planes = np.concatenate(planes).reshape(height * 3 // 2, width)

    def planes(self, number: int, clock: int) -> barcode.Luma:
        """One picture of shape (height * 3/2, width), the caller's own; `clock` is in milliseconds."""
        planes = self._planes.copy()
        side = self._height // 4
        left = number * self._width // barcode.COLUMNS % max(1, self._width - side)
        planes[self._height // 2 : self._height // 2 + side, left : left + side] = 210
        barcode.stamp(planes, number, clock)
        return planes
