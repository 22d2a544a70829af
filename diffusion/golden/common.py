"""What every generator shares: seeded tensors, saving, and the table of errors."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

#: Version of every fixture's metadata; raised when a key changes its meaning.
FORMAT = 1


def setup() -> None:
    """One thread, no gradients, deterministic kernels, no chatter of the libraries."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    warnings.filterwarnings("ignore")
    import diffusers
    import transformers

    diffusers.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()


def arguments() -> tuple[Path, Path]:
    """The two folders every script takes: where the models are, where its goldens go."""
    if len(sys.argv) < 3:
        raise SystemExit(f"usage: {Path(sys.argv[0]).name} MODELS OUT [CASE...]")
    models, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    return models, out


class Noise:
    """A seeded source of tensors, so that each script draws the same inputs on every run."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal values."""
        return torch.randn(*shape, generator=self._generator)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Values in 0..1."""
        return torch.rand(*shape, generator=self._generator)


def save(path: Path, tensors: Tensors, **metadata: Any) -> None:
    """Write a fixture; each metadata value is stored as JSON text."""
    plain = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
    text = {key: json.dumps(value, sort_keys=True) for key, value in metadata.items()}
    save_file(plain, str(path), metadata=text)


def save_json(path: Path, value: Any) -> None:
    """Write a fixture that is no tensor."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference relative to the reference's largest magnitude."""
    if ours.shape != theirs.shape:
        return float("inf")
    return ((ours - theirs).abs().max() / (theirs.abs().max() + 1e-12)).item()


@dataclass
class Report:
    """Errors of a second computation against the reference, one line per case."""

    title: str
    limit: float
    worst: float = 0.0
    lines: list[str] = field(default_factory=list)

    def add(self, case: str, errors: dict[str, float], note: str = "") -> None:
        """Note the errors of one case by kind of tensor."""
        self.worst = max([self.worst, *errors.values()])
        figures = " ".join(f"{kind}={error:.1e}" for kind, error in errors.items())
        self.lines.append(f"  {case:34s} {figures} {note}".rstrip())

    def finish(self) -> None:
        """Print the table; a script whose check failed does not end well."""
        print(f"{self.title}: worst {self.worst:.1e}, limit {self.limit:.0e}")
        print("\n".join(self.lines), flush=True)
        if not self.worst <= self.limit:
            raise SystemExit(f"{self.title}: above the limit")
