"""Goldens of the processors: OpenCV's Canny, Pillow's resampling, and the other formulas in torch.

The border of a picture is repeated wherever a window reaches beyond it: zeros there would draw a frame
around every picture, and that frame would be its strongest edge.

usage: processors.py OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

WIDTH, HEIGHT = 54, 38


def picture(seed: int) -> np.ndarray:
    """A slope, a bright box, a disc, thin lines and noise: (height, width, 3), 8 bits."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    base = 90 + 60 * np.sin(x / 17 + seed) + 40 * np.cos(y / 11)
    base[6:20, 8:28] += 110
    base[(x - 38) ** 2 + (y - 22) ** 2 < 90] -= 120
    base[:, 50] += 70
    base[33, :] -= 55
    color = np.stack([base, 0.8 * base + x, 220 - 0.6 * base + y], axis=-1)
    return np.clip(color + draw.normal(0, 3, color.shape), 0, 255).round().astype(np.uint8)


def planes(rgb: np.ndarray) -> torch.Tensor:
    """8-bit rows to (3, height, width) in 0..1."""
    return torch.from_numpy(rgb).permute(2, 0, 1).float() / 255


def filtered(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Each plane of (planes, height, width) with a square kernel, the border repeated."""
    side = kernel.shape[-1] // 2
    padded = F.pad(x[:, None], (side, side, side, side), mode="replicate")
    return F.conv2d(padded, kernel[None, None])[:, 0]


def gaussian(size: int, sigma: float) -> torch.Tensor:
    at = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    window = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = torch.outer(window, window)
    return (kernel / kernel.sum()).float()


SOBEL = [
    torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    torch.tensor([[-1.0, -2, 0, 2, 1], [-2, -3, 0, 3, 2], [-3, -5, 0, 5, 3], [-2, -3, 0, 3, 2], [-1, -2, 0, 2, 1]]) / 16,
    torch.tensor(
        [
            [-1.0, -2, -3, 0, 3, 2, 1],
            [-2, -3, -4, 0, 4, 3, 2],
            [-3, -4, -5, 0, 5, 4, 3],
            [-4, -5, -6, 0, 6, 5, 4],
            [-3, -4, -5, 0, 5, 4, 3],
            [-2, -3, -4, 0, 4, 3, 2],
            [-1, -2, -3, 0, 3, 2, 1],
        ]
    )
    / 32,
]
BINOMIAL = torch.outer(torch.tensor([1.0, 4, 6, 4, 1]), torch.tensor([1.0, 4, 6, 4, 1])) / 256
LAPLACE = torch.tensor([[0.0, -1, 0], [-1, 4, -1], [0, -1, 0]])


def magnitude(x: torch.Tensor, sobel: torch.Tensor) -> torch.Tensor:
    return torch.sqrt(filtered(x, sobel) ** 2 + filtered(x, sobel.T.contiguous()) ** 2)


def soft_edge(x: torch.Tensor) -> torch.Tensor:
    gray = 0.299 * x[0:1] + 0.587 * x[1:2] + 0.114 * x[2:3]
    edges = sum(weight * magnitude(gray, sobel) for weight, sobel in zip([0.5, 0.3, 0.2], SOBEL))
    smooth = filtered(edges, BINOMIAL)
    return torch.sigmoid(smooth / (smooth.max() + 1e-8) * 6 - 3)[0]


def blurred(x: torch.Tensor, sigma: float) -> torch.Tensor:
    size = max(3, int(6 * sigma + 1))
    return filtered(x, gaussian(size + (size % 2 == 0), sigma))


def sharpen(x, sharpen_intensity, unsharp_radius, edge_enhancement, detail_boost, noise_reduction, multi_scale):
    def mask(radius: float, intensity: float) -> torch.Tensor:
        return (x + intensity * (x - blurred(x, radius))).clamp(0, 1)

    if noise_reduction:
        x = (1 - noise_reduction) * x + noise_reduction * blurred(x, 0.3)
    if multi_scale:
        scales = [(0.5, 0.3), (1.0, 0.5), (2.0, 0.2)]
        gain = sum(w * (mask(s * unsharp_radius, w * sharpen_intensity) - x) for s, w in scales)
        x = (x + gain).clamp(0, 1)
    else:
        x = mask(unsharp_radius, sharpen_intensity)
    if edge_enhancement:
        x = (x + edge_enhancement * magnitude(x, SOBEL[0])).clamp(0, 1)
    if detail_boost:
        x = (x + detail_boost * filtered(x, LAPLACE)).clamp(0, 1)
    return x


FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def resized(x: torch.Tensor, width: int, height: int, algorithm: str, box=None) -> torch.Tensor:
    rows = [Image.fromarray(p.numpy(), "F").resize((width, height), FILTERS[algorithm], box) for p in x]
    return torch.stack([torch.from_numpy(np.array(p)) for p in rows]).clamp(0, 1)


def texture(x: torch.Tensor, rgba: np.ndarray, weight: float) -> torch.Tensor:
    """The texture covers the picture, centred; what is transparent in it weighs less."""
    still = torch.from_numpy(rgba).permute(2, 0, 1).float() / 255
    color = torch.cat([still[:3] * still[3:], still[3:]])
    (_, high, wide), (_, height, width) = color.shape, x.shape
    factor = max(width / wide, height / high)
    left, top = (wide - width / factor) / 2, (high - height / factor) / 2
    color = resized(color, width, height, "bilinear", (left, top, wide - left, high - top))
    return x + weight * (color[:3] - color[3:] * x)


def main() -> None:
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    first, second = picture(1), picture(2)
    x = planes(first)
    tensors = {"first": torch.from_numpy(first), "second": torch.from_numpy(second)}
    cases = {}

    def add(name: str, spec: dict, value) -> None:
        value = torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        tensors[name], cases[name] = value.contiguous(), spec

    gray = cv2.cvtColor(first, cv2.COLOR_RGB2GRAY)
    for low, high in [(100, 200), (20, 60), (1, 1), (120, 350)]:
        spec = {"type": "canny", "low_threshold": low, "high_threshold": high}
        add(f"canny_{low}_{high}", spec, cv2.Canny(gray, low, high))
    add("soft_edge", {"type": "soft_edge"}, soft_edge(x))
    for sigma, size in [(2.0, 15), (0.7, 3), (9.5, 51)]:
        spec = {"type": "blur", "blur_intensity": sigma, "kernel_size": size}
        add(f"blur_{size}", spec, filtered(x, gaussian(size, sigma)))
    values = [1.5, 1.0, 0.5, 0.3, 0.1, True], [0.8, 2.6, 0.0, 0.0, 0.0, False]
    names = ["sharpen_intensity", "unsharp_radius", "edge_enhancement", "detail_boost", "noise_reduction", "multi_scale"]
    for label, numbers in zip(["multi", "single"], values):
        settings = dict(zip(names, numbers))
        add(f"sharpen_{label}", {"type": "sharpen", **settings}, sharpen(x, **settings))
    for algorithm in FILTERS:
        spec = {"type": "upscale", "scale_factor": 1.5, "algorithm": algorithm}
        size = int(WIDTH * 1.5) // 2 * 2, int(HEIGHT * 1.5) // 2 * 2
        add(f"upscale_{algorithm}", spec, resized(x, *size, algorithm))
    add("feedback", {"type": "feedback", "feedback_strength": 0.3}, 0.7 * planes(second) + 0.3 * x)

    rgba = np.dstack([picture(3)[:, :24], np.linspace(0, 255, HEIGHT * 24).reshape(HEIGHT, 24).astype(np.uint8)])
    Image.fromarray(rgba, "RGBA").save(out / "texture.png", optimize=True)
    add("texture", {"type": "texture", "image": "texture.png", "weight": 0.6}, texture(x, rgba, 0.6))

    # One key alone: several would be written in another order each time.
    save_file(tensors, out / "processors.safetensors", metadata={"cases": json.dumps(cases)})


if __name__ == "__main__":
    main()
