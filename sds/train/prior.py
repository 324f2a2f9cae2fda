"""Train the diffusion prior: a stable-audio-tools DiT over the codec's latents.

    python -m sds.train.prior --data runs/corpus --codec runs/codec --out runs/prior --minutes 60

v objective (Salimans & Ho 2022, arXiv 2202.00512): z = alpha x + sigma e with alpha = cos(pi t/2),
sigma = sin(pi t/2); the network says v = alpha e - sigma x. t is stratified over a batch. The
prompt is dropped from one row in eight, for guidance. Windows of 1.5 to 3 s; the duration condition
is the seconds of sound in the window, or (half the time, for short clips) the window itself, so
that "2 s of a kick drum" is a kick drum and then its natural silence.

Resumes from --out (model, average, optimiser, step). The average is what ships.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sds.build import build_model, quiet
from sds.checkpoints import WEIGHTS
from sds.codec import SpectralCodec
from sds.text import dim, pieces, sentence
from sds.train.common import Checkpoint, average_into, cosine
from sds.train.data import RATE, Corpus, class_weights
from sds.train.latents import FRAME, Latents, as_clips, encode_corpus

log = logging.getLogger(__name__)
WINDOWS = (32, 48, 64)  # latent frames
DROP = 0.125


def load_codec(folder: Path, config: dict[str, Any]) -> SpectralCodec:
    """The codec of a run of sds.train.autoencoder."""
    codec = SpectralCodec(**config)
    codec.load_state_dict(load_file(folder / "model.safetensors"))
    codec.eval()
    return codec


class Captions:
    """Raw text features of every caption, computed once: sentence and pieces."""

    def __init__(self, latents: Latents, max_pieces: int) -> None:
        texts = sorted({c for e in latents.entries for c in e.captions} | {""})
        self.row = {text: i for i, text in enumerate(texts)}
        self.x = torch.zeros(len(texts), 1 + max_pieces, dim(), dtype=torch.half)
        for i, text in enumerate(texts):
            self.x[i, 0] = sentence(text).half()
            vectors, _ = pieces(text, max_pieces)
            self.x[i, 1 : 1 + len(vectors)] = vectors.half()

    def __call__(self, texts: list[str]) -> Tensor:
        """[B, 1 + max_pieces, dim], float32."""
        return self.x[[self.row[text] for text in texts]].float()


def batch(
    latents: Latents,
    captions: Captions,
    weights: npt.NDArray[np.float64],
    tokens: int,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Latents [B, D, L], text features and seconds [B]; B L is about `tokens`."""
    frames = int(rng.choice(WINDOWS))
    picks = rng.choice(len(latents.entries), tokens // frames, p=weights)
    z, texts, seconds = [], [], []
    for i in picks:
        entry = latents.entries[i]
        window, sounding = latents.crop(entry, frames, rng)
        z.append(window)
        whole = frames * FRAME / RATE
        seconds.append(whole if rng.random() < 0.5 else min(whole, sounding))
        texts.append(
            "" if rng.random() < DROP else entry.captions[rng.integers(len(entry.captions))]
        )
    return torch.stack(z), captions(texts), torch.tensor(seconds)


def velocity(model: Any, z: Tensor, t: Tensor, text: Tensor, seconds: Tensor) -> Tensor:
    """The network's v for noisy latents z [B, D, L], text features and seconds [B]."""
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


def loss(model: Any, z: Tensor, text: Tensor, seconds: Tensor, g: torch.Generator) -> Tensor:
    """Mean squared error of v over a batch, t stratified on [0, 1]."""
    b = len(z)
    t = (torch.arange(b) + torch.rand(b, generator=g)) / b
    angle = (t * torch.pi / 2)[:, None, None]
    noise = torch.randn(z.shape, generator=g)
    noisy = angle.cos() * z + angle.sin() * noise
    v = angle.cos() * noise - angle.sin() * z
    return ((velocity(model, noisy, t, text, seconds) - v) ** 2).mean()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--codec", type=Path, default=Path("runs/codec"))
    parser.add_argument("--out", type=Path, default=Path("runs/prior"))
    parser.add_argument("--config", type=Path, default=WEIGHTS / "default" / "model_config.json")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--tokens", type=int, default=2048, help="latent frames in a batch")
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = json.loads(args.config.read_text())
    args.out.mkdir(parents=True, exist_ok=True)
    codec = load_codec(args.codec, config["model"]["pretransform"]["config"])
    parts = sorted(path.stem for path in args.data.glob("*.jsonl"))
    for part in parts:
        cache = args.out / f"{part}.latents"
        if not cache.is_file():
            log.info("encoding the part %s", part)
            encode_corpus(Corpus(args.data, frozenset({"prior"}), frozenset({part})), codec, cache)
    latents = Latents([args.out / f"{part}.latents" for part in parts])
    weights = class_weights(as_clips(latents))
    captions = Captions(
        latents, config["model"]["conditioning"]["configs"][0]["config"]["max_pieces"]
    )
    log.info("%d encoded clips, %d captions", len(latents.entries), len(captions.row))

    torch.manual_seed(args.seed)
    with quiet():
        model: Any = build_model(config)
    model.pretransform = None
    mean = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    checkpoint = Checkpoint(args.out)
    step = checkpoint.load(model, optimizer, mean) if checkpoint.exists else 0
    rng = np.random.default_rng(args.seed + step)
    g = torch.Generator().manual_seed(args.seed + step)
    log.info(
        "%.2f M parameters, from step %d", sum(p.numel() for p in model.parameters()) / 1e6, step
    )
    begin, first, total = time.monotonic(), step, 0.0
    while step < args.steps and time.monotonic() - begin < 60 * args.minutes:
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, total=args.steps, warm=300, peak=args.rate)
        error = loss(model, *batch(latents, captions, weights, args.tokens, rng), g)
        optimizer.zero_grad()
        torch.autograd.backward([error])
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        average_into(mean, model, min(args.ema, (step + 1) / (step + 10)))
        total += error.item()
        if step % 100 == 0:
            speed = (step - first) / (time.monotonic() - begin)
            log.info("step %d loss %.4f, %.2f steps/s", step, total / 100, speed)
            total = 0.0
        if checkpoint.due():
            checkpoint.save(step, model, optimizer, mean)
    checkpoint.save(step, model, optimizer, mean)


if __name__ == "__main__":
    main()
