"""Decisions of the original similar-image filter, its random numbers recorded.

usage: similar_image.py MODELS OUT
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from streamdiffusion import image_filter

from common import Noise, arguments, save, setup

COUNT = 40
STEPS = (0.0, 0.0, 0.02, 0.1, 0.3, 0.6)


def decisions(pictures: torch.Tensor, threshold: float, longest: float, draws: list[float]) -> list[dict[str, Any]]:
    """Run the original over pictures in -1..1; the first picture needs no number."""
    original, log = image_filter.SimilarImageFilter(threshold, longest), []
    for picture, draw in zip(pictures, draws):
        image_filter.random.uniform = lambda low, high, draw=draw: draw
        former = original.prev_tensor
        cosine = None if former is None else original.cos(former.reshape(-1), picture.reshape(-1)).item()
        skipped = original(picture) is None
        log.append(dict(u=draw, cos=cosine, skipped=skipped, skip_count=original.skip_count))
    return log


def again(pictures: torch.Tensor, threshold: float, longest: float, draws: list[float]) -> list[bool]:
    """The rule in our words: which pictures are skipped."""
    skipped, count, former = [], 0, None
    for picture, draw in zip(pictures.double(), draws):
        skip = False
        if former is not None:
            cosine = (former * picture).sum() / (former.norm() * picture.norm())
            chance = 0.0 if threshold >= 1 else max(0.0, 1 - (1 - cosine.item()) / (1 - threshold))
            skip = chance >= draw
            if skip and count > longest:
                skip, count = False, 0
        count += skip
        former = former if skip else picture
        skipped.append(skip)
    return skipped


def main() -> None:
    """Write pictures and decisions to OUT."""
    setup()
    _, out = arguments()
    noise, chance = Noise(3), random.Random(9)
    base = noise.uniform(3, 6, 8) * 2 - 1
    pictures = torch.stack([(base + STEPS[index % len(STEPS)] * noise.normal(3, 6, 8)).clamp(-1, 1) for index in range(COUNT)])
    draws = [chance.random() for _ in range(COUNT)]
    cases = []
    for threshold, longest in ((0.98, 10), (0.95, 2), (1.0, 10), (0.0, 3), (0.9, 0)):
        log = decisions(pictures, threshold, longest, draws)
        if again(pictures, threshold, longest, draws) != [entry["skipped"] for entry in log]:
            raise SystemExit(f"similar-image filter {threshold} {longest}: other decisions than the original's")
        cases.append(dict(threshold=threshold, max_skip_frame=longest, frames=log))
        print(f"similar_image: threshold {threshold}, at most {longest}: skipped {sum(entry['skipped'] for entry in log)} of {COUNT}")
    save(Path(out) / "similar_image.safetensors", {"x": pictures}, case=cases)


if __name__ == "__main__":
    main()
