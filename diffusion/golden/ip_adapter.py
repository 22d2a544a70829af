"""IP-Adapter: image encoder, projection and the UNet with extra keys and values, by diffusers and transformers.

The adapter's files stand beside the goldens: `image_encoder/` (config.json, model.safetensors,
preprocessor_config.json) and one `.safetensors` per model.

usage: ip_adapter.py MODELS OUT
"""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

import load
from common import Noise, Report, Tensors, arguments, relative_error, save, setup
from models import randomise, store

SIZE = 32
TOKENS = 4
SCALES = (1.0, 0.5, 0.0)


def image_encoder(folder: Path) -> CLIPVisionModelWithProjection:
    """A CLIP vision tower with projection, stored in half precision."""
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=40, num_hidden_layers=3, num_attention_heads=2, image_size=SIZE,
        patch_size=8, projection_dim=12, hidden_act="gelu",
    )
    store(randomise(CLIPVisionModelWithProjection(config), 61), folder)
    processor().save_pretrained(folder)
    return load.image_encoder(folder)


def processor() -> CLIPImageProcessor:
    """CLIP's preprocessing at the tower's picture size."""
    return CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE})


def adapter(unet, width: int, noise: Noise) -> Tensors:
    """A file in the layout of the published adapters: projection, then keys and values numbered over all attentions."""
    cross = unet.config.cross_attention_dim
    file: Tensors = {
        "image_proj.proj.weight": noise.normal(TOKENS * cross, width) / width**0.5,
        "image_proj.proj.bias": 0.1 * noise.normal(TOKENS * cross),
        "image_proj.norm.weight": 1 + 0.1 * noise.normal(cross),
        "image_proj.norm.bias": 0.1 * noise.normal(cross),
    }
    for number, name in enumerate(unet.attn_processors):
        if "attn2" not in name:
            continue
        module = unet.get_submodule(name.removesuffix(".processor"))
        inner = module.to_k.weight.shape[0]
        for kind in ("to_k_ip", "to_v_ip"):
            file[f"ip_adapter.{number}.{kind}.weight"] = noise.normal(inner, cross) / cross**0.5
    return {key: value.half() for key, value in file.items()}


def picture(noise: Noise, width: int, height: int) -> Image.Image:
    """A smooth picture with a little noise, so that resizing matters but does not dominate."""
    coarse = torch.nn.functional.interpolate(noise.uniform(1, 3, 5, 6), size=(height, width), mode="bicubic")[0]
    fine = (coarse + 0.1 * noise.uniform(3, height, width)).clamp(0, 1)
    return Image.fromarray((fine * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def raw(image: Image.Image) -> torch.Tensor:
    """A picture's bytes as (3,H,W)."""
    width, height = image.size
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(height, width, 3).permute(2, 0, 1)


def encoder_golden(out: Path, encoder: CLIPVisionModelWithProjection) -> list[Image.Image]:
    """Preprocessing, hidden states and embeddings of three pictures: small, tall and large."""
    noise = Noise(62)
    pictures = [picture(noise, 40, 30), picture(noise, 32, 50), picture(noise, 96, 80)]
    tensors: Tensors = {}
    for index, image in enumerate(pictures):
        pixels = processor()(image, return_tensors="pt").pixel_values
        result = encoder(pixels, output_hidden_states=True)
        tensors |= {
            f"{index}.picture": raw(image), f"{index}.pixels": pixels, f"{index}.last": result.last_hidden_state,
            f"{index}.penult": result.hidden_states[-2], f"{index}.image_embeds": result.image_embeds,
        }
    save(out / "image_encoder.safetensors", tensors)
    return pictures


def attached(models: Path, model: str, out: Path, encoder: CLIPVisionModelWithProjection):
    """A pipeline of diffusers with an adapter's file loaded."""
    pipe = load.pipeline(models / model)
    file = out / f"adapter_{model}.safetensors"
    save(file, adapter(pipe.unet, encoder.config.projection_dim, Noise(63)))
    pipe.register_modules(feature_extractor=processor())
    if hasattr(pipe, "image_encoder"):
        pipe.register_modules(image_encoder=encoder)
    pipe.load_ip_adapter(out, subfolder="", weight_name=file.name, local_files_only=True)
    return pipe


def main() -> None:
    """Write the adapter's files and goldens to OUT."""
    setup()
    models, out = arguments()
    encoder = image_encoder(out / "image_encoder")
    pictures = encoder_golden(out, encoder)
    report = Report("IP-Adapter: scale 0 against the UNet without an adapter", 1e-6)
    for model, added in (("sd15", {}), ("turbo", {}), ("sdxl", None)):
        pipe, noise = attached(models, model, out, encoder), Noise(64)
        if added is None:
            added = dict(text_embeds=noise.normal(2, 20), time_ids=torch.tensor([[64.0, 48, 0, 0, 64, 48]] * 2))
        pixels = processor()(pictures[0], return_tensors="pt").pixel_values
        embeds = encoder(pixels).image_embeds
        both = torch.cat([torch.zeros_like(embeds), embeds])
        x, ctx = noise.normal(2, 4, 8, 8), noise.normal(2, 77, pipe.unet.config.cross_attention_dim)
        t = torch.tensor([999, 359])
        tensors = dict(image_embeds=both, tokens=pipe.unet.encoder_hid_proj(both), x=x, t=t, ctx=ctx, **added)
        for scale in SCALES:
            pipe.set_ip_adapter_scale(scale)
            tensors[f"y_{scale}"] = pipe.unet(x, t, ctx, added_cond_kwargs=added | dict(image_embeds=both)).sample
        plain = load.unet(models / model)(x, t, ctx, added_cond_kwargs=added or None).sample
        report.add(model, {"scale_0": relative_error(tensors["y_0.0"], plain)}, f"scale 1 moves it by {relative_error(tensors['y_1.0'], plain):.2f}")
        save(out / f"unet_{model}.safetensors", tensors, case=dict(model=model, adapter=f"adapter_{model}.safetensors", scales=SCALES))
    report.finish()
    print(f"ip_adapter: {sum(path.stat().st_size for path in out.rglob('*') if path.is_file()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
