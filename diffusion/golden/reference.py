"""The stream's formulas written out once more, with the live changes that the original does not have.

The networks are those of diffusers; only what happens between them is here. `streams.py` runs
this class beside the original on every case that the original can run and compares all tensors.
README.md states the rules in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from common import Tensors

#: A prompt or seed: one value, or several with weights.
Blend = Any


@dataclass
class Text:
    """An encoded prompt: (1,77,D), and for SDXL the pooled embedding (1,P)."""

    embeds: torch.Tensor
    pooled: torch.Tensor | None = None


@dataclass
class Networks:
    """What the stream calls: latents are (n,4,h,w), pictures (n,3,H,W) in -1..1."""

    #: latents, timesteps, text rows, pooled rows of SDXL, how many of the rows are negative
    unet: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, int], torch.Tensor]
    encode: Callable[[torch.Tensor], torch.Tensor]
    decode: Callable[[torch.Tensor], torch.Tensor]
    text: Callable[[str], Text]


@dataclass
class Settings:
    """Everything that may change between two frames."""

    prompt: Blend
    negative_prompt: str
    t_index_list: list[int]
    num_inference_steps: int
    cfg_type: str
    guidance_scale: float
    delta: float
    seed: Blend
    prompt_interpolation_method: str = "slerp"
    seed_interpolation_method: str = "slerp"
    normalize_prompt_weights: bool = True
    normalize_seed_weights: bool = True
    latent_feedback: float = 0.0


def alphas_cumprod(start: float = 0.00085, end: float = 0.012, count: int = 1000) -> torch.Tensor:
    """Cumulative signal level of the scaled-linear schedule."""
    betas = torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


def timesteps(steps: int) -> torch.Tensor:
    """The LCM timesteps of `steps` inference steps, 1..50, from the noisiest on."""
    if not 1 <= steps <= 50:
        raise ValueError(f"num_inference_steps {steps} is not in 1..50")
    return torch.tensor([999 - 20 * (index * 50 // steps) for index in range(steps)])


def slerp(first: torch.Tensor, second: torch.Tensor, t: float) -> torch.Tensor:
    """Spherical interpolation of the flattened tensors; straight where they are nearly (anti)parallel."""
    a, b = first.flatten().double(), second.flatten().double()
    theta = math.acos(max(-1.0, min(1.0, (torch.dot(a, b) / (a.norm() * b.norm())).item())))
    if math.sin(theta) < 1e-6:
        return (1 - t) * first + t * second
    share = [math.sin(part * theta) / math.sin(theta) for part in (1 - t, t)]
    return share[0] * first + share[1] * second


def blend(parts: Sequence[torch.Tensor], weights: Sequence[float], method: str, normalise: bool) -> torch.Tensor:
    """Weighted mix: spherical for exactly two parts where asked for, a weighted sum otherwise."""
    total = sum(weights)
    if method == "slerp" and len(parts) == 2:
        return slerp(parts[0], parts[1], weights[1] / total)
    scale = total if normalise else 1.0
    return sum((weight / scale) * part for part, weight in zip(parts, weights))


def blend_noise(parts: Sequence[torch.Tensor], weights: Sequence[float], method: str, normalise: bool) -> torch.Tensor:
    """Like `blend`; a normalised linear mix is brought back to the mean norm of its parts."""
    mixed = blend(parts, weights, method, normalise)
    if (method == "slerp" and len(parts) == 2) or len(parts) == 1 or not normalise:
        return mixed
    return mixed * (torch.stack([part.norm() for part in parts]).mean() / mixed.norm())


def weighted(value: Blend) -> tuple[list[Any], list[float]]:
    """A prompt or seed as parts and weights."""
    if isinstance(value, list):
        return [part for part, _ in value], [float(weight) for _, weight in value]
    return [value], [1.0]


@dataclass
class Transition:
    """A prompt on its way: from where, to where, which step of how many."""

    start: Text
    target: Blend
    steps: int
    done: int = 0


@dataclass
class Stream:
    """The batched stream. `latent` is (4,h,w); `prime` feeds the first frame S times."""

    networks: Networks
    settings: Settings
    latent: tuple[int, int, int]
    scaling_factor: float
    frame_buffer_size: int = 1
    add_noise: bool = True
    prime: bool = False
    batched: bool = True
    calls: int = 1
    transition: Transition | None = None
    former: torch.Tensor | None = None
    last: Tensors = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.alphas_cumprod = alphas_cumprod()
        self._tables()
        self._reset()
        self.positive = self._prompt(self.settings.prompt)
        self.negative = self.networks.text(self.settings.negative_prompt)
        self.calls = self.steps if self.prime else 1

    # What the settings determine.

    @property
    def steps(self) -> int:
        """S, the number of denoising steps in one batch."""
        return len(self.settings.t_index_list)

    @property
    def rows(self) -> int:
        """Rows of latents in the UNet's batch, without those of guidance."""
        return self.frame_buffer_size * (self.steps if self.batched else 1)

    @property
    def guidance(self) -> float:
        """The guidance scale in force; without guidance it is 1."""
        return 1.0 if self.settings.cfg_type == "none" else self.settings.guidance_scale

    @property
    def guided(self) -> bool:
        """Whether guidance does anything."""
        return self.guidance > 1.0

    @property
    def negative_rows(self) -> int:
        """How many rows with the negative prompt stand before the others."""
        if not self.guided:
            return 0
        return {"initialize": self.frame_buffer_size, "full": self.rows}.get(self.settings.cfg_type, 0)

    def _tables(self) -> None:
        chosen = timesteps(self.settings.num_inference_steps)[self.settings.t_index_list]
        self.t = chosen.repeat_interleave(self.frame_buffer_size if self.batched else 1)
        column = lambda values: values.float().view(-1, 1, 1, 1)  # noqa: E731
        level = self.alphas_cumprod.double()[self.t]
        self.a, self.b = column(level.sqrt()), column((1 - level).sqrt())
        scaled = self.t.double() * 10
        self.c_skip = column(0.25 / (scaled**2 + 0.25))
        self.c_out = column(scaled / (scaled**2 + 0.25).sqrt())

    def _noise(self) -> torch.Tensor:
        seeds, weights = weighted(self.settings.seed)
        shape = (self.rows, *self.latent)
        parts = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        settings = self.settings
        return blend_noise(parts, weights, settings.seed_interpolation_method, settings.normalize_seed_weights)

    def _reset(self) -> None:
        """Fresh noise and empty buffers."""
        self.init_noise = self._noise()
        self.stock_noise = torch.zeros_like(self.init_noise)
        self.buffer = torch.zeros((self.steps - 1) * self.frame_buffer_size, *self.latent)
        self.calls = self.steps

    def _prompt(self, prompt: Blend) -> Text:
        texts, weights = weighted(prompt)
        encoded = [self.networks.text(text) for text in texts]
        return self._mix(encoded, weights, self.settings.normalize_prompt_weights)

    def _mix(self, parts: list[Text], weights: list[float], normalise: bool) -> Text:
        method = self.settings.prompt_interpolation_method
        embeds = blend([part.embeds for part in parts], weights, method, normalise)
        if parts[0].pooled is None:
            return Text(embeds)
        return Text(embeds, blend([part.pooled for part in parts], weights, method, normalise))

    def embedding(self) -> Text:
        """The text rows of the UNet's batch: negative ones first."""
        stack = lambda positive, negative: torch.cat(  # noqa: E731
            [negative.repeat(self.negative_rows, *[1] * (negative.ndim - 1)), positive.repeat(self.rows, *[1] * (positive.ndim - 1))]
        )
        embeds = stack(self.positive.embeds, self.negative.embeds)
        pooled = None if self.positive.pooled is None else stack(self.positive.pooled, self.negative.pooled)
        return Text(embeds, pooled)

    # Live changes.

    def change(self, **patch: Any) -> None:
        """Apply parameters before the next frame, all at once."""
        moving = patch.pop("transition", None)
        steps = self.steps
        self.settings = replace(self.settings, **patch)
        if {"t_index_list", "num_inference_steps"} & patch.keys():
            self._tables()
        if self.steps != steps:
            self._reset()
        elif {"seed", "seed_interpolation_method", "normalize_seed_weights"} & patch.keys():
            self.init_noise = self._noise()
        if {"prompt", "prompt_interpolation_method", "normalize_prompt_weights"} & patch.keys():
            self.transition = None
            self.positive = self._prompt(self.settings.prompt)
        if "negative_prompt" in patch:
            self.negative = self.networks.text(self.settings.negative_prompt)
        if moving is not None:
            self.transition = Transition(self.positive, moving["target"], moving["num_steps"])

    def _move(self) -> None:
        """One step of a transition: step k of n mixes k/n of the target in, the last one is the target."""
        moving = self.transition
        if moving is None:
            return
        moving.done += 1
        target = self._prompt(moving.target)
        if moving.done >= moving.steps:
            self.settings = replace(self.settings, prompt=moving.target)
            self.positive, self.transition = target, None
        else:
            share = moving.done / moving.steps
            parts, weights = [moving.start, target], [1 - share, share]
            self.positive = self._mix(parts, weights, True)

    # One frame.

    def frame(self, picture: torch.Tensor) -> Tensors:
        """Feed a (fb,3,H,W) picture in -1..1; gives everything that a recording holds."""
        self._move()
        latent = self.networks.encode(picture) * self.scaling_factor
        share = self.settings.latent_feedback
        if share > 0 and self.former is not None:
            latent = (1 - share) * latent + share * self.former
        for _ in range(self.calls):
            x_t = self.a[0] * latent + self.b[0] * self.init_noise[0]
            x0 = self._denoise(x_t) if self.batched else self._denoise_in_turn(x_t)
        self.calls, self.former = 1, x0
        y = self.networks.decode(x0 / self.scaling_factor)
        tensors = {"x": picture, "x_t": x_t, "x0": x0, "y": y, "stock_noise": self.stock_noise, **self.last}
        if self.steps > 1:
            tensors["buffer"] = self.buffer
        return tensors

    def _clean(self, prediction: torch.Tensor, x: torch.Tensor, at: slice = slice(None)) -> torch.Tensor:
        """The consistency model's estimate of the clean latent."""
        a, b = self.a[at], self.b[at]
        return self.c_out[at] * (x - b * prediction) / a + self.c_skip[at] * x

    def _predict(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The guided noise prediction; keeps the stock noise of `initialize` up to date."""
        extra, text = self.negative_rows, self.embedding()
        rows, times = torch.cat([x[:extra], x]), torch.cat([t[:extra], t])
        y = self.networks.unet(rows, times, text.embeds, text.pooled, extra)
        self.last = {"unet_t": times, "unet_out": y}
        if not self.guided:
            return y
        negative, positive = y[:extra], y[extra:]
        if self.settings.cfg_type == "initialize":
            self.stock_noise = torch.cat([negative, self.stock_noise[extra:]])
        if self.settings.cfg_type != "full":
            negative = self.stock_noise * self.settings.delta
        return negative + self.guidance * (positive - negative)

    def _denoise(self, x_t: torch.Tensor) -> torch.Tensor:
        """All steps in one batch, each on another frame."""
        # With one step nothing moves on from row to row, yet the original still shifts by one row.
        hop = self.frame_buffer_size if self.steps > 1 else 1
        x = x_t
        if self.steps > 1:
            x = torch.cat([x_t, self.buffer])
            self.stock_noise = torch.cat([self.init_noise[:hop], self.stock_noise[:-hop]])
        prediction = self._predict(x, self.t)
        x0 = self._clean(prediction, x)
        if self.settings.cfg_type in ("self", "initialize"):
            shift = lambda level: torch.cat([level[hop:], torch.ones_like(level[:hop])])  # noqa: E731
            difference = self._clean(prediction, self.b * self.stock_noise) * shift(self.a) / shift(self.b)
            self.stock_noise = torch.cat([self.init_noise[hop:], self.init_noise[:hop]]) + difference
        if self.steps == 1:
            return x0
        self.buffer = self.a[hop:] * x0[:-hop]
        if self.add_noise:
            self.buffer = self.buffer + self.b[hop:] * self.init_noise[hop:]
        return x0[-hop:]

    def _denoise_in_turn(self, x_t: torch.Tensor) -> torch.Tensor:
        """All steps on the same frame, without new noise between them; as the original, its input is the next frame's noise."""
        if self.add_noise:
            raise ValueError("the noise between the steps is not seeded in the original")
        self.init_noise = x_t
        x = x_t
        for index in range(self.steps):
            at = slice(index, index + 1)
            x0 = self._clean(self._predict(x, self.t[at].repeat(self.frame_buffer_size)), x, at)
            if index + 1 < self.steps:
                x = self.a[index + 1] * x0
        return x0
