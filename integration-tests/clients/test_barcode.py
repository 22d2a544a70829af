"""The bar code survives what a stream does to it, and refuses what is not a code."""

import unittest

import numpy as np

import barcode


def picture(width: int = 640, height: int = 360) -> barcode.Luma:
    """A mid-grey luma plane."""
    return np.full((height, width), 126, dtype=np.uint8)


class BarcodeTest(unittest.TestCase):
    def test_what_is_written_is_read_at_any_size(self) -> None:
        for width, height in [(640, 360), (1280, 720), (320, 180), (426, 240), (853, 481), (64, 36)]:
            luma = picture(width, height)
            barcode.write(luma, 1234567, 0xABCDEF)
            self.assertEqual(barcode.read(luma), barcode.Code(1234567, 0xABCDEF, False), f"{width}x{height}")

    def test_every_bit_of_both_rows_is_carried(self) -> None:
        for bit in range(24):
            luma = picture()
            barcode.write(luma, 1 << bit, (1 << 24) - 1 - (1 << bit))
            self.assertEqual(barcode.read(luma), barcode.Code(1 << bit, (1 << 24) - 1 - (1 << bit), False))

    def test_values_wrap_at_24_bits(self) -> None:
        luma = picture()
        barcode.write(luma, (1 << 24) + 5, 1_700_000_000_123)
        self.assertEqual(barcode.read(luma), barcode.Code(5, 1_700_000_000_123 % (1 << 24), False))

    def test_the_first_cells_are_the_ones_the_format_names(self) -> None:
        luma = picture()
        barcode.write(luma, 0x800001, 2)
        centres = luma[[10, 30]][:, 10::20]
        white, black = barcode.WHITE, barcode.BLACK
        bits = ["".join("1" if cell == white else "0" for cell in row) for row in centres]
        self.assertEqual(set(np.unique(centres)), {white, black})
        # 8 + 1 + row 0 = 9, 2 + row 1 = 3
        self.assertEqual(bits[0], "1010" + f"{0x800001:024b}" + f"{9:04b}")
        self.assertEqual(bits[1], "1010" + f"{2:024b}" + f"{3:04b}")
        self.assertTrue((luma[40:] == 126).all(), "only two rows are drawn")

    def test_an_inverted_code_is_read_and_known(self) -> None:
        luma = picture()
        barcode.write(luma, 77, 88)
        self.assertEqual(barcode.read(255 - luma), barcode.Code(77, 88, True))

    def test_noise_blur_and_low_contrast_are_survived(self) -> None:
        noise = np.random.default_rng(7)
        luma = picture()
        barcode.write(luma, 4321, 98765)
        soft = 126 + (luma.astype(np.float64) - 126) * 0.35 + noise.normal(0, 12, luma.shape)
        blurred = (soft + np.roll(soft, 2, axis=1) + np.roll(soft, -2, axis=0)) / 3
        self.assertEqual(
            barcode.read(blurred.clip(0, 255).astype(np.uint8)), barcode.Code(4321, 98765, False)
        )

    def test_a_plain_picture_has_no_code(self) -> None:
        self.assertIsNone(barcode.read(picture()))
        self.assertIsNone(barcode.read(np.zeros((360, 640), dtype=np.uint8)))

    def test_one_flipped_cell_is_refused(self) -> None:
        for row in range(2):
            for column in range(4, 32):
                luma = picture()
                barcode.write(luma, 1000, 2000)
                cell = luma[row * 20 : row * 20 + 20, column * 20 : column * 20 + 20]
                cell[:] = 255 - cell
                self.assertIsNone(barcode.read(luma), f"row {row} column {column}")

    def test_swapped_rows_are_refused(self) -> None:
        luma = picture()
        barcode.write(luma, 1000, 2000)
        luma[:40] = np.vstack([luma[20:40], luma[:20]])
        self.assertIsNone(barcode.read(luma))


if __name__ == "__main__":
    unittest.main()
