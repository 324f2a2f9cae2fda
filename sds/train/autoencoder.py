"""Train the spectral codec of sds/priors/spectral_codec.py on the corpus.

    python -m sds.train.autoencoder --data runs/corpus --out runs/codec --minutes 15

The linear maps are the principal components of the corpus and are not trained further: the latents
never move, so the prior can be trained beside the decoder. Resumes from --out; --steps is the
length of the learning-rate curve, whichever of --minutes and --steps comes first ends the run.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sds.priors.spectral_codec import (
    GROUP,
    HOP,
    SCALE_DB,
    SpectralCodec,
    from_db,
    principal,
    stft,
    to_db,
)
from sds.train.common import Checkpoint, cosine
from sds.train.data import Corpus, class_weights

log = logging.getLogger(__name__)
FRAMES = 32  # latent frames in a training crop, 1.5 s


def batch(
    corpus: Corpus, weights: npt.NDArray[np.float64], size: int, rng: np.random.Generator
) -> Tensor:
    """Draw random crops [size, T] of clips at random gain."""
    picks = rng.choice(len(corpus.clips), size, p=weights)
    audio = torch.stack([corpus.crop(corpus.clips[i], FRAMES * HOP * GROUP, rng) for i in picks])
    gain = 10.0 ** (torch.from_numpy(rng.uniform(-15, 3, size)).float() / 20.0)
    return audio * gain[:, None]


def losses(codec: SpectralCodec, audio: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Mean |dB| errors of the codec on audio [B, T]: over bins (mel-weighted) and over mels, both
    []; `noise` is the largest deviation added to latents.
    """
    magnitude = stft(audio).abs()
    bins, mel = to_db(magnitude), to_db(codec.mel @ magnitude)
    z = codec.encode_levels(mel)
    level = noise * torch.rand(len(z), 1, 1)
    bins_hat = codec.decode_levels(z + level * torch.randn_like(z))[0]
    mel_hat = to_db(codec.mel @ from_db(bins_hat))
    weight = codec.mel.sum(0)
    weight = (weight / weight.mean()).clamp(0.05, 6.0)[:, None]
    error = ((bins_hat - bins).abs() * weight).mean() / weight.mean()
    return error * SCALE_DB, (mel_hat - mel).abs().mean() * SCALE_DB


@torch.no_grad()
def report(codec: SpectralCodec, check: Tensor, step: int, speed: float) -> None:
    """Log the losses on held-back audio [B, T] after a step."""
    bins, mel = losses(codec, check, 0.0)
    log.info(
        "step %d held-back: bins %.3f dB, mel %.3f dB; latent std %.3f; %.1f steps/s",
        step, bins, mel, codec.encode(check[:, None]).std(), speed,
    )  # fmt: skip


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/codec"))
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--noise", type=float, default=0.2)
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    corpus = Corpus(args.data, frozenset({"prior", "evaluation_scorer"}))
    held = Corpus(args.data, frozenset({"held"}), half="choose")
    weights, held_weights = class_weights(corpus.clips), class_weights(held.clips)
    codec = SpectralCodec(latent=args.latent)
    for layer in (codec.analysis, codec.synthesis):
        layer.requires_grad_(False)
    trained = [p for p in codec.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.rate, weight_decay=1e-3)
    checkpoint = Checkpoint(args.out)
    step = 0
    if checkpoint.exists:
        step = checkpoint.load(codec, optimizer)
    else:
        with torch.no_grad():
            levels = torch.cat([codec.levels(batch(corpus, weights, 16, rng)) for _ in range(90)])
        log.info("components explain %.4f of the variance", principal(codec, levels))
        checkpoint.save(step, codec, optimizer)
    check = batch(held, held_weights, 64, np.random.default_rng(1))
    begin, stop, first = time.monotonic(), step, step
    while step < args.steps and time.monotonic() - begin < 60 * args.minutes:
        for group in optimizer.param_groups:
            group["lr"] = cosine(step, total=args.steps, warm=100, peak=args.rate)
        bins, mel = losses(codec, batch(corpus, weights, args.batch, rng), args.noise)
        optimizer.zero_grad()
        torch.autograd.backward([bins + mel])
        torch.nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()
        step += 1
        if step % 250 == 0 or step == first + 1:
            report(codec, check, step, (step - first) / (time.monotonic() - begin))
        if checkpoint.due():
            checkpoint.save(step, codec, optimizer)
            stop = step
    if stop != step:
        checkpoint.save(step, codec, optimizer)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
