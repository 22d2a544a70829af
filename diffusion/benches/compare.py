"""Times StreamDiffusion's original Python on a model shape with random weights, for `make bench-stage COMPARE=python`.

usage: compare.py MEASURED.json --seconds 10
MEASURED.json is what `benches/stage` wrote: the shape's name, steps, device, precision, threads and its own times.
Prints both rows (frames per second over the whole loop, the median of each part) and the ratio.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

import torch

HERE = Path(__file__).parent


class HostEvent:
    """Stands in for CUDA's timing events, which the original asks for, where there is no CUDA."""

    def __init__(self, *_args, **_options):
        self.at = 0.0

    def record(self, *_args):
        self.at = time.perf_counter()

    def elapsed_time(self, other):
        return (other.at - self.at) * 1e3


def pipeline(shape, device, kind):
    """What the original takes of a diffusers pipeline, made of random weights."""
    from diffusers import AutoencoderTiny, LCMScheduler, UNet2DConditionModel
    from diffusers.image_processor import VaeImageProcessor

    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(shape["unet"]).to(device, kind).eval()
    vae = AutoencoderTiny.from_config(shape["vae"]).to(device, kind).eval()
    if device != "cpu":
        unet = unet.to(memory_format=torch.channels_last)
        vae = vae.to(memory_format=torch.channels_last)
    scheduler = LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    scale = 2 ** (len(shape["vae"]["encoder_block_out_channels"]) - 1)
    embeddings = torch.randn(1, 77, shape["unet"]["cross_attention_dim"], device=device, dtype=kind)
    return SimpleNamespace(
        device=torch.device(device),
        unet=unet,
        vae=vae,
        text_encoder=None,
        scheduler=scheduler,
        vae_scale_factor=scale,
        image_processor=VaeImageProcessor(vae_scale_factor=scale),
        encode_prompt=lambda **_options: (embeddings, embeddings),
    )


def with_added_conditions(unet, shape, device, kind):
    """SDXL's UNet takes more than the original passes on."""
    config = shape["unet"]
    if config.get("addition_embed_type") != "text_time":
        return
    pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
    forward = unet.forward

    def extended(sample, *arguments, **options):
        rows = sample.shape[0]
        options["added_cond_kwargs"] = {
            "text_embeds": torch.zeros(rows, pooled, device=device, dtype=kind),
            "time_ids": torch.zeros(rows, 6, device=device, dtype=kind),
        }
        return forward(sample, *arguments, **options)

    unet.forward = extended


def timed(device, parts, name, call):
    """`call`, with the time of each run kept; only outside the loop that counts frames."""

    def wrapped(*arguments, **options):
        wait(device)
        begin = time.perf_counter()
        result = call(*arguments, **options)
        wait(device)
        parts.setdefault(name, []).append((time.perf_counter() - begin) * 1e3)
        return result

    return wrapped


def wait(device):
    if device != "cpu":
        torch.cuda.synchronize()


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("measured")
    arguments.add_argument("--seconds", type=float, default=10)
    options = arguments.parse_args()
    with open(options.measured) as file:
        ours = json.load(file)
    options.device, options.kind = ours["device"], ours["kind"]
    torch.set_num_threads(ours["threads"])
    torch.set_grad_enabled(False)
    if options.device != "cpu":
        torch.backends.cudnn.benchmark = True
    else:
        torch.cuda.Event = HostEvent
        torch.cuda.synchronize = lambda *_arguments, **_options: None
    from streamdiffusion import StreamDiffusion

    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[options.kind]
    with open(f"{HERE}/shapes/{ours['model']}.json") as file:
        shape = json.load(file)
    width, height = shape["width"], shape["height"]
    pipe = pipeline(shape, options.device, kind)
    with_added_conditions(pipe.unet, shape, options.device, kind)
    indices = [[32], [16, 32], [12, 20, 32], [8, 16, 24, 32]][ours["steps"] - 1]
    stream = StreamDiffusion(pipe, t_index_list=indices, torch_dtype=kind, width=width, height=height, cfg_type="none")
    stream.prepare("a prompt", num_inference_steps=50, guidance_scale=1.0)
    frames = [torch.rand(1, 3, height, width) for _ in range(8)]

    def once(index):
        picture = frames[index % len(frames)].to(options.device, kind)
        return (stream(picture).clamp(0, 1) * 255).to(torch.uint8).cpu()

    for index in range(5):
        once(index)
    wait(options.device)
    begin, count = time.perf_counter(), 0
    while count < 3 or time.perf_counter() - begin < options.seconds:
        once(count)
        count += 1
    wait(options.device)
    fps = count / (time.perf_counter() - begin)

    parts = {}
    stream.encode_image = timed(options.device, parts, "encode_ms", stream.encode_image)
    stream.predict_x0_batch = timed(options.device, parts, "unet_ms", stream.predict_x0_batch)
    stream.decode_image = timed(options.device, parts, "decode_ms", stream.decode_image)
    for index in range(max(3, min(count // 4, 50))):
        once(index)
    medians = {name: statistics.median(values) for name, values in parts.items()}
    threads = torch.get_num_threads()
    print(f"original Python, torch {torch.__version__}, {options.kind}, {threads} threads, {options.seconds:.0f} s:")
    print("| | fps | encode ms | UNet ms | decode ms |\n|---|---|---|---|---|")
    for name, row in (("this crate", ours), ("Python", {"fps": fps, **medians})):
        cells = [f"{row[key]:.2f}" for key in ("fps", "encode_ms", "unet_ms", "decode_ms")]
        print(f"| {name} | {' | '.join(cells)} |")
    print(f"ratio of frames per second: {ours['fps'] / fps:.2f}")


if __name__ == "__main__":
    main()
