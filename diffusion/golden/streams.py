"""Goldens of whole streams over seven frames.

Where the original StreamDiffusion can run a case, its tensors are stored and reference.py is
compared with them. Live changes, `fb` > 1 with several steps and priming exist only in reference.py.

usage: streams.py MODELS OUT [CASE...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import load
from common import FORMAT, Noise, Report, Tensors, arguments, relative_error, save, setup
from original import Original, posterior_mean
from reference import Networks, Settings, Stream, Text

FRAMES = 7
#: What the reference's own cases do not repeat.
LEFT_OUT = ("prep.alphas_cumprod", "prep.prompt_embeds")
LIMIT = 1e-5
DEFAULTS: dict[str, Any] = dict(
    cfg_type="none", gs=1.2, delta=1.0, fb=1, add_noise=True, tiny=True, seed=2, prompt="a cat, neon flowers",
    neg="the dog", steps=50, NF=FRAMES, upd=None, denoise_batch=True, changes=[], controlnets=[], prime=False,
    posterior=None, latent_feedback=0.0, ip_adapter=None, seed_interpolation_method="slerp", prompt_interpolation_method="slerp",
)
SIZES = dict(turbo=(16, 8), sd21=(32, 32), sd15=(32, 32), sdxl=(16, 16))
TINY = dict(turbo="taesd_small", sd21="taesd", sd15="taesd_small", sdxl="taesd_small")
INDICES = {1: [16], 2: [32, 45], 3: [12, 20, 32], 4: [0, 16, 32, 45]}


def static_cases() -> dict[str, dict[str, Any]]:
    """Cases that the original runs (some with the small patches of original.py)."""
    strong = dict(gs=1.4, delta=0.5)
    cases: dict[str, dict[str, Any]] = {}
    for steps in (1, 2, 4):
        cases[f"turbo_{steps}_none"] = dict(cfg_type="none")
        cases[f"turbo_{steps}_self"] = dict(cfg_type="self", **strong)
        cases[f"turbo_{steps}_init"] = dict(cfg_type="initialize", **strong)
        cases[f"turbo_{steps}_full"] = dict(cfg_type="full", gs=1.4)
    cases |= {
        "turbo_1_none_first": dict(t_index_list=[0]),
        "turbo_2_none_nonoise": dict(add_noise=False),
        "turbo_2_self_gs1": dict(cfg_type="self", gs=1.0),
        "turbo_2_self_tall": dict(cfg_type="self", W=8, H=24, seed=789),
        "turbo_2_none_4steps": dict(t_index_list=[1, 3], steps=4),
        "turbo_1_none_fb2": dict(fb=2),
        "turbo_1_self_fb2": dict(fb=2, cfg_type="self", **strong),
        "turbo_1_full_fb2": dict(fb=2, cfg_type="full", **strong),
        "turbo_2_none_nonoise_seq": dict(add_noise=False, denoise_batch=False),
        "turbo_1_none_klmean": dict(tiny=False, posterior="mean"),
        "sd21_2_self": dict(cfg_type="self", **strong),
        "turbo_3_none_upd": dict(upd=[3, "the dog"]),
        "turbo_2_self_kl": dict(cfg_type="self", tiny=False, posterior="sample"),
        "sd15_2_self": dict(cfg_type="self", NF=3),
        "sd15_3_none_klmean": dict(tiny=False, posterior="mean"),
        "turbo_2_init_upd": dict(cfg_type="initialize", upd=[3, "the dog"], **strong),
        "turbo_2_full_upd": dict(cfg_type="full", upd=[3, "the dog"], **strong),
        "sdxl_1_none": dict(t_index_list=[36]),
        "sdxl_2_self": dict(cfg_type="self", W=32, **strong),
        "sdxl_2_init_upd": dict(cfg_type="initialize", upd=[4, "the dog"], neg="blurry", **strong),
        "sdxl_2_full_klmean": dict(cfg_type="full", tiny=False, posterior="mean", neg="blurry", **strong),
        "turbo_2_self_cn": dict(cfg_type="self", controlnets=[["controlnet_turbo_a", 0.8]], **strong),
        "turbo_2_full_cn2": dict(cfg_type="full", controlnets=[["controlnet_turbo_a", 0.6], ["controlnet_turbo_b", 0.5]], gs=1.4),
        "sd15_1_none_cn": dict(NF=3, controlnets=[["controlnet_sd15", 1.0]]),
        "sdxl_2_init_cn": dict(NF=4, cfg_type="initialize", controlnets=[["controlnet_sdxl", 0.7]], **strong),
        "turbo_2_self_ip": dict(cfg_type="self", ip_adapter=["adapter_turbo.safetensors", 0.6], **strong),
        "turbo_2_full_ip_cn": dict(cfg_type="full", ip_adapter=["adapter_turbo.safetensors", 1.0], controlnets=[["controlnet_turbo_a", 0.6]], gs=1.4),
    }
    return cases


def live_cases() -> dict[str, dict[str, Any]]:
    """Cases with live changes and the other things that only the reference knows."""
    strong = dict(gs=1.4, delta=0.5)
    pair = [["a cat", 1.0], ["the dog", 3.0]]
    three = [["a cat", 1.0], ["the dog", 2.0], ["neon", 1.5]]
    return {
        "turbo_2_none_fb2": dict(fb=2),
        "turbo_2_self_fb2": dict(fb=2, cfg_type="self", **strong),
        "turbo_3_init_fb2": dict(fb=2, cfg_type="initialize", **strong),
        "turbo_2_self_prime": dict(cfg_type="self", prime=True, **strong),
        "turbo_3_none_live_t": dict(changes=[[3, {"t_index_list": [8, 24, 40]}]]),
        "turbo_2_self_live_steps": dict(cfg_type="self", changes=[[2, {"num_inference_steps": 20, "t_index_list": [5, 17]}]], t_index_list=[32, 45], **strong),
        "turbo_2_self_live_s4": dict(cfg_type="self", changes=[[3, {"t_index_list": [4, 16, 32, 45]}]], **strong),
        "turbo_4_init_live_s1": dict(cfg_type="initialize", changes=[[2, {"t_index_list": [20]}], [5, {"t_index_list": [12, 32]}]], **strong),
        "turbo_2_self_live_seed": dict(cfg_type="self", changes=[[3, {"seed": 5}]], **strong),
        "turbo_2_self_live_guidance": dict(cfg_type="self", changes=[[2, {"guidance_scale": 1.9}], [4, {"delta": 0.9}], [5, {"guidance_scale": 1.0}]], **strong),
        "turbo_2_full_live_guidance": dict(cfg_type="full", gs=1.0, changes=[[2, {"guidance_scale": 1.5}], [5, {"guidance_scale": 1.0}]]),
        "turbo_2_init_live_guidance": dict(cfg_type="initialize", gs=1.0, changes=[[2, {"guidance_scale": 1.5}], [5, {"guidance_scale": 1.0}]]),
        "turbo_2_live_cfg": dict(changes=[[1, {"cfg_type": "self"}], [3, {"cfg_type": "full"}], [5, {"cfg_type": "initialize"}]], **strong),
        "turbo_2_full_live_negative": dict(cfg_type="full", changes=[[3, {"negative_prompt": "blurry, low quality"}]], gs=1.4),
        "turbo_2_init_live_many": dict(cfg_type="initialize", changes=[[2, {"prompt": "the dog", "seed": 9, "negative_prompt": "flat", "guidance_scale": 1.7, "t_index_list": [10, 30]}]], **strong),
        "turbo_1_none_blend": dict(changes=[[1, {"prompt": pair}], [3, {"prompt_interpolation_method": "linear"}], [5, {"prompt": three}], [6, {"normalize_prompt_weights": False}]]),
        "turbo_2_self_seeds": dict(cfg_type="self", changes=[[1, {"seed": [[2, 1.0], [5, 2.0]]}], [3, {"seed_interpolation_method": "linear"}], [5, {"seed": [[2, 1.0], [5, 2.0], [7, 1.0]]}]], **strong),
        "turbo_2_none_transition": dict(changes=[[1, {"transition": {"target": "the dog", "num_steps": 4}}]]),
        "sdxl_1_full_transition": dict(NF=5, cfg_type="full", gs=1.3, changes=[[1, {"transition": {"target": pair, "num_steps": 3}}]]),
        "sdxl_2_init_live_s1": dict(cfg_type="initialize", changes=[[2, {"t_index_list": [36]}], [4, {"prompt": three}]], **strong),
        "turbo_2_self_feedback": dict(cfg_type="self", latent_feedback=0.3, changes=[[4, {"latent_feedback": 0.1}]], **strong),
        "turbo_2_self_live_ip": dict(cfg_type="self", ip_adapter=["adapter_turbo.safetensors", 0.6], changes=[[2, {"ip_adapter": 0.0}], [4, {"ip_adapter": 1.2}]], **strong),
        "turbo_2_self_live_cn": dict(cfg_type="self", controlnets=[["controlnet_turbo_b", 0.8]], changes=[[2, {"controlnets": [0.0]}], [4, {"controlnets": [0.5]}]], **strong),
    }


def complete(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """A case with all defaults; model and number of steps come from its name."""
    model, *rest = name.split("_")
    case = DEFAULTS | dict(model=model, W=SIZES[model][0], H=SIZES[model][1], format=FORMAT)
    if rest[0].isdigit():
        case["t_index_list"] = INDICES[int(rest[0])]
    case |= given
    case["vae"] = TINY[model] if case["tiny"] else None
    return case


def pictures(case: dict[str, Any], seed: int = 123) -> list[torch.Tensor]:
    """(fb,3,H,W) pictures in 0..1 with 8-bit values: a fixed picture under changing noise."""
    noise, shape = Noise(seed), (1, 3, case["H"], case["W"])
    base = noise.uniform(*shape)
    single = [0.7 * base + 0.3 * noise.uniform(*shape) for _ in range(case["NF"] * case["fb"])]
    single = [(picture * 255).round() / 255 for picture in single]
    return [torch.cat(single[index * case["fb"] : (index + 1) * case["fb"]]) for index in range(case["NF"])]


class Model:
    """The networks of one case, shared by the original and the reference."""

    def __init__(self, models: Path, case: dict[str, Any]) -> None:
        self.folder = models / case["model"]
        self.pipe = load.pipeline(self.folder)
        self.tiny = load.tiny(models / case["vae"]) if case["tiny"] else None
        self.vae = self.tiny or self.pipe.vae
        self.factor = self.pipe.vae_scale_factor
        self.nets = [load.controlnet(models / name) for name, _ in case["controlnets"]]
        self.scales = [scale for _, scale in case["controlnets"]]
        self.control: torch.Tensor | None = None
        self.style = self._style(models, case["ip_adapter"]) if case["ip_adapter"] else None
        self.ids = torch.tensor([[case["H"], case["W"], 0, 0, case["H"], case["W"]]], dtype=torch.float32)

    def _style(self, models: Path, adapter: list[Any]) -> torch.Tensor:
        """Load an IP-Adapter; gives the embedding of its picture, before it that of no picture: zeros."""
        folder, (file, scale) = models.parent / "golden" / "ip_adapter", adapter
        self.pipe.register_modules(image_encoder=load.image_encoder(folder / "image_encoder"), feature_extractor=load.image_processor(folder / "image_encoder"))
        self.pipe.load_ip_adapter(folder, subfolder="", weight_name=file, local_files_only=True)
        self.pipe.set_ip_adapter_scale(scale)
        pixels = load_file(str(folder / "image_encoder.safetensors"))["0.pixels"]
        embeds = self.pipe.image_encoder(pixels).image_embeds
        return torch.cat([torch.zeros_like(embeds), embeds])

    def conditions(
        self, x: torch.Tensor, t: torch.Tensor, embeds: torch.Tensor, pooled: torch.Tensor | None, negative: int
    ) -> dict[str, Any]:
        """What a UNet call takes beside latents, timesteps and text; the first `negative` rows are without the prompt."""
        extra: dict[str, Any] = {}
        if pooled is not None:
            extra["added_cond_kwargs"] = dict(text_embeds=pooled, time_ids=self.ids.repeat(x.shape[0], 1))
        down_sum, mid_sum = None, None
        for net, scale in zip(self.nets, self.scales):
            if scale == 0:
                continue
            image = self.control.repeat(x.shape[0], 1, 1, 1)
            down, mid = net(x, t, embeds, image, conditioning_scale=scale, return_dict=False, **extra)
            down_sum = down if down_sum is None else [a + b for a, b in zip(down_sum, down)]
            mid_sum = mid if mid_sum is None else mid_sum + mid
        if mid_sum is not None:
            extra |= dict(down_block_additional_residuals=tuple(down_sum), mid_block_additional_residual=mid_sum)
        if self.style is not None:
            rows = [self.style[:1].repeat(negative, 1), self.style[1:].repeat(x.shape[0] - negative, 1)]
            extra["added_cond_kwargs"] = extra.get("added_cond_kwargs", {}) | dict(image_embeds=torch.cat(rows))
        return extra

    def text(self, prompt: str) -> Text:
        """A prompt encoded by the pipeline of diffusers."""
        made = self.pipe.encode_prompt(prompt=prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
        return Text(made[0], made[2] if load.is_sdxl(self.folder) else None)

    def unet(self, x: torch.Tensor, t: torch.Tensor, embeds: torch.Tensor, pooled: torch.Tensor | None, negative: int) -> torch.Tensor:
        """A UNet call of the reference."""
        return self.pipe.unet(x, t, embeds, return_dict=False, **self.conditions(x, t, embeds, pooled, negative))[0]

    def reference(self, case: dict[str, Any], encode: Callable[[torch.Tensor], torch.Tensor]) -> Stream:
        """The reference's stream of a case."""
        settings = Settings(
            prompt=case["prompt"], negative_prompt=case["neg"], t_index_list=case["t_index_list"],
            num_inference_steps=case["steps"], cfg_type=case["cfg_type"], guidance_scale=case["gs"],
            delta=case["delta"], seed=case["seed"], prompt_interpolation_method=case["prompt_interpolation_method"],
            seed_interpolation_method=case["seed_interpolation_method"], latent_feedback=case["latent_feedback"],
        )
        networks = Networks(self.unet, encode, lambda z: self.vae.decode(z).sample, self.text)
        return Stream(
            networks, settings, (4, case["H"] // self.factor, case["W"] // self.factor), self.vae.config.scaling_factor,
            frame_buffer_size=case["fb"], add_noise=case["add_noise"], prime=case["prime"], batched=case["denoise_batch"],
        )


def encoder(model: Model, case: dict[str, Any], noise_drawn: tuple[int, ...]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Encodes like the original: TAESD, the KL posterior's mean, or a sample drawn after the stream's own noise."""
    if model.tiny is not None:
        return lambda x: model.tiny.encode(x).latents
    if case["posterior"] == "mean":
        return lambda x: model.pipe.vae.encode(x).latent_dist.mode()
    generator = torch.Generator().manual_seed(case["seed"])
    torch.randn(noise_drawn, generator=generator)
    return lambda x: model.pipe.vae.encode(x).latent_dist.sample(generator)


def run_original(model: Model, case: dict[str, Any], frames: list[torch.Tensor], control: list[torch.Tensor]) -> Tensors:
    """Record the original."""
    posterior_mean(case["posterior"] == "mean")
    pooled: dict[str, torch.Tensor] = {}
    if load.is_sdxl(model.folder):
        encode_prompt = model.pipe.encode_prompt

        def remember(**options: Any) -> Any:
            made = encode_prompt(**options)
            pooled["positive"] = made[2]
            pooled["negative"] = made[3] if made[3] is not None else pooled.get("negative")
            return made

        model.pipe.encode_prompt = remember
    stream = Original(model.pipe, model.tiny, case)

    def extra(x: torch.Tensor, t: torch.Tensor, embeds: torch.Tensor) -> dict[str, Any]:
        rows, negative = None, x.shape[0] - stream.rows if stream.guided else 0
        if pooled:
            rows = pooled["positive"].repeat(x.shape[0], 1)
            rows[:negative] = pooled["negative"] if negative else rows[:0]
        return model.conditions(x, t, embeds, rows, negative)

    stream.extra = extra
    tensors = stream.prepared()
    for index, picture in enumerate(frames):
        model.control = control[index] if control else None
        if case["upd"] and index == case["upd"][0]:
            stream.change_prompt(case["upd"][1])
            tensors[f"f{index}.prompt_embeds"] = stream.stream.prompt_embeds
        tensors |= {f"f{index}.{kind}": value for kind, value in stream.frame(picture).items()}
    return tensors


def prepared(stream: Stream) -> Tensors:
    """The reference's constants under the original's names."""
    fb = stream.frame_buffer_size if stream.batched else 1
    return {
        "prep.prompt_embeds": stream.embedding().embeds, "prep.init_noise": stream.init_noise,
        "prep.stock_noise": stream.stock_noise, "prep.c_skip": stream.c_skip[::fb], "prep.c_out": stream.c_out[::fb],
        "prep.alpha_prod_t_sqrt": stream.a, "prep.beta_prod_t_sqrt": stream.b, "prep.sub_timesteps_tensor": stream.t,
        "prep.timesteps": torch.tensor([999 - 20 * (i * 50 // stream.settings.num_inference_steps) for i in range(stream.settings.num_inference_steps)]),
        "prep.alphas_cumprod": stream.alphas_cumprod,
    }


def run_reference(model: Model, case: dict[str, Any], frames: list[torch.Tensor], control: list[torch.Tensor]) -> Tensors:
    """Record the reference, with its live changes."""
    rows = case["fb"] * (len(case["t_index_list"]) if case["denoise_batch"] else 1)
    drawn = (rows, 4, case["H"] // model.factor, case["W"] // model.factor)
    stream = model.reference(case, encoder(model, case, drawn))
    tensors = prepared(stream)
    changes = case["changes"] + ([[case["upd"][0], {"prompt": case["upd"][1]}]] if case["upd"] else [])
    for index, picture in enumerate(frames):
        model.control = control[index] if control else None
        for patch in (dict(patch) for frame, patch in changes if frame == index):
            model.scales = patch.pop("controlnets", model.scales)
            if "ip_adapter" in patch:
                model.pipe.set_ip_adapter_scale(patch.pop("ip_adapter"))
            stream.change(**patch)
        before = stream.positive
        made = stream.frame(picture * 2 - 1)
        tensors |= {f"f{index}.{kind}": value for kind, value in made.items()}
        if any(frame == index for frame, _ in changes) or stream.positive is not before:
            tensors |= {f"f{index}.positive": stream.positive.embeds, f"f{index}.init_noise": stream.init_noise}
        if case["upd"] and index == case["upd"][0]:
            tensors[f"f{index}.prompt_embeds"] = stream.embedding().embeds
    return tensors


def compare(ours: Tensors, theirs: Tensors) -> dict[str, float]:
    """Largest error of each kind of tensor over all frames."""
    errors: dict[str, float] = {}
    for name, value in theirs.items():
        kind = "tables" if name.startswith("prep.") else name.split(".", 1)[1]
        errors[kind] = max(errors.get(kind, 0.0), relative_error(ours[name].float(), value.float()))
    return errors


def main() -> None:
    """Write all streams to OUT."""
    setup()
    models, out = arguments()
    static, live = static_cases(), live_cases()
    only = sys.argv[3:]
    report = Report("reference.py against StreamDiffusion 0.1.1", LIMIT)
    for name, given in (static | live).items():
        if only and name not in only:
            continue
        case = complete(name, given) | dict(origin="streamdiffusion 0.1.1" if name in static else "reference")
        frames = pictures(case)
        control = pictures(case | dict(fb=1), 321) if case["controlnets"] else []
        model = Model(models, case)
        tensors = run_reference(model, case, frames, control)
        if name in static:
            theirs = run_original(Model(models, case), case, frames, control)
            report.add(name, compare(tensors, theirs))
            tensors = theirs
        else:
            tensors = {name: value for name, value in tensors.items() if name not in LEFT_OUT}
        tensors |= {f"f{index}.control": picture for index, picture in enumerate(control)}
        if case["ip_adapter"]:
            tensors["prep.image_embeds"] = model.style[1:]
        save(out / f"{name}.safetensors", tensors, case=case)
    report.finish()
    total = sum(path.stat().st_size for path in out.iterdir())
    print(f"streams: {len(list(out.iterdir()))} files, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
