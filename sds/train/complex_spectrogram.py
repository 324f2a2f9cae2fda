"""Train the complex-spectrogram prior: denoising in the EDM framework, told by the default prior.

    python -m sds.train.complex_spectrogram --out runs/edm --minutes 60
    python -m sds.train.complex_spectrogram --out runs/edm --device cuda --batch 256

Karras et al. 2022 (arXiv 2206.00364), table 1: log sigma is normal, the loss of D is weighted by
(sigma^2 + sd^2) / (sigma sd)^2; bins weigh as the ear spaces them. The envelope that the network
is told is D of the noisy guide by the default prior, which stays as it is: text comes in there.
The codec says which levels that envelope means; how far they are from right is learned by the
error of D, and by the likelihood of what is there, to which quiet bins matter as much.

Windows are 0.7 to 1.5 s; speed, level and sign vary. Resumes from --out; what ships is
`best.safetensors`, the moving average where its loss on held-back clips was least.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from presets.reading import read_json
from sds.priors.base import Cond
from sds.priors.checkpoints import WEIGHTS, find, read_tensors
from sds.priors.complex_network import ComplexSpectrogramNetwork
from sds.priors.complex_spectrogram import GUIDE, build_network, expected_levels, to_parts
from sds.priors.stable_audio import StableAudioPrior, load_stable_audio
from sds.priors.text_embedding import features
from sds.signal.compressed_stft import BINS, HOP, compress, stft
from sds.train.common import Checkpoint
from sds.train.data import RATE, Clip, Corpus, balanced_weights
from sds.train.latents import DROP, GAIN_DB, RECORDINGS, SPEED
from sds.train.loop import Run, add_options

log = logging.getLogger(__name__)
WINDOWS = (64, 64, 64, 128)  # frames
MEAN, DEVIATION = -0.9, 1.5  # of log sigma
PIECES = 12  # of a text, as the guide reads it
SD = 0.5  # deviation of the data, over all
QUIET = 1e-4  # power that counts as silence in the likelihood
LIKELIHOOD = 0.1  # its weight beside the error of D: quiet bins are to be known, too
EAR_HZ = 700.0  # bins weigh 1 / (f + EAR_HZ), as mel bands are spaced
LEVELS = (0.05, 0.2, 0.8, 3.0, 12.0)  # noise levels of the held-back loss
CHECKED = 48  # held-back windows


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of sound [B, T], text features [B, 1 + pieces, dim], seconds of sound [B]."""

    audio: Tensor
    text: Tensor
    seconds: Tensor


class Windows:
    """Windows of a corpus, drawn at random: classes even, recordings `real` times as often."""

    def __init__(self, corpus: Corpus, *, real: float = 1.0) -> None:
        self.corpus = corpus
        clips = corpus.clips
        weights = balanced_weights([c.label for c in clips], [c.frames / RATE for c in clips])
        weights = weights * [real if c.part == RECORDINGS else 1.0 for c in clips]
        self.cumulative = np.cumsum(weights / weights.sum())
        self._text: dict[str, Tensor] = {}

    def batch(
        self, count: int, frames: int, rng: np.random.Generator, *, plain: bool = False
    ) -> Batch:
        """Draw `count` windows of `frames` frames; `plain` leaves out dropping and variation."""
        audio, texts, seconds = [], [], []
        for at in np.searchsorted(self.cumulative, rng.random(count)):
            clip = self.corpus.clips[min(int(at), len(self.corpus.clips) - 1)]
            sound, sounding = self._window(clip, frames * HOP, rng, plain=plain)
            audio.append(sound)
            dropped = not plain and rng.random() < DROP
            texts.append(self._features("" if dropped else str(rng.choice(clip.captions))))
            seconds.append(frames * HOP / RATE if rng.random() < 0.5 else sounding)
        return Batch(torch.stack(audio), torch.stack(texts), torch.tensor(seconds))

    def _window(
        self, clip: Clip, samples: int, rng: np.random.Generator, *, plain: bool
    ) -> tuple[Tensor, float]:
        """One window [samples], and the seconds of sound in it."""
        speed = 1.0 if plain else SPEED ** rng.uniform(-1, 1)
        read = math.ceil(samples * speed) + 1
        slack = clip.frames - read
        start = int(rng.integers(0, slack + 1)) if slack > 0 else 0
        sound = self.corpus.audio(clip, start, read)
        sounding = min(samples, (clip.frames - start) / speed) / RATE
        if plain:
            return sound[:samples], sounding
        at = torch.arange(samples) * speed
        low = at.long()
        sound = sound[low].lerp(sound[low + 1], (at - low).float())
        gain = 10 ** (rng.normal() * GAIN_DB / 20) * rng.choice((-1.0, 1.0))
        return sound * gain, sounding

    def _features(self, text: str) -> Tensor:
        if text not in self._text:
            self._text[text] = features(text, PIECES)
        return self._text[text]


def conditions(guide: StableAudioPrior, text: Tensor, seconds: Tensor) -> Cond:
    """What the guide is told of text features [B, 1 + pieces, dim] and seconds [B], as its
    conditioners tell it: named tensors [B, ...].
    """
    parts = guide.conditioner.conditioners
    prompt, lone = parts["prompt"].proj_out(text), parts["sentence"].proj_out(text[:, :1])
    duration = parts["seconds_total"](seconds.tolist(), text.device)[0]
    return {
        "cross_attn_cond": torch.cat([prompt, duration], dim=1),
        "global_cond": torch.cat([lone, duration], dim=-1)[:, 0],
    }


def loss(
    net: ComplexSpectrogramNetwork,
    guide: StableAudioPrior,
    batch: Batch,
    sigma: Tensor,
    g: torch.Generator,
) -> Tensor:
    """Weighted squared error of D over a batch at noise levels sigma [B], and the negative log
    likelihood of its spectrogram under the variances that D takes: [2].
    """
    audio, wide = batch.audio.to(sigma.device), sigma[:, None, None]
    with torch.no_grad():
        c = compress(stft(audio), net.exponent) / net.scale[:, None]
        z = guide.encode(audio[:, None])
        noise = torch.randn(z.shape, generator=g, device=z.device)
        cond = conditions(guide, batch.text.to(z.device), batch.seconds.to(z.device))
        envelope = guide.denoise(z + wide / GUIDE * noise, sigma / GUIDE, cond)
        levels = expected_levels(guide, envelope)
    x0 = to_parts(c)
    noise = torch.randn(x0.shape, generator=g, device=x0.device)
    d, log_variance = net(x0 + wide * noise, sigma, envelope, levels)
    hertz = torch.arange(BINS, device=x0.device) * (RATE / 2 / BINS)
    ear = 1 / (hertz + EAR_HZ)
    squared = (d - x0).square().mean(2) * (ear / ear.mean()).repeat(2)
    weight = 1 / sigma.square() + 1 / SD**2
    power = c.abs().square() / 2 + QUIET
    variance = log_variance.exp() + QUIET
    likelihood = (power / variance + variance.log()) / 2
    return torch.stack([(squared.mean(1) * weight).mean(), likelihood.mean()])


@torch.no_grad()
def held_back_loss(
    net: ComplexSpectrogramNetwork, guide: StableAudioPrior, held: Windows, device: str
) -> list[float]:
    """The loss at each of `LEVELS`, on the same held-back windows and noise each time."""
    g, rng = torch.Generator(device).manual_seed(0), np.random.default_rng(0)
    rows = []
    for _ in range(CHECKED // 16):
        batch = held.batch(16, 96, rng, plain=True)
        levels = (torch.full((16,), level, device=device) for level in LEVELS)
        rows.append([float(loss(net, guide, batch, sigma, g)[0]) for sigma in levels])
    return torch.tensor(rows).mean(0).tolist()


def measure_scale(windows: Windows, exponent: float, count: int = 600) -> Tensor:
    """The scale [512] of each bin that makes windows have deviation SD in it, a component; of bins
    where there is next to nothing, that of a tenth of the loudest.
    """
    rng = np.random.default_rng(0)
    audio = windows.batch(count, 128, rng, plain=True).audio
    power = torch.stack(
        [compress(stft(x[None]), exponent).abs().square().mean((0, 2)) for x in audio]
    )
    deviation = (power.mean(0) / 2).sqrt()
    return deviation.clamp_min(0.1 * float(deviation.max())) / SD


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=Path("runs/edm"))
    parser.add_argument("--config", type=Path, default=WEIGHTS / "edm" / "model_config.json")
    parser.add_argument("--device", default="cpu")
    add_options(parser, rate=1e-3, ema=0.998, check=200, steps=4000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--real", type=float, default=3.0, help="how often recordings are drawn")
    parser.add_argument("--begin", type=Path, help="weights of another run to begin with")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train, with a checkpoint every three minutes."""
    args = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = read_json(args.config)
    windows = Windows(Corpus(args.data, frozenset({"prior"})), real=args.real)
    held = Windows(Corpus(args.data, frozenset({"held"}), half="choose"))
    torch.manual_seed(args.seed)
    net, guide = build_network(config), load_stable_audio(find("default"), args.device)
    if not Checkpoint(args.out).exists:
        net.scale.copy_(measure_scale(windows, net.exponent))
        if args.begin:
            begin_with(net, read_tensors(args.begin))
    train(args, net.to(args.device), guide, windows, held)


def begin_with(net: ComplexSpectrogramNetwork, tensors: dict[str, Tensor]) -> None:
    """Take over tensors [...] by name as far as they fit."""
    own = net.state_dict()
    fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
    net.load_state_dict(own | fitting)


def train(
    args: argparse.Namespace,
    net: ComplexSpectrogramNetwork,
    guide: StableAudioPrior,
    windows: Windows,
    held: Windows,
) -> None:
    """Train until --minutes or --steps have passed, from the checkpoint in `args.out` on."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.requires_grad_(True)
    run = Run(net, args)
    g = torch.Generator(args.device).manual_seed(args.seed + run.step)
    rng, sizes = np.random.default_rng(args.seed + run.step), random.Random(args.seed + run.step)
    size = sum(p.numel() for p in net.parameters()) / 1e6
    log.info("%d clips, %d held back, %.2f M parameters, step %d", len(windows.corpus.clips),
             len(held.corpus.clips), size, run.step)  # fmt: skip

    def lowered(step: int) -> tuple[Tensor, Sequence[Tensor]]:
        batch = windows.batch(args.batch, sizes.choice(WINDOWS), rng)
        error, likelihood = loss(net, guide, batch, noise_levels(args.batch, g), g)
        return error + LIKELIHOOD * likelihood, [error]

    def check(mean: ComplexSpectrogramNetwork) -> tuple[float, str]:
        each = held_back_loss(mean, guide, held, args.device)
        return sum(each) / len(each), f"({' '.join(f'{x:.3f}' for x in each)})"

    run.until_done(lowered, check)


def noise_levels(count: int, g: torch.Generator) -> Tensor:
    """Noise levels [B], their logarithms normal, stratified over the batch."""
    u = (
        torch.arange(count, device=g.device) + torch.rand(count, generator=g, device=g.device)
    ) / count
    log_sigma: Tensor = MEAN + DEVIATION * torch.special.ndtri(u.clamp(1e-4, 1 - 1e-4))
    return log_sigma.exp()


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
