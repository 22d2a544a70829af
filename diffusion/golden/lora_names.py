"""LoRA files with the names that other programs give: original block names, and peft's own folders.

usage: lora_names.py MODELS OUT
"""

from __future__ import annotations

import json
from pathlib import Path

import peft
from safetensors.torch import load_file

import load
from common import Noise, Report, Tensors, arguments, save, save_json, setup
from lora import ALPHA, RANK, SCALE, changed, compare, encoders, expected, factors, fused, kohya

#: Modules of the tiny SDXL and what the original code calls them.
ORIGINAL = {
    "down_blocks.0.resnets.0.conv1": "input_blocks_1_0_in_layers_2",
    "down_blocks.0.downsamplers.0.conv": "input_blocks_2_0_op",
    "down_blocks.1.resnets.0.time_emb_proj": "input_blocks_3_0_emb_layers_1",
    "down_blocks.2.resnets.0.conv_shortcut": "input_blocks_5_0_skip_connection",
    "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q": "input_blocks_3_1_transformer_blocks_0_attn1_to_q",
    "down_blocks.2.attentions.0.proj_in": "input_blocks_5_1_proj_in",
    "mid_block.resnets.0.conv2": "middle_block_0_out_layers_3",
    "mid_block.attentions.0.transformer_blocks.2.ff.net.0.proj": "middle_block_1_transformer_blocks_2_ff_net_0_proj",
    "mid_block.resnets.1.conv1": "middle_block_2_in_layers_2",
    "up_blocks.0.attentions.1.transformer_blocks.1.attn2.to_out.0": "output_blocks_1_1_transformer_blocks_1_attn2_to_out_0",
    "up_blocks.0.upsamplers.0.conv": "output_blocks_1_2_conv",
    "up_blocks.1.attentions.0.proj_out": "output_blocks_2_1_proj_out",
    "up_blocks.1.resnets.1.conv2": "output_blocks_3_0_out_layers_3",
    "up_blocks.2.resnets.0.conv_shortcut": "output_blocks_4_0_skip_connection",
    "up_blocks.2.resnets.1.time_emb_proj": "output_blocks_5_0_emb_layers_1",
}
#: What peft is told to change.
TARGETS = ["to_q", "attn2.to_v", "downsamplers.0.conv", "proj_in"]


def states(pipe) -> dict[str, Tensors]:
    """The weights of a pipeline's networks, by prefix."""
    return {prefix: {k: v.clone() for k, v in module.state_dict().items()} for prefix, module in encoders(pipe).items()}


def original(models: Path, out: Path, report: Report) -> None:
    """A kohya file for SDXL with the names of the original code."""
    base = states(load.pipeline(models / "sdxl"))
    pairs = factors(base["unet"], ORIGINAL, Noise(21))
    file = {key.replace(f"lora_unet_{ours.replace('.', '_')}.", f"lora_unet_{theirs}."): value
            for ours, theirs in ORIGINAL.items() for key, value in kohya({"unet": {ours: pairs[ours]}}).items()}
    path = out / "original_sdxl.safetensors"
    save(path, file)
    tensors = changed(fused(models, "sdxl", [(path, SCALE)]), base)
    compare(report, "original_sdxl", tensors, expected(base, {"unet": pairs}, SCALE * ALPHA / RANK))
    save(out / "original_sdxl_fused.safetensors", tensors, case=dict(model="sdxl", loras=[[path.name, SCALE]]))


def saved_by_peft(models: Path, out: Path, report: Report) -> None:
    """What peft saves of a wrapped UNet, with an alpha that is in its configuration only, and what it merges."""
    base = states(load.pipeline(models / "turbo"))
    for name, extra in (("peft_folder", {}), ("peft_folder_rs", dict(use_rslora=True, alpha_pattern={"attn2.to_v": 3}, rank_pattern={"downsamplers.0.conv": 2}))):
        pipe = load.pipeline(models / "turbo")
        config = peft.LoraConfig(r=RANK, lora_alpha=6, target_modules=TARGETS, **extra)
        wrapped, noise = peft.get_peft_model(pipe.unet, config), Noise(22)
        for key, value in wrapped.named_parameters():
            if "lora_" in key:
                value.copy_(0.2 * noise.normal(*value.shape))
        wrapped.save_pretrained(out / name)
        (out / name / "README.md").unlink()
        written = out / name / "adapter_config.json"
        save_json(written, json.loads(written.read_text()) | dict(target_modules=sorted(TARGETS)))
        pipe.unet = wrapped.merge_and_unload()
        tensors = changed(pipe, base)
        stored = load_file(out / name / "adapter_model.safetensors")
        if len(stored) != 2 * len(tensors):
            raise SystemExit(f"{name}: {len(stored)} tensors for {len(tensors)} weights")
        if not extra:
            formula = {}
            for key in tensors:
                module = key.removeprefix("unet.").removesuffix(".weight")
                down, up = (stored[f"base_model.model.{module}.lora_{side}.weight"] for side in "AB")
                formula |= expected(base, {"unet": {module: (down, up)}}, 6 / RANK)
            compare(report, name, tensors, formula)
        save(out / f"{name}_fused.safetensors", tensors, case=dict(model="turbo", loras=[[name, 1.0]]))


def main() -> None:
    """Write LoRA files and their goldens to OUT."""
    setup()
    models, out = arguments()
    report = Report("LoRA under other names: W + scale*(alpha/r)*up@down against diffusers and peft", 1e-6)
    original(models, out, report)
    saved_by_peft(models, out, report)
    report.finish()


if __name__ == "__main__":
    main()
