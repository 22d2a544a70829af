"""Goldens of the single modules, computed by diffusers and transformers.

usage: modules.py MODELS OUT
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import LCMScheduler
from diffusers.models.embeddings import get_timestep_embedding

import load
from common import Noise, Tensors, arguments, save, save_json, setup

PROMPTS = [
    "a cat, neon flowers",
    "",
    "the dog",
    "Cyberpunk PORTRAIT, 8k!! it's  neon-lights (masterpiece:1.2)",
    "café über 東京 😀 naïve Straße ÉCOLE İstanbul",
    "  lots\tof\nspace  and\u00a0non\u2003breaking\u200bones ",
    "123 4567 a1b2 ½ ² ٣ Ⅷ",
    "don't we'll they're I'm you'd I've x's DON'T 's'",
    "<|endoftext|> hi <|startoftext|> there",
    "!!! ! wow !",
    "word " * 100,
    "cat " * 75,
    "cat " * 76,
    "e\u0301 composed? \u00e9",
    "&amp; &lt;b&gt; html &quot;",
    "tabs\u0009and\u000bvertical\u000cfeeds\u0085next\u2028line",
    "под дождём 🌧️👩‍🚀🏳️‍🌈",
    "snake_case kebab-case path/to\\file @user #tag $5.00 50% a=b",
    "...?!,;:— “quoted” ‘single’ «guillemets»",
    "\u0000null\u0007bell\ufffd",
    "ǅ ß ſ ﬁ Ω",
    "हिन्दी العربية עברית ไทย 한국어",
]


def tokens(models: Path, out: Path) -> None:
    """Token ids of awkward prompts, padded and cut to 77, for every tokenizer."""
    table = {}
    for model, which in (("sd15", ""), ("sd21", ""), ("turbo", ""), ("sdxl", ""), ("sdxl", "_2")):
        words = load.tokenizer(models / model, which)
        ids = words(PROMPTS, padding="max_length", max_length=77, truncation=True).input_ids
        table[f"{model}/tokenizer{which}"] = [" ".join(map(str, row)) for row in ids]
    save_json(out / "tokens.json", {"prompts": PROMPTS, "ids": table})


def clip(models: Path, out: Path) -> None:
    """Hidden states, pooled and projected outputs of the text encoders for three prompts."""
    for model, which in (("sd15", ""), ("sd21", ""), ("turbo", ""), ("sdxl", ""), ("sdxl", "_2")):
        words, encoder = load.tokenizer(models / model, which), load.text_encoder(models / model, which)
        some = [PROMPTS[index] for index in (0, 1, 4)]
        ids = words(some, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
        result = encoder(ids, output_hidden_states=True)
        tensors = dict(ids=ids, last=result.last_hidden_state, penult=result.hidden_states[-2])
        if "text_embeds" in result:
            tensors["text_embeds"] = result.text_embeds
        else:
            tensors["pooled"] = result.pooler_output
        save(out / f"clip_{model}{which}.safetensors", tensors)


def added(model: str, noise: Noise, rows: int, width: int) -> Tensors:
    """What SDXL's UNet takes beside the text: pooled embedding and size ids, different in every row."""
    if model != "sdxl":
        return {}
    ids = torch.tensor([[64.0, 48, 0, 0, 64, 48], [512, 512, 8, 4, 1024, 512], [32, 32, 0, 0, 32, 32]])
    return dict(text_embeds=noise.normal(rows, width), time_ids=ids[:rows])


def unets(models: Path, out: Path) -> None:
    """One forward of each UNet: a square and two other latents, another timestep in every row; with ControlNets where there are."""
    large, small = ((8, 8), (8, 16), (24, 8)), ((4, 4), (2, 6), (6, 4))
    plan = (("sd15", ["sd15"], large), ("sd21", [], large), ("turbo", ["turbo_a", "turbo_b"], small), ("sdxl", ["sdxl"], large))
    for model, nets, sizes in plan:
        unet, noise = load.unet(models / model), Noise(7)
        control = [load.controlnet(models / f"controlnet_{name}") for name in nets]
        for height, width in sizes:
            rows = 3 if height == width else 2
            x, ctx = noise.normal(rows, 4, height, width), noise.normal(rows, 77, unet.config.cross_attention_dim)
            t = torch.tensor([999, 359, 0][:rows])
            extra = added(model, noise, rows, 20)
            tensors = dict(x=x, t=t, ctx=ctx, **extra)
            tensors["y"] = unet(x, t, ctx, added_cond_kwargs=extra or None).sample
            factor = 2 ** (len(load.kl(models / model).config.block_out_channels) - 1)
            if control and height == width:
                tensors |= controlled(unet, control, tensors, extra, noise.uniform(rows, 3, height * factor, width * factor))
            save(out / f"unet_{model}_{height}x{width}.safetensors", tensors, controlnets=[f"controlnet_{name}" for name in nets])


def controlled(unet, nets, inputs: Tensors, extra: Tensors, image: torch.Tensor) -> Tensors:
    """Residuals of the first ControlNet at scale 0.7, and the UNet's output with it and with the sum of all."""
    x, t, ctx = inputs["x"], inputs["t"], inputs["ctx"]
    results: Tensors = {"img": image}
    down_sum, mid_sum = None, None
    for index, (net, scale) in enumerate(zip(nets, (0.7, 0.4))):
        down, mid = net(x, t, ctx, image, conditioning_scale=scale, added_cond_kwargs=extra or None, return_dict=False)
        down_sum = down if down_sum is None else [a + b for a, b in zip(down_sum, down)]
        mid_sum = mid if mid_sum is None else mid_sum + mid
        y = unet(x, t, ctx, added_cond_kwargs=extra or None, down_block_additional_residuals=down_sum,
                 mid_block_additional_residual=mid_sum).sample
        if index == 0:
            results |= {"cn_mid": mid, "y_cn": y, **{f"cn_down{level}": value for level, value in enumerate(down)}}
        else:
            results |= {"y_cn_sum": y}
    return results


def codecs(models: Path, out: Path) -> None:
    """Encode and decode of the autoencoders, in a square and a non-square size."""
    noise = Noise(8)
    for model in ("sd15", "sd21", "turbo", "sdxl"):
        vae = load.kl(models / model)
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        for height, width in ((4, 4), (3, 5)):
            image, z = noise.uniform(1, 3, height * factor, width * factor) * 2 - 1, noise.normal(1, 4, height, width)
            posterior = vae.encode(image).latent_dist
            tensors = dict(im=image, mean=posterior.mean, std=posterior.std, z=z, y=vae.decode(z).sample)
            save(out / f"kl_{model}_{height}x{width}.safetensors", tensors)
    for model, factor in (("taesd", 8), ("taesd_small", 4)):
        vae = load.tiny(models / model)
        for height, width in ((4, 4), (3, 5)):
            image, z = noise.uniform(2, 3, height * factor, width * factor) * 2 - 1, 2 * noise.normal(2, 4, height, width)
            tensors = dict(im=image, e=vae.encode(image).latents, z=z, y=vae.decode(z).sample)
            save(out / f"{model}_{height}x{width}.safetensors", tensors)


def sdxl_prompts(models: Path, out: Path) -> None:
    """Prompt embeddings and pooled embeddings as SDXL's pipeline makes them."""
    pipe = load.pipeline(models / "sdxl")
    tensors: Tensors = {}
    pairs = [("a cat, neon flowers", "the dog"), ("café", "")]
    for index, (prompt, negative) in enumerate(pairs):
        made = pipe.encode_prompt(prompt=prompt, negative_prompt=negative, device="cpu", num_images_per_prompt=1,
                                  do_classifier_free_guidance=True)
        tensors |= {f"{index}.{name}": value for name, value in zip(("pos", "neg", "pool", "negpool"), made)}
    save(out / "sdxl_prompt.safetensors", tensors, prompts=pairs)


def tables(models: Path, out: Path) -> None:
    """Timesteps for every number of steps, and the scheduler's tables for three kinds of betas."""
    steps = {}
    for count in (*range(1, 52), 100):
        scheduler = LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
        try:
            scheduler.set_timesteps(count)
            steps[str(count)] = " ".join(map(str, scheduler.timesteps.tolist()))
        except ValueError:
            steps[str(count)] = "refused"
    save_json(out / "lcm_timesteps.json", steps)
    kinds = {
        "sd": dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        "linear": dict(beta_start=0.0001, beta_end=0.02, beta_schedule="linear"),
        "cosine": dict(beta_schedule="squaredcos_cap_v2"),
    }
    tensors: Tensors = {}
    for name, config in kinds.items():
        scheduler = LCMScheduler(**config)
        tensors[f"{name}.alphas_cumprod"] = scheduler.alphas_cumprod
    t = torch.arange(19, 1000, 20)
    scalings = [scheduler.get_scalings_for_boundary_condition_discrete(step) for step in t]
    tensors |= dict(t=t, c_skip=torch.stack([skip for skip, _ in scalings]), c_out=torch.stack([out_ for _, out_ in scalings]))
    for width, flip, shift in ((8, True, 0), (16, True, 0), (256, True, 0), (320, True, 0), (16, False, 1)):
        name = f"time.{width}.{'cos_sin' if flip else 'sin_cos'}.{shift}"
        tensors[name] = get_timestep_embedding(t[::7], width, flip_sin_to_cos=flip, downscale_freq_shift=shift)
    tensors["time.t"] = t[::7]
    save(out / "tables.safetensors", tensors, kinds=kinds)


def noise(out: Path) -> None:
    """The first values that the CPU generator draws for several seeds and shapes."""
    shapes = [(1, 4, 8, 8), (2, 4, 3, 5), (4, 4, 2, 2), (1, 3, 1, 5), (3, 4, 16, 8)]
    tensors = {}
    for seed in (0, 2, 789, 2**32 + 1):
        for index, shape in enumerate(shapes):
            tensors[f"{seed}.{index}"] = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    save(out / "noise.safetensors", tensors, shapes=shapes)


def main() -> None:
    """Write all module goldens to OUT."""
    setup()
    models, out = arguments()
    tokens(models, out)
    clip(models, out)
    unets(models, out)
    codecs(models, out)
    sdxl_prompts(models, out)
    tables(models, out)
    noise(out)
    total = sum(path.stat().st_size for path in out.iterdir())
    print(f"modules: {len(list(out.iterdir()))} files, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
