"""Tiny randomly initialised models in the folder layout of diffusers.

Weights are stored in half precision and read back in single precision by both sides. The
models differ on purpose in everything a loader could be tempted to take for granted: depth,
width, heads, number of levels, layers per block, transformer layers, linear or convolutional
projection, activation, padding token, end-of-text rule, names of keys and of files.

usage: models.py OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Sequence

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from common import setup

BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000)
MERGES = (
    "t h,th e</w>,a n,i n,o n,r e,e r</w>,in g</w>,c a,ca t</w>,d o,do g</w>,f l,o w,fl ow,flow er,"
    "a f,o n</w>,er s</w>,n e,ne on</w>,n eon</w>,p o,r t,1 2,12 3</w>,' s</w>,. .,.. .</w>,Ã ©</w>,f Ã©</w>"
).split(",")


def randomise(module: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Fill every parameter from the seed: fan-in scaled weights, norms near one, small biases."""
    generator = torch.Generator().manual_seed(seed)
    state = module.state_dict()
    for name in sorted(state):
        value = state[name]
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim >= 2:
            value.copy_(noise / value[0].numel() ** 0.5)
        elif name.endswith("weight"):
            value.copy_(1 + 0.1 * noise)
        else:
            value.copy_(0.1 * noise)
    return module.eval()


def store(module: torch.nn.Module, folder: Path, variant: str | None = None) -> None:
    """Save a module's configuration and its weights in half precision."""
    module.half().save_pretrained(folder, safe_serialization=True, variant=variant)
    module.float()


def byte_alphabet() -> list[str]:
    """The printable stand-ins of the 256 bytes, in the order of CLIP's vocabulary."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def tokenizer(folder: Path, pad: str) -> CLIPTokenizer:
    """A byte-level vocabulary with a handful of merges."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = byte_alphabet()
    vocabulary = alphabet + [letter + "</w>" for letter in alphabet]
    for merge in MERGES:
        word = "".join(merge.split())
        if word not in vocabulary:
            vocabulary.append(word)
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {word: index for index, word in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n", encoding="utf-8")
    made = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), pad_token=pad, model_max_length=77)
    made.save_pretrained(folder)
    return made


def text_encoder(
    words: CLIPTokenizer, seed: int, *, width: int, layers: int, heads: int, act: str,
    inner: int | None = None, projection: int | None = None, eos: int | None = None,
) -> torch.nn.Module:
    """A CLIP text encoder; with `projection` the one whose pooled output is projected."""
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=width, intermediate_size=inner or 4 * width,
        num_hidden_layers=layers, num_attention_heads=heads, hidden_act=act,
        max_position_embeddings=77, projection_dim=projection or width, pad_token_id=1,
        eos_token_id=words.eos_token_id if eos is None else eos, bos_token_id=words.bos_token_id,
    )
    kind = CLIPTextModel if projection is None else CLIPTextModelWithProjection
    return randomise(kind(config), seed)


def kl(seed: int, widths: Sequence[int], layers: int, groups: int, scaling: float) -> AutoencoderKL:
    """A KL autoencoder whose pictures are 2^(levels-1) times as large as its latents."""
    levels = len(widths)
    return randomise(
        AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=tuple(widths), layers_per_block=layers, latent_channels=4,
            norm_num_groups=groups, sample_size=32, scaling_factor=scaling,
        ),
        seed,
    )


def unet(seed: int, down: Sequence[bool], widths: Sequence[int], **config: object) -> UNet2DConditionModel:
    """A UNet; `down` says which of the levels, from the outside in, have cross-attention."""
    names = {True: "CrossAttn", False: ""}
    return randomise(
        UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, block_out_channels=tuple(widths),
            down_block_types=tuple(names[cross] + "DownBlock2D" for cross in down),
            up_block_types=tuple(names[cross] + "UpBlock2D" for cross in reversed(down)),
            **config,
        ),
        seed,
    )


def controlnet(folder: Path, base: UNet2DConditionModel, seed: int, condition: Sequence[int]) -> None:
    """A ControlNet of a UNet's shape; `condition` are the widths of its picture embedding."""
    net = ControlNetModel.from_unet(
        base, load_weights_from_unet=False, conditioning_embedding_out_channels=tuple(condition)
    )
    store(randomise(net, seed), folder)


def taesd(folder: Path, seed: int, width: tuple[int, int], encoder: Sequence[int], decoder: Sequence[int]) -> None:
    """An AutoencoderTiny; width and blocks of both halves."""
    codec = AutoencoderTiny(
        encoder_block_out_channels=(width[0],) * len(encoder), decoder_block_out_channels=(width[1],) * len(decoder),
        num_encoder_blocks=tuple(encoder), num_decoder_blocks=tuple(decoder), latent_channels=4,
    )
    store(randomise(codec, seed), folder)


def rename_keys(folder: Path, renames: dict[str, str], extra: dict[str, torch.Tensor] | None = None) -> None:
    """Give stored weights the names that older or newer exports use."""
    (path,) = folder.glob("*.safetensors")
    state = load_file(str(path)) | (extra or {})
    renamed = {}
    for name, value in state.items():
        for old, new in renames.items():
            name = name.replace(old, new)
        renamed[name] = value
    save_file(renamed, str(path), metadata={"format": "pt"})


def index(folder: Path, kind: str, **parts: tuple[str, str]) -> None:
    """model_index.json of a pipeline."""
    content = {"_class_name": kind, "_diffusers_version": "0.24.0", **{name: list(part) for name, part in parts.items()}}
    (folder / "model_index.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


SD_PARTS = dict(
    scheduler=("diffusers", "EulerDiscreteScheduler"), text_encoder=("transformers", "CLIPTextModel"),
    tokenizer=("transformers", "CLIPTokenizer"), unet=("diffusers", "UNet2DConditionModel"), vae=("diffusers", "AutoencoderKL"),
)


def sd15(out: Path) -> None:
    """Like SD1.5: convolutional projection, one number of heads, quick_gelu, old VAE names, `position_ids`."""
    here = out / "sd15"
    words = tokenizer(here / "tokenizer", "<|endoftext|>")
    store(text_encoder(words, 2, width=24, layers=2, heads=3, act="quick_gelu"), here / "text_encoder")
    rename_keys(here / "text_encoder", {}, {"text_model.embeddings.position_ids": torch.arange(77)[None]})
    base = unet(1, (True, True, True, False), (8, 8, 12, 12), layers_per_block=2, cross_attention_dim=24,
                attention_head_dim=2, norm_num_groups=4)
    store(base, here / "unet")
    store(kl(3, (8, 8, 12), 2, 4, 0.18215), here / "vae")
    rename_keys(here / "vae", {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."})
    PNDMScheduler(skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False, **BETAS).save_pretrained(here / "scheduler")
    index(here, "StableDiffusionPipeline", **SD_PARTS | dict(scheduler=("diffusers", "PNDMScheduler")))
    controlnet(out / "controlnet_sd15", base, 4, (4, 8, 8))


def sd21(out: Path) -> None:
    """Like SD2.1: linear projection, heads per level, gelu, padding by `!`; all files are `.fp16.` variants."""
    here = out / "sd21"
    words = tokenizer(here / "tokenizer", "!")
    store(text_encoder(words, 12, width=24, layers=3, heads=4, act="gelu", inner=64), here / "text_encoder", "fp16")
    store(unet(11, (True, True, False), (8, 12, 16), layers_per_block=1, cross_attention_dim=24,
               attention_head_dim=[1, 3, 2], use_linear_projection=True, norm_num_groups=4), here / "unet", "fp16")
    store(kl(13, (8, 8, 8, 16), 1, 8, 0.18215), here / "vae", "fp16")
    EulerDiscreteScheduler(steps_offset=1, prediction_type="epsilon", **BETAS).save_pretrained(here / "scheduler")
    index(here, "StableDiffusionPipeline", **SD_PARTS)


def turbo(out: Path) -> None:
    """Like SD-Turbo, with two levels that both have cross-attention; text encoder keys without `text_model.`."""
    here = out / "turbo"
    words = tokenizer(here / "tokenizer", "!")
    store(text_encoder(words, 42, width=8, layers=4, heads=2, act="gelu", inner=24), here / "text_encoder")
    rename_keys(here / "text_encoder", {"text_model.": ""})
    base = unet(41, (True, True), (8, 16), layers_per_block=1, cross_attention_dim=8, attention_head_dim=[2, 1],
                use_linear_projection=True, norm_num_groups=2)
    store(base, here / "unet")
    store(kl(43, (4, 8, 8), 1, 4, 0.18215), here / "vae")
    EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1, prediction_type="epsilon", **BETAS).save_pretrained(here / "scheduler")
    index(here, "StableDiffusionPipeline", **SD_PARTS)
    controlnet(out / "controlnet_turbo_a", base, 44, (4, 8, 8))
    controlnet(out / "controlnet_turbo_b", base, 45, (6, 10, 12))


def sdxl(out: Path) -> None:
    """Like SDXL: two text encoders, added time ids, several transformer layers, `eos_token_id` 2 in the second."""
    here = out / "sdxl"
    first, second = tokenizer(here / "tokenizer", "<|endoftext|>"), tokenizer(here / "tokenizer_2", "!")
    one, two, pooled = 12, 16, 20
    store(text_encoder(first, 32, width=one, layers=3, heads=3, act="quick_gelu"), here / "text_encoder")
    store(text_encoder(second, 33, width=two, layers=2, heads=2, act="gelu", projection=pooled, eos=2), here / "text_encoder_2")
    base = unet(31, (False, True, True), (8, 8, 12), layers_per_block=1, cross_attention_dim=one + two,
                attention_head_dim=[1, 2, 3], transformer_layers_per_block=[1, 2, 3], use_linear_projection=True,
                addition_embed_type="text_time", addition_time_embed_dim=8,
                projection_class_embeddings_input_dim=8 * 6 + pooled, norm_num_groups=4)
    store(base, here / "unet")
    store(kl(34, (8, 8, 12), 1, 4, 0.13025), here / "vae")
    EulerAncestralDiscreteScheduler(timestep_spacing="trailing", steps_offset=1, **BETAS).save_pretrained(here / "scheduler")
    index(here, "StableDiffusionXLPipeline", **SD_PARTS | dict(
        scheduler=("diffusers", "EulerAncestralDiscreteScheduler"), tokenizer_2=("transformers", "CLIPTokenizer"),
        text_encoder_2=("transformers", "CLIPTextModelWithProjection")))
    controlnet(out / "controlnet_sdxl", base, 35, (4, 8, 8))


def main() -> None:
    """Build every model below OUT."""
    setup()
    out = Path(sys.argv[1])
    for build in (sd15, sd21, turbo, sdxl):
        build(out)
    taesd(out / "taesd", 21, (8, 12), (1, 3, 3, 3), (3, 3, 3, 1))
    taesd(out / "taesd_small", 22, (12, 8), (1, 1, 2), (2, 1, 1))
    for stray in [*out.rglob("added_tokens.json")]:
        stray.unlink()
    total = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"models: {total / 1e6:.2f} MB")
    for folder in sorted(out.iterdir()):
        print(f"  {folder.name:20s} {sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()) / 1e3:8.0f} kB")


if __name__ == "__main__":
    main()
