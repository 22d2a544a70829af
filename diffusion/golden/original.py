"""The original StreamDiffusion 0.1.1 on a CPU, driven frame by frame and recorded.

Its class is used as published. What is put around it, because it has no such thing itself:
- CUDA timing events become clock readings (its module asks for them on every device);
- `unconditional` keeps the negative rows when a prompt changes live, which the original loses;
- `wrap_unet` adds to each UNet call what SDXL and ControlNets need;
- `posterior_mean` lets the KL encoder give its mean, where the original draws a sample.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderTiny

from common import Tensors


class _Event:
    """Stands in for torch.cuda.Event."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.at = 0.0

    def record(self, *_: Any) -> None:
        self.at = time.monotonic()

    def elapsed_time(self, other: "_Event") -> float:
        return (other.at - self.at) * 1e3


torch.cuda.Event = _Event
torch.cuda.synchronize = lambda *_, **__: None

import streamdiffusion.pipeline  # noqa: E402
from streamdiffusion import StreamDiffusion  # noqa: E402

#: What the recordings call the constants that `prepare` computes.
PREPARED = ("prompt_embeds", "init_noise", "stock_noise", "c_skip", "c_out", "alpha_prod_t_sqrt", "beta_prod_t_sqrt", "sub_timesteps_tensor")


class Original:
    """One stream of the original, its UNet calls recorded."""

    def __init__(self, pipe: Any, tiny: AutoencoderTiny | None, case: dict[str, Any]) -> None:
        self.stream = StreamDiffusion(
            pipe, t_index_list=list(case["t_index_list"]), torch_dtype=torch.float32, width=case["W"], height=case["H"],
            do_add_noise=case["add_noise"], use_denoising_batch=case["denoise_batch"], frame_buffer_size=case["fb"],
            cfg_type=case["cfg_type"],
        )
        if tiny is not None:
            self.stream.vae = tiny
        self.call: Tensors = {}
        self.extra: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], dict[str, Any]] = lambda *_: {}
        self._wrap_unet()
        self.stream.prepare(
            case["prompt"], case["neg"], num_inference_steps=case["steps"], guidance_scale=case["gs"],
            delta=case["delta"], generator=torch.Generator(), seed=case["seed"],
        )

    def _wrap_unet(self) -> None:
        forward = self.stream.unet.forward

        def recorded(x: torch.Tensor, t: torch.Tensor, encoder_hidden_states: torch.Tensor, **options: Any) -> Any:
            made = forward(x, t, encoder_hidden_states=encoder_hidden_states, **options, **self.extra(x, t, encoder_hidden_states))
            self.call = {"unet_t": t.clone(), "unet_out": made[0].clone()}
            return made

        self.stream.unet.forward = recorded

    @property
    def rows(self) -> int:
        """Rows of latents in the UNet's batch, without those of guidance."""
        return self.stream.batch_size

    @property
    def guided(self) -> bool:
        """Whether negative rows stand before the positive ones in the embedding."""
        return self.stream.guidance_scale > 1.0 and self.stream.cfg_type in ("initialize", "full")

    def prepared(self) -> Tensors:
        """The constants after `prepare`."""
        tensors = {f"prep.{name}": getattr(self.stream, name) for name in PREPARED}
        return tensors | {
            "prep.timesteps": self.stream.timesteps,
            "prep.alphas_cumprod": self.stream.scheduler.alphas_cumprod,
        }

    def change_prompt(self, prompt: str) -> None:
        """`update_prompt`, with the negative rows kept."""
        before = self.stream.prompt_embeds
        self.stream.update_prompt(prompt)
        if self.guided:
            negative = before[: before.shape[0] - self.rows]
            self.stream.prompt_embeds = torch.cat([negative, self.stream.prompt_embeds])

    def frame(self, picture: torch.Tensor) -> Tensors:
        """Run one call on a (fb,3,H,W) picture in 0..1 and give what a recording holds of it."""
        stream = self.stream
        x = stream.image_processor.preprocess(picture, stream.height, stream.width).float()
        x_t = stream.encode_image(x)
        tensors = {"x": x, "x_t": x_t.clone()}
        x0 = stream.predict_x0_batch(x_t)
        tensors |= {"x0": x0.clone(), "y": stream.decode_image(x0), "stock_noise": stream.stock_noise.clone(), **self.call}
        if stream.x_t_latent_buffer is not None:
            tensors["buffer"] = stream.x_t_latent_buffer.clone()
        return tensors


def posterior_mean(wanted: bool) -> None:
    """Let the original's encoder take the posterior's mean, or a sample as published."""
    mode = "argmax" if wanted else "sample"
    module = streamdiffusion.pipeline
    published = getattr(module, "_published_latents", module.retrieve_latents)
    module._published_latents = published
    module.retrieve_latents = lambda encoded, generator: published(encoded, generator, sample_mode=mode)
