"""Loading the tiny models for the reference implementations, in single precision."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

SINGLE = dict(torch_dtype=torch.float32, local_files_only=True)


def variant(folder: Path) -> str | None:
    """`fp16` where a folder holds only that variant of its weights."""
    return "fp16" if list(folder.glob("*.fp16.safetensors")) else None


def unet(folder: Path) -> UNet2DConditionModel:
    """The UNet of a model folder."""
    path = folder / "unet"
    return UNet2DConditionModel.from_pretrained(path, variant=variant(path), **SINGLE).eval()


def kl(folder: Path) -> AutoencoderKL:
    """The KL autoencoder of a model folder; diffusers renames old attention keys itself."""
    path = folder / "vae"
    return AutoencoderKL.from_pretrained(path, variant=variant(path), **SINGLE).eval()


def tiny(folder: Path) -> AutoencoderTiny:
    """An AutoencoderTiny, which has its files at top level."""
    return AutoencoderTiny.from_pretrained(folder, **SINGLE).eval()


def controlnet(folder: Path) -> ControlNetModel:
    """A ControlNet, which has its files at top level."""
    return ControlNetModel.from_pretrained(folder, **SINGLE).eval()


def tokenizer(folder: Path, which: str = "") -> CLIPTokenizer:
    """The tokenizer, or with `_2` the second one, of a model folder."""
    return CLIPTokenizer.from_pretrained(folder / f"tokenizer{which}", local_files_only=True)


def text_encoder(folder: Path, which: str = "") -> CLIPTextModel | CLIPTextModelWithProjection:
    """A text encoder whose keys may lack `text_model.` and may hold `position_ids`; every weight must fit."""
    path = folder / f"text_encoder{which}"
    config = CLIPTextConfig.from_json_file(str(path / "config.json"))
    kind = {"CLIPTextModel": CLIPTextModel, "CLIPTextModelWithProjection": CLIPTextModelWithProjection}[config.architectures[0]]
    (file,) = path.glob("*.safetensors")
    state = {}
    for name, value in load_file(str(file)).items():
        if name.endswith("position_ids"):
            continue
        bare = not name.startswith(("text_model.", "text_projection."))
        state["text_model." * bare + name] = value.float()
    model = kind(config).float().eval()
    model.load_state_dict(state, strict=True)
    return model


def image_encoder(folder: Path) -> CLIPVisionModelWithProjection:
    """The picture encoder of IP-Adapters."""
    return CLIPVisionModelWithProjection.from_pretrained(folder, **SINGLE).eval()


def image_processor(folder: Path) -> CLIPImageProcessor:
    """What prepares a picture for it."""
    return CLIPImageProcessor.from_pretrained(folder, local_files_only=True)


def is_sdxl(folder: Path) -> bool:
    """Whether a model folder is a StableDiffusionXLPipeline."""
    index = json.loads((folder / "model_index.json").read_text())
    return index["_class_name"] == "StableDiffusionXLPipeline"


def pipeline(folder: Path) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """The whole pipeline of diffusers for a model folder."""
    config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    parts = dict(
        vae=kl(folder), text_encoder=text_encoder(folder), tokenizer=tokenizer(folder), unet=unet(folder),
        scheduler=EulerDiscreteScheduler.from_config({key: config[key] for key in config if key.startswith("beta_")}),
    )
    if is_sdxl(folder):
        return StableDiffusionXLPipeline(
            text_encoder_2=text_encoder(folder, "_2"), tokenizer_2=tokenizer(folder, "_2"), add_watermarker=False, **parts
        )
    return StableDiffusionPipeline(
        safety_checker=None, feature_extractor=None, requires_safety_checker=False, **parts
    )
