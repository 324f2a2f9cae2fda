"""Train the diffusion prior: a stable-audio-tools DiT over the codec's latents.

    python -m sds.train.prior --data runs/corpus --codec runs/codec --out runs/prior --encode-only
    python -m sds.train.prior --codec runs/codec --out runs/prior --minutes 60
    python -m sds.train.prior --codec runs/codec --out runs/prior --device cuda --batch 512

v objective (Salimans & Ho 2022, arXiv 2202.00512): z = alpha x + sigma e with alpha = cos(pi t/2),
sigma = sin(pi t/2); the network says v = alpha e - sigma x. t is stratified over a batch. Windows
are 0.7 to 3 s (`sds.train.latents` says what is told of their duration and what varies).

Resumes from --out (model, average, optimiser, step). What ships is `best.safetensors`: the moving
average where its loss on held-back clips was least.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from presets.reading import read_json
from sds.priors.checkpoints import WEIGHTS, read_tensors
from sds.priors.quiet_import import quiet
from sds.priors.spectral_codec import SpectralCodec
from sds.priors.stable_audio_modules import build_model
from sds.train.common import CODEC
from sds.train.data import Corpus
from sds.train.latents import Batch, Latents, encode_corpus
from sds.train.loop import Run, add_options

log = logging.getLogger(__name__)
WINDOWS = (16, 32, 48, 64)  # latent frames
WARM = 300  # steps
HELD = "held-"  # prefix of the files of held-back clips


def load_codec(folder: Path, config: dict[str, Any]) -> SpectralCodec:
    """The codec of a run of sds.train.autoencoder."""
    codec = SpectralCodec(**config)
    codec.load_state_dict(read_tensors(folder / "model.safetensors"))
    codec.eval()
    return codec


def encode(data: Path, out: Path, codec: SpectralCodec) -> None:
    """Latents of every part of the corpus in `out`, where they are not yet there."""
    for part in sorted(path.stem for path in data.glob("*.jsonl")):
        for split, prefix in (("prior", ""), ("held", HELD)):
            path = out / f"{prefix}{part}.latents"
            if not path.is_file():
                log.info("encoding %s", path.name)
                corpus = Corpus(data, frozenset({split}), frozenset({part}))
                encode_corpus(corpus, codec, path)


def velocity(model: Any, z: Tensor, t: Tensor, text: Tensor, seconds: Tensor) -> Tensor:
    """The network's v [B, D, L] for noisy latents z [B, D, L] at t [B], text features [B, 1 +
    pieces, dim] and seconds [B].
    """
    parts = model.conditioner.conditioners
    prompt, lone = parts["prompt"].proj_out(text), parts["sentence"].proj_out(text[:, :1])
    duration = parts["seconds_total"](seconds.tolist(), z.device)[0]
    v: Tensor = model.model.model(
        z,
        t,
        use_checkpointing=False,
        cross_attn_cond=torch.cat([prompt, duration], dim=1),
        global_embed=torch.cat([lone, duration], dim=-1)[:, 0],
    )
    return v


def loss(model: Any, batch: Batch, g: torch.Generator) -> Tensor:
    """Mean squared error [] of v over a batch, t stratified on 0..1."""
    z, b = batch.z, len(batch.z)
    t = (torch.arange(b, device=z.device) + torch.rand(b, generator=g, device=z.device)) / b
    angle = (t * torch.pi / 2)[:, None, None]
    noise = torch.randn(z.shape, generator=g, device=z.device)
    noisy = angle.cos() * z + angle.sin() * noise
    v = angle.cos() * noise - angle.sin() * z
    bf16 = z.device.type == "cuda"
    with torch.autocast(z.device.type, torch.bfloat16, enabled=bf16):
        v_hat = velocity(model, noisy, t, batch.text, batch.seconds)
    return ((v_hat.float() - v) ** 2).mean()


@torch.no_grad()
def held_back_loss(model: Any, held: Latents, codec: SpectralCodec) -> float:
    """The loss on the same windows of held-back clips, at the same t and noise, each time."""
    g = torch.Generator(held.z.device).manual_seed(0)
    losses = [loss(model, held.batch(128, 48, codec, g, plain=True), g) for _ in range(6)]
    return float(torch.stack(losses).mean())


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="corpus to encode first")
    parser.add_argument("--codec", type=Path, default=Path("runs/codec"))
    parser.add_argument("--out", type=Path, default=Path("runs/prior"))
    parser.add_argument("--config", type=Path, default=WEIGHTS / "default" / "model_config.json")
    parser.add_argument("--encode-only", action="store_true")
    parser.add_argument("--device", default="cpu")
    add_options(parser, rate=1e-3, ema=0.999, check=500, steps=6000, warm=WARM)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--real", type=float, default=3.0, help="how often recordings are drawn")
    parser.add_argument(
        "--favour", nargs="*", default=[], metavar="CLASS=TIMES", help="classes to draw more often"
    )
    parser.add_argument(
        "--thin", type=float, default=0.0, help="share of captions with words left out"
    )
    parser.add_argument(
        "--begin", type=Path, help="weights to begin with: a best.safetensors, a model"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = read_json(args.config)
    codec = load_codec(args.codec, config["model"]["pretransform"]["config"])
    args.out.mkdir(parents=True, exist_ok=True)
    if args.data:
        encode(args.data, args.out, codec)
    if args.encode_only:
        return
    max_pieces = config["model"]["conditioning"]["configs"][0]["config"]["max_pieces"]
    latents, held = (load_latents(args, max_pieces, back=back) for back in (False, True))
    codec.requires_grad_(False).to(args.device)
    torch.manual_seed(args.seed)
    train(args, begin_model(args, config), latents, held, codec)


def parse_favour(given: Sequence[str]) -> dict[str, float]:
    """Parse --favour.

    >>> parse_favour(["hand drum=3", "wood=2"])
    {'hand drum': 3.0, 'wood': 2.0}
    """
    split = (text.rpartition("=") for text in given)
    return {label: float(times) for label, _, times in split}


def load_latents(args: argparse.Namespace, max_pieces: int, *, back: bool) -> Latents:
    """The latents in `args.out` to train on, or (`back`) those of held-back clips."""
    files = sorted(args.out.glob("*.latents"))
    return Latents(
        [path for path in files if path.name.startswith(HELD) == back],
        max_pieces=max_pieces,
        device=args.device,
        real=1.0 if back else args.real,
        favour={} if back else parse_favour(args.favour),
        thinned=0.0 if back else args.thin,
        half="choose" if back else None,  # what ships is chosen by it
    )


def begin_model(args: argparse.Namespace, config: dict[str, Any]) -> Any:
    """The model of a model_config.json without its codec, with the weights that --begin names."""
    with quiet():
        model: Any = build_model(config)
    model.pretransform = None
    if args.begin:
        begun = read_tensors(args.begin).items()
        model.load_state_dict({k: v for k, v in begun if not k.startswith(CODEC)})
    return model.to(args.device)


def train(
    args: argparse.Namespace, model: Any, latents: Latents, held: Latents, codec: SpectralCodec
) -> None:
    """Train until --minutes or --steps have passed, from the checkpoint in `args.out` on."""
    run = Run(model, args, weight_decay=0.02)
    g = torch.Generator(args.device).manual_seed(args.seed + run.step)
    windows = random.Random(args.seed + run.step)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    log.info(
        "%d clips, %d held back; %.2f M parameters, step %d",
        len(latents), len(held), size, run.step,
    )  # fmt: skip

    def lowered(step: int) -> tuple[Tensor, Sequence[Tensor]]:
        error = loss(model, latents.batch(args.batch, windows.choice(WINDOWS), codec, g), g)
        return error, [error]

    run.until_done(lowered, lambda mean: (held_back_loss(mean, held, codec), ""))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
