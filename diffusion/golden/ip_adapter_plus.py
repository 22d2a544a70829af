"""IP-Adapter Plus and Full, whose projections look at the picture's patches: a resampler, and two linear layers.

diffusers 0.24 does not know them, so this script runs with a later diffusers beside the other packages.
It needs what ip_adapter.py wrote, and checks that the later version gives the same for that adapter.

usage: ip_adapter_plus.py MODELS OUT    (OUT is the folder of ip_adapter.py)
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

import load
from common import Noise, Report, Tensors, arguments, relative_error, save, setup
from ip_adapter import SCALES, adapter

MODEL = "turbo"
QUERIES, HIDDEN, HEADS, LAYERS = 6, 8, 2, 4


def resampler(width: int, cross: int, noise: Noise) -> Tensors:
    """The projection's weights under their published names; a head has 64 channels."""
    inner = 64 * HEADS

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return noise.normal(rows, columns) / columns**0.5

    def norm(name: str, size: int) -> Tensors:
        return {f"{name}.weight": 1 + 0.1 * noise.normal(size), f"{name}.bias": 0.1 * noise.normal(size)}

    weights: Tensors = {"latents": noise.normal(1, QUERIES, HIDDEN) / HIDDEN**0.5}
    weights |= {"proj_in.weight": matrix(HIDDEN, width), "proj_in.bias": 0.1 * noise.normal(HIDDEN)}
    weights |= {"proj_out.weight": matrix(cross, HIDDEN), "proj_out.bias": 0.1 * noise.normal(cross)}
    weights |= norm("norm_out", cross)
    for layer in range(LAYERS):
        attention, forward = f"layers.{layer}.0", f"layers.{layer}.1"
        weights |= norm(f"{attention}.norm1", HIDDEN) | norm(f"{attention}.norm2", HIDDEN) | norm(f"{forward}.0", HIDDEN)
        weights |= {
            f"{attention}.to_q.weight": matrix(inner, HIDDEN), f"{attention}.to_kv.weight": matrix(2 * inner, HIDDEN),
            f"{attention}.to_out.weight": matrix(HIDDEN, inner), f"{forward}.1.weight": matrix(4 * HIDDEN, HIDDEN),
            f"{forward}.3.weight": matrix(HIDDEN, 4 * HIDDEN),
        }
    return {f"image_proj.{name}": value.half() for name, value in weights.items()}


def patches(width: int, cross: int, noise: Noise) -> Tensors:
    """The weights of two linear layers and a norm under their published names."""
    weights: Tensors = {}
    for name, rows in (("proj.0", width), ("proj.2", cross)):
        weights |= {f"{name}.weight": noise.normal(rows, width) / width**0.5, f"{name}.bias": 0.1 * noise.normal(rows)}
    weights |= {"proj.3.weight": 1 + 0.1 * noise.normal(cross), "proj.3.bias": 0.1 * noise.normal(cross)}
    return {f"image_proj.{name}": value.half() for name, value in weights.items()}


def attached(models: Path, folder: Path, file: str):
    """A pipeline of the later diffusers with an adapter's file loaded."""
    pipe = load.pipeline(models / MODEL)
    encoder, processor = load.image_encoder(folder / "image_encoder"), load.image_processor(folder / "image_encoder")
    pipe.register_modules(image_encoder=encoder, feature_extractor=processor)
    pipe.load_ip_adapter(folder, subfolder="", weight_name=file, local_files_only=True, low_cpu_mem_usage=False)
    return pipe


def outputs(pipe, inputs: Tensors, embeds: torch.Tensor) -> Tensors:
    """The UNet's output at every scale."""
    tensors = {}
    for scale in SCALES:
        pipe.set_ip_adapter_scale(scale)
        condition = dict(image_embeds=[embeds[:, None]])
        tensors[f"y_{scale}"] = pipe.unet(inputs["x"], inputs["t"], inputs["ctx"], added_cond_kwargs=condition).sample
    return tensors


def main() -> None:
    """Write the adapters' files and their goldens."""
    setup()
    models, out = arguments()
    report = Report("IP-Adapter: a later diffusers against 0.24", 1e-5)
    known = load_file(str(out / f"unet_{MODEL}.safetensors"))
    base = outputs(attached(models, out, f"adapter_{MODEL}.safetensors"), known, known["image_embeds"])
    report.add(MODEL, {name: relative_error(value, known[name]) for name, value in base.items()})
    report.finish()

    write(models, out, known, "plus", resampler, Noise(65))
    write(models, out, known, "full", patches, Noise(66))


def write(models: Path, out: Path, known: Tensors, name: str, projection, noise: Noise) -> None:
    """An adapter's file, its tokens and what the UNet makes of them."""
    unet, encoder = load.unet(models / MODEL), load.image_encoder(out / "image_encoder")
    plain = {key: value for key, value in adapter(unet, 1, noise).items() if key.startswith("ip_adapter.")}
    file = f"adapter_{name}_{MODEL}.safetensors"
    save(out / file, plain | projection(encoder.config.hidden_size, unet.config.cross_attention_dim, noise))
    pipe = attached(models, out, file)
    pixels = load_file(str(out / "image_encoder.safetensors"))["0.pixels"]
    positive, negative = pipe.encode_image(pixels, "cpu", 1, output_hidden_states=True)
    both = torch.cat([negative, positive])
    (tokens,) = pipe.unet.encoder_hid_proj([both[:, None]])
    tensors = {key: known[key] for key in ("x", "t", "ctx")} | dict(hidden=both, tokens=tokens[:, 0])
    tensors |= outputs(pipe, tensors, both)
    save(out / f"unet_{name}_{MODEL}.safetensors", tensors, case=dict(model=MODEL, adapter=file, scales=SCALES))


if __name__ == "__main__":
    main()
