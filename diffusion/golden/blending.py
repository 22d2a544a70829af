"""Blends of embeddings and of noise, from reference.py, checked against a second way of writing them.

usage: blending.py MODELS OUT
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import Noise, Report, Tensors, arguments, relative_error, save, setup
from reference import blend, blend_noise

SHAPE = (1, 7, 8)
SEEDS = (2, 5, 789)
LATENT = (2, 4, 3, 5)


def cases() -> dict[str, dict[str, Any]]:
    """Which parts are mixed how; parts are indices into the stored ones."""
    plain: dict[str, dict[str, Any]] = {}
    for method in ("linear", "slerp"):
        for normalise in (True, False):
            tag = f"{method}_{'normal' if normalise else 'raw'}"
            common = dict(method=method, normalise=normalise)
            plain[f"{tag}_one"] = dict(parts=[0], weights=[0.7], **common)
            plain[f"{tag}_two"] = dict(parts=[0, 1], weights=[1.0, 3.0], **common)
            plain[f"{tag}_three"] = dict(parts=[0, 1, 2], weights=[1.0, 2.0, 0.5], **common)
    for share in (0.0, 0.25, 1.0):
        plain[f"slerp_at_{share}"] = dict(parts=[0, 1], weights=[1 - share, share], method="slerp", normalise=True)
    plain["slerp_same"] = dict(parts=[0, 0], weights=[1.0, 1.0], method="slerp", normalise=True)
    plain["slerp_longer"] = dict(parts=[0, 3], weights=[1.0, 2.0], method="slerp", normalise=True)
    plain["slerp_near"] = dict(parts=[0, 4], weights=[2.0, 1.0], method="slerp", normalise=True)
    plain["slerp_opposite"] = dict(parts=[0, 5], weights=[3.0, 1.0], method="slerp", normalise=True)
    return plain


def again(parts: list[np.ndarray], case: dict[str, Any], noise: bool) -> np.ndarray:
    """The same mix in double precision: on the sphere by Gram and Schmidt instead of by sines of both shares."""
    weights = np.array(case["weights"])
    total = weights.sum()
    if case["method"] == "slerp" and len(parts) == 2:
        a, b = (part.ravel() for part in parts)
        t, u, v = weights[1] / total, a / np.linalg.norm(a), b / np.linalg.norm(b)
        across = v - (v @ u) * u
        if np.linalg.norm(across) < 1e-6:
            return (1 - t) * parts[0] + t * parts[1]
        angle = np.arctan2(np.linalg.norm(across), v @ u)
        back = np.cos(t * angle) - np.sin(t * angle) / np.tan(angle)  # share of a, from the orthogonal basis
        return back * parts[0] + np.sin(t * angle) / np.sin(angle) * parts[1]
    mixed = np.tensordot(weights / (total if case["normalise"] else 1.0), np.stack(parts), 1)
    if noise and case["normalise"] and len(parts) > 1:
        mixed *= np.mean([np.linalg.norm(part) for part in parts]) / np.linalg.norm(mixed)
    return mixed


def check(report: Report, name: str, mixed: torch.Tensor, parts: list[torch.Tensor], case: dict[str, Any], noise: bool) -> None:
    """Compare a mix with `again`."""
    other = again([part.double().numpy() for part in parts], case, noise)
    report.add(name, {"mix": relative_error(mixed, torch.from_numpy(other).float())})


def main() -> None:
    """Write the parts and their blends to OUT."""
    setup()
    _, out = arguments()
    noise, report = Noise(71), Report("Blends: reference.py against double precision", 1e-6)
    base = [noise.normal(*SHAPE) for _ in range(3)]
    embeds = [*base, 2.5 * base[1], base[0] + 1e-7 * base[1], -base[0]]
    tensors: Tensors = {f"part.{index}": part for index, part in enumerate(embeds)}
    latents = [torch.randn(LATENT, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS]
    for name, case in cases().items():
        options = (case["weights"], case["method"], case["normalise"])
        parts = [embeds[index] for index in case["parts"]]
        tensors[f"embed.{name}"] = blend(parts, *options)
        check(report, f"embed {name}", tensors[f"embed.{name}"], parts, case, False)
        if max(case["parts"]) < len(SEEDS):
            parts = [latents[index] for index in case["parts"]]
            tensors[f"noise.{name}"] = blend_noise(parts, *options)
            check(report, f"noise {name}", tensors[f"noise.{name}"], parts, case, True)
    save(Path(out) / "blending.safetensors", tensors, case=dict(cases=cases(), seeds=SEEDS, latent=LATENT))
    report.finish()


if __name__ == "__main__":
    main()
