"""LoRA files in three spellings, and what diffusers and peft make of the weights with them.

usage: lora.py MODELS OUT
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file

import load
from common import Noise, Report, Tensors, arguments, relative_error, save, setup

RANK = 4
ALPHA = 2.0
SCALE = 0.8
UNET = [
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_v",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
    "up_blocks.1.attentions.2.transformer_blocks.0.attn2.to_v",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
    "up_blocks.3.attentions.1.transformer_blocks.0.ff.net.2",
    "down_blocks.1.attentions.0.proj_in",
    "up_blocks.2.attentions.1.proj_out",
    "down_blocks.0.resnets.0.conv1",
    "down_blocks.3.resnets.1.conv2",
    "down_blocks.1.resnets.0.time_emb_proj",
    "up_blocks.1.resnets.0.conv_shortcut",
    "down_blocks.0.downsamplers.0.conv",
    "up_blocks.0.upsamplers.0.conv",
]
#: Modules whose kohya names diffusers 0.24 cannot read; other programs write and read them.
BEYOND = ["conv_in", "conv_out", "time_embedding.linear_1"]

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


def text_modules(layers: int) -> list[str]:
    """Every linear layer of a text encoder's attention, and its feed-forward layers."""
    names = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
    return [f"text_model.encoder.layers.{layer}.{name}" for layer in range(layers) for name in names]


def factors(state: Tensors, modules: Iterable[str], noise: Noise, rank: int = RANK) -> Pairs:
    """Down and up of a LoRA for some modules of a model."""
    pairs = {}
    for module in modules:
        weight = state[module + ".weight"]
        tail = [1] * (weight.ndim - 2)
        down = 0.2 * noise.normal(rank, *weight.shape[1:])
        pairs[module] = (down, 0.2 * noise.normal(weight.shape[0], rank, *tail))
    return pairs


def product(down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """What a LoRA adds to a weight, before its scale."""
    return (up.flatten(1) @ down.flatten(1)).view(up.shape[0], *down.shape[1:])


def kohya(parts: dict[str, Pairs]) -> Tensors:
    """The spelling of kohya's scripts: underscores, lora_down/lora_up, one alpha per module."""
    file: Tensors = {}
    for prefix, pairs in parts.items():
        for module, (down, up) in pairs.items():
            name = f"lora_{prefix}_{module.replace('.', '_')}"
            file |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": torch.tensor(ALPHA)}
    return file


def peft(parts: dict[str, Pairs]) -> Tensors:
    """The spelling of peft: lora_A/lora_B below the model's own names; alpha equals the rank."""
    file: Tensors = {}
    for prefix, pairs in parts.items():
        for module, (down, up) in pairs.items():
            file |= {f"{prefix}.{module}.lora_A.weight": down, f"{prefix}.{module}.lora_B.weight": up}
    return file


def old_name(prefix: str, module: str) -> str:
    """A module's name in old diffusers; it knows attention only (and feed-forward in the text encoder)."""
    stem, last = module.rsplit(".", 1)
    if prefix == "unet":
        if last == "0":
            return f"unet.{stem.removesuffix('.to_out')}.processor.to_out_lora"
        return f"unet.{stem}.processor.{last}_lora"
    short = {"q_proj": "to_q_lora", "k_proj": "to_k_lora", "v_proj": "to_v_lora", "out_proj": "to_out_lora"}
    return f"{prefix}.{stem}.{short.get(last, f'{last}.lora_linear_layer')}"


def old_diffusers(parts: dict[str, Pairs]) -> Tensors:
    """The spelling of diffusers before it used peft."""
    file: Tensors = {}
    for prefix, pairs in parts.items():
        for module, (down, up) in pairs.items():
            name = old_name(prefix, module)
            file |= {f"{name}.down.weight": down, f"{name}.up.weight": up}
    return file


def fused(models: Path, model: str, files: list[tuple[Path, float]]):
    """A pipeline into which diffusers has fused LoRA files, each with its scale."""
    pipe = load.pipeline(models / model)
    for file, scale in files:
        pipe.load_lora_weights(file.parent, weight_name=file.name, local_files_only=True)
        pipe.fuse_lora(lora_scale=scale)
        pipe.unload_lora_weights()
    return pipe


def encoders(pipe) -> dict[str, torch.nn.Module]:
    """The networks of a pipeline by the prefix of their LoRA keys."""
    parts = {"unet": pipe.unet, "text_encoder": pipe.text_encoder}
    if getattr(pipe, "text_encoder_2", None) is not None:
        parts["text_encoder_2"] = pipe.text_encoder_2
    return parts


def changed(pipe, base: dict[str, Tensors]) -> Tensors:
    """The weights that differ from the model's own."""
    tensors = {}
    for prefix, module in encoders(pipe).items():
        for name, value in module.state_dict().items():
            if not torch.equal(value, base[prefix][name]):
                tensors[f"{prefix}.{name}"] = value
    return tensors


def expected(base: dict[str, Tensors], parts: dict[str, Pairs], factor: float) -> Tensors:
    """The formula: W + factor * up @ down."""
    return {
        f"{prefix}.{module}.weight": base[prefix][module + ".weight"] + factor * product(*pair)
        for prefix, pairs in parts.items()
        for module, pair in pairs.items()
    }


def outputs(pipe, noise: Noise, added: Tensors | None = None) -> Tensors:
    """What the networks compute with the fused weights."""
    size = pipe.unet.config.cross_attention_dim
    x, ctx, t = noise.normal(1, 4, 8, 8), noise.normal(1, 7, size), torch.tensor([259])
    y = pipe.unet(x, t, ctx, added_cond_kwargs=added).sample
    ids = pipe.tokenizer("a cat, neon flowers", padding="max_length", max_length=77, return_tensors="pt").input_ids
    return dict(x=x, t=t, ctx=ctx, y=y, ids=ids, last=pipe.text_encoder(ids).last_hidden_state, **(added or {}))


def compare(report: Report, case: str, tensors: Tensors, formula: Tensors) -> None:
    """The formula against diffusers: the same tensors changed, by the same values."""
    if tensors.keys() != formula.keys():
        raise SystemExit(f"{case}: diffusers changed other tensors: {sorted(tensors.keys() ^ formula.keys())}")
    errors = [relative_error(formula[name], value) for name, value in tensors.items()]
    report.add(case, {"weights": max(errors)}, f"({len(tensors)} tensors)")


def main() -> None:
    """Write LoRA files and their goldens to OUT."""
    setup()
    models, out = arguments()
    report = Report("LoRA: W + scale*(alpha/r)*up@down against diffusers and peft", 1e-6)
    noise = Noise(5)
    plain = load.pipeline(models / "sd15")
    base = {prefix: {k: v.clone() for k, v in module.state_dict().items()} for prefix, module in encoders(plain).items()}
    unet = factors(base["unet"], UNET, noise)
    text = factors(base["text_encoder"], text_modules(2), noise)
    attention = {module: pair for module, pair in unet.items() if ".attn" in module}

    spellings = {
        "kohya": (kohya({"unet": unet, "te": text}), {"unet": unet, "text_encoder": text}, ALPHA / RANK),
        "peft": (peft({"unet": unet}), {"unet": unet}, 1.0),
        "old": (old_diffusers({"unet": attention, "text_encoder": text}), {"unet": attention, "text_encoder": text}, 1.0),
    }
    for name, (file, parts, factor) in spellings.items():
        path = out / f"{name}.safetensors"
        save(path, file)
        pipe = fused(models, "sd15", [(path, SCALE)])
        tensors = changed(pipe, base)
        compare(report, name, tensors, expected(base, parts, SCALE * factor))
        save(out / f"{name}_fused.safetensors", tensors | outputs(pipe, Noise(6)), case=dict(model="sd15", loras=[[path.name, SCALE]]))

    stack = [(out / "kohya.safetensors", 0.8), (out / "old.safetensors", 0.3)]
    pipe = fused(models, "sd15", stack)
    save(out / "stack_fused.safetensors", outputs(pipe, Noise(6)), case=dict(model="sd15", loras=[[path.name, scale] for path, scale in stack]))

    beyond(models, out, base, noise)
    sdxl(models, out, report)
    report.finish()
    print(f"lora: {sum(path.stat().st_size for path in out.iterdir()) / 1e6:.2f} MB")


def beyond(models: Path, out: Path, base: dict[str, Tensors], noise: Noise) -> None:
    """More modules than diffusers reads, ranks that differ, peft's text encoder, half precision: fused by the formula."""
    unet = factors(base["unet"], BEYOND, noise) | factors(base["unet"], UNET[:2], noise, rank=2)
    text = factors(base["text_encoder"], text_modules(1)[:2], noise)
    for name, file, prefix, alpha in (
        ("kohya_more", kohya({"unet": unet, "te": text}), "te", ALPHA),
        ("peft_more", peft({"unet": unet, "text_encoder": text}), "text_encoder", None),
    ):
        half = {key: value.half() if value.ndim else value for key, value in file.items()}
        save(out / f"{name}.safetensors", half)
        tensors: Tensors = {}
        pipe = load.pipeline(models / "sd15")
        for part, pairs in (("unet", unet), ("text_encoder", text)):
            rounded = {module: (down.half().float(), up.half().float()) for module, (down, up) in pairs.items()}
            for module, pair in rounded.items():
                rank = pair[0].shape[0]
                tensors |= expected(base, {part: {module: pair}}, SCALE * (alpha or rank) / rank)
        for key, value in tensors.items():
            part, key = key.split(".", 1)
            encoders(pipe)[part].state_dict()[key].copy_(value)
        save(out / f"{name}_fused.safetensors", tensors | outputs(pipe, Noise(6)), case=dict(model="sd15", loras=[[f"{name}.safetensors", SCALE]]))


def sdxl(models: Path, out: Path, report: Report) -> None:
    """A kohya file for SDXL, whose two text encoders are `te1` and `te2`."""
    noise, plain = Noise(9), load.pipeline(models / "sdxl")
    base = {prefix: {k: v.clone() for k, v in module.state_dict().items()} for prefix, module in encoders(plain).items()}
    unet = factors(base["unet"], [
        "down_blocks.2.attentions.0.transformer_blocks.2.attn2.to_k", "up_blocks.0.attentions.1.proj_in",
        "mid_block.attentions.0.transformer_blocks.1.ff.net.2",
    ], noise)
    one, two = factors(base["text_encoder"], text_modules(3), noise), factors(base["text_encoder_2"], text_modules(2), noise)
    path = out / "kohya_sdxl.safetensors"
    save(path, kohya({"unet": unet, "te1": one, "te2": two}))
    pipe = fused(models, "sdxl", [(path, SCALE)])
    tensors = changed(pipe, base)
    compare(report, "kohya_sdxl", tensors, expected(base, {"unet": unet, "text_encoder": one, "text_encoder_2": two}, SCALE * ALPHA / RANK))
    added = dict(text_embeds=noise.normal(1, 20), time_ids=torch.tensor([[64.0, 64, 0, 0, 64, 64]]))
    result = outputs(pipe, Noise(6), added)
    result |= {key: value for key, value in tensors.items() if key.startswith("unet.")}
    result["pos"], _, result["pool"], _ = pipe.encode_prompt(prompt="a cat, neon flowers", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    save(out / "kohya_sdxl_fused.safetensors", result, case=dict(model="sdxl", loras=[[path.name, SCALE]]))


if __name__ == "__main__":
    main()
