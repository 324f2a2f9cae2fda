"""Train the first guess of the separator (`sds.separation.single_prompt_network`) on mixtures.

    python -m sds.train.single_prompt --data runs/corpus --out runs/single --minutes 36

A mixture is 3 s of two or three clips of different classes of the split `prior`, each within 6 dB
of the first. Its true shares are those of the clips' powers in each mel cell. Prompts are captions
of the clips; where there are two clips, a third prompt names a sound that is not there. Two cross
entropies: of each prompt's share alone, and of the shares among those that are there. A cell counts
by the magnitudes of the sources in it, each source as much as another.

Resumes from --out. What ships is the moving average, in half precision, in --out/shipped.
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.quantised import quantise
from sds.priors.spectral_codec import HOP, stft, to_db
from sds.separation.single_prompt_network import (
    FILE,
    FRAMES,
    PEAK,
    SinglePromptNet,
    build,
    text_features,
)
from sds.train.common import Checkpoint, average_into, cosine, write_weights
from sds.train.data import RATE, Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)
PROMPTS = 3  # asked of each mixture
THREE = 0.3  # share of mixtures of three clips
LEVEL_DB = 6.0  # how much louder or fainter than the first clip the others may be
GAIN_DB = (-12.0, 3.0)  # of the mixture, from the level it is heard at
SPEED = (0.85, 1.18)
AGAIN = 0.5  # share of the clips below 1.2 s that come again and again
CAPTIONS = 4  # of a clip, at most


@dataclass(frozen=True, slots=True)
class Batch:
    """Mixtures as the network is given them, and its targets.

    - `levels`: [B, M, L] in scaled dB.
    - `weight`: [B, M, L] of each cell; each mixture's sum to 1.
    - `text`: [B, K, 1 + PIECES, D] features of the prompts.
    - `shares`: [B, K, M, L], the true ones, 0..1.
    - `there`: [B, K], whether the prompt's sound is in the mixture.
    """

    levels: Tensor
    weight: Tensor
    text: Tensor
    shares: Tensor
    there: Tensor


class Mixer:
    """Draws clips of a corpus and mixes them."""

    def __init__(self, corpus: Corpus, mel: Tensor, *, real: float) -> None:
        """`real` is how many times as often as by its class a recording is drawn."""
        self.corpus, self.mel = corpus, mel
        weights = class_weights(corpus.clips)
        weights *= [real if clip.part == RECORDINGS else 1.0 for clip in corpus.clips]
        self.weights = weights / weights.sum()
        texts = sorted({c for clip in corpus.clips for c in clip.captions})
        self.place = {text: row for row, text in enumerate(texts)}
        self.text = torch.cat(
            [text_features(texts[i : i + 512]).half() for i in range(0, len(texts), 512)]
        )

    def clips(self, rng: np.random.Generator, count: int) -> list[Clip]:
        """`count` clips of different classes."""
        chosen: list[Clip] = []
        while len(chosen) < count:
            clip = self.corpus.clips[rng.choice(len(self.weights), p=self.weights)]
            if all(clip.label != other.label for other in chosen):
                chosen.append(clip)
        return chosen

    def sound(self, clip: Clip, frames: int, rng: np.random.Generator) -> Tensor:
        """Draw [frames] of a clip at some speed and unit power; a short one anywhere,
        or repeated.
        """
        speed = float(rng.uniform(*SPEED))
        size = int(frames * speed)
        audio = self.corpus.crop(clip, min(size, clip.frames), rng)
        if len(audio) < min(size, 1.2 * RATE) and rng.random() < AGAIN:
            gap = int(rng.uniform(0.05, 0.6) * RATE)
            audio = F.pad(audio, (0, gap)).repeat(-(-size // (len(audio) + gap)))[:size]
        if len(audio) < size:
            before = int(rng.integers(0, size - len(audio) + 1))
            audio = F.pad(audio, (before, size - len(audio) - before))
        audio = F.interpolate(audio[None, None], size=frames, mode="linear")[0, 0]
        return audio / audio.square().mean().sqrt().clamp_min(1e-4)

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw `size` mixtures."""
        rows = [self.row(rng) for _ in range(size)]
        levels, weight, text, shares, there = (
            torch.stack(part) for part in zip(*rows, strict=True)
        )
        return Batch(levels, weight, text, shares, there)

    def row(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Draw one mixture, as the fields of a `Batch` without their first axis: [M, L], [M, L],
        [K, 1 + PIECES, D], [K, M, L], [K].
        """
        count = 3 if rng.random() < THREE else 2
        clips = self.clips(rng, PROMPTS)
        sounds = torch.stack([self.sound(clip, FRAMES * HOP, rng) for clip in clips[:count]])
        decibels = torch.from_numpy(rng.uniform(-LEVEL_DB, LEVEL_DB, count)).float()
        sounds = sounds * 10 ** (decibels[:, None] / 20)
        gain = PEAK * 10 ** (rng.uniform(*GAIN_DB) / 20) / sounds.sum(0).abs().max()
        spectra = stft(sounds * gain)  # [count, 1025, FRAMES]
        mixture = self.mel @ spectra.sum(0).abs()
        powers = self.mel @ spectra.abs().square()
        shares = torch.zeros(PROMPTS, *mixture.shape)
        shares[:count] = powers / powers.sum(0).clamp_min(1e-12)
        captions = [clip.captions[rng.integers(len(clip.captions))] for clip in clips]
        text = self.text[[self.place[caption] for caption in captions]].float()
        weight = powers.sqrt()
        weight = (weight / weight.sum((1, 2), keepdim=True).clamp_min(1e-9)).mean(0)
        there = torch.arange(PROMPTS) < count
        return to_db(mixture), weight, text, shares, there


def loss(net: SinglePromptNet, batch: Batch, *, bf16: bool) -> Tensor:
    """The sum [] of the two cross entropies of the module's text, over a batch."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = net(batch.levels, batch.text)
    logits = logits.float()
    weight = batch.weight[:, None]
    alone = F.binary_cross_entropy_with_logits(logits, batch.shares, reduction="none")
    others = logits.masked_fill(~batch.there[:, :, None, None], -1e4)
    among = -batch.shares * net.among(others)
    return (weight * (alone + among)).sum() / len(weight)


@torch.no_grad()
def held_back_loss(net: SinglePromptNet, mixer: Mixer, *, bf16: bool) -> float:
    """The loss on the same mixtures of held-back clips each time."""
    rng = np.random.default_rng(0)
    losses = [loss(net, mixer.batch(8, rng), bf16=bf16) for _ in range(12)]
    return float(torch.stack(losses).mean())


def keep(folder: Path, mean: SinglePromptNet) -> None:
    """Write the network to ship: its changes merged, matrices in eight bits."""
    merged = copy.deepcopy(mean)
    merged.merge()
    write_weights(quantise(merged.kept_parameters()), folder / FILE)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/single"))
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--steps", type=int, default=100_000, help="length of the rate's curve")
    parser.add_argument("--batch", type=int, default=8, help="mixtures a step")
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--real", type=float, default=3.0, help="how often recordings are drawn")
    parser.add_argument("--check", type=int, default=250, help="steps between two held-back losses")
    parser.add_argument("--no-bf16", action="store_true", help="for processors without bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    bf16 = not args.no_bf16
    torch.manual_seed(args.seed)
    net = build(rank=args.rank)
    mean = copy.deepcopy(net)
    optimizer = torch.optim.AdamW(
        net.trainable_parameters().values(), lr=args.rate, betas=(0.9, 0.99)
    )
    checkpoint = Checkpoint(args.out)
    step = checkpoint.load(net, optimizer, mean) if checkpoint.exists else 0
    mixer = Mixer(Corpus(args.data, frozenset({"prior"})), net.codec.mel, real=args.real)
    held = Mixer(
        Corpus(args.data, frozenset({"held"}), half="choose"), net.codec.mel, real=args.real
    )
    rng = np.random.default_rng(args.seed + step)
    size = sum(p.numel() for p in net.trainable_parameters().values()) / 1e6
    log.info("%d clips, %.2f M parameters learned, step %d", len(mixer.weights), size, step)
    begin, first, total = time.monotonic(), step, 0.0
    while step < args.steps and time.monotonic() - begin < 60 * args.minutes:
        spent = (time.monotonic() - begin) / (60 * args.minutes)
        for group in optimizer.param_groups:  # the curve ends with whichever ends first
            along = max(step, round(spent * args.steps))
            group["lr"] = cosine(along, total=args.steps, warm=0, peak=args.rate)
            group["lr"] *= min(1.0, (step + 1) / 100)
        error = loss(net, mixer.batch(args.batch, rng), bf16=bf16)
        optimizer.zero_grad()
        torch.autograd.backward([error])
        nn.utils.clip_grad_norm_(net.trainable_parameters().values(), 1.0)
        optimizer.step()
        step += 1
        total += error.item()
        average_into(mean, net, min(args.ema, (step + 1) / (step + 10)))
        if step % args.check == 0:
            log.info(
                "step %d loss %.4f, held back %.4f, %.2f steps/s",
                step, total / args.check, held_back_loss(mean, held, bf16=bf16),
                (step - first) / (time.monotonic() - begin),
            )  # fmt: skip
            total = 0.0
        if checkpoint.due():
            checkpoint.save(step, net, optimizer, mean)
            keep(args.out / "shipped", mean)
    checkpoint.save(step, net, optimizer, mean)
    keep(args.out / "shipped", mean)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
