"""Score the separator by prompts on pairs of held-back clips, and choose how sharp it is.

    python -m sds.train.pairs --query runs/query/shipped --sharpen

How sharp it is is chosen on pairs of one half of these clips, and what is printed is of the other
(`sds.datasets.clips.half_of`). Each time PAIRS mixtures at 0 dB of two clips of different classes
that nothing was trained on: a recording with a made sound, and two recordings, in turn. The prompt
is a clip's most exact caption. Beside it stand a median filter that is told the order of its two
outputs, and masks that know the truth.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from sds.datasets.clips import Half
from sds.datasets.evaluation_items import Mixture
from sds.metrics.separation import si_sdr_improvement
from sds.priors.checkpoints import read_tensors
from sds.scoreboard.separate import harmonic_percussive, ideal_mask
from sds.separation.query_network import N, Query, load_query
from sds.signal.audio_files import mono
from sds.signal.spectrogram import istft, stft
from sds.train.data import RATE, Corpus, class_weights
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)
PAIRS, SECONDS, ACTIVE = 40, 5.0, 1e-8  # ACTIVE: the least power of a clip's piece
SHARPNESS = (0.7, 1.0, 1.4, 2.0, 2.8)


def held_back(data: Path, half: Half) -> Corpus:
    """The held-back clips to choose by, or those to report on."""
    return Corpus(data, frozenset({"held"}), half=half)


def pairs(corpus: Corpus) -> list[Mixture]:
    """PAIRS mixtures of clips of a corpus, the same each time.

    Raises `ValueError` where the corpus has no two clips of 2 s of different classes to draw.
    """
    rng = np.random.default_rng(7)
    frames = int(SECONDS * RATE)
    long = [clip for clip in corpus.clips if clip.frames >= 2 * RATE]
    real = [clip for clip in long if clip.part == RECORDINGS]
    made = [clip for clip in long if clip.part != RECORDINGS]
    if not made or len({clip.label for clip in real}) < 2:
        raise ValueError(
            f"clips of 2 s must be recordings of 2 classes and at least 1 made sound, got "
            f"{len(real)} recordings and {len(made)} made sounds"
        )
    chances = {id(pool): class_weights(pool) for pool in (real, made)}
    mixtures: list[Mixture] = []
    while len(mixtures) < PAIRS:
        pools = (real, real) if len(mixtures) % 2 else (real, made)
        two = [pool[rng.choice(len(pool), p=chances[id(pool)])] for pool in pools]
        if two[0].label == two[1].label:
            continue
        sounds = torch.stack([corpus.crop(clip, frames, rng) for clip in two])
        powers = sounds.square().mean(1, keepdim=True)
        if float(powers.min()) < ACTIVE:
            continue
        sounds = 0.1 * sounds / powers.sqrt()
        prompts = tuple(clip.captions[0] for clip in two)
        mixtures.append(
            Mixture(
                f"pair {len(mixtures)}", prompts, sounds.sum(0)[None], tuple(sounds[:, None]), RATE
            )
        )
    return mixtures


def query_stems(query: Query, mixture: Mixture) -> Tensor:
    """Stems [K, C, T] of a mixture under the shares of its prompts; the rest is left out."""
    shares = query.shares(mono(mixture.audio)[None, None], mixture.rate, mixture.prompts)
    return apply_masks(mixture, shares[:-1])


def apply_masks(mixture: Mixture, shares: Tensor) -> Tensor:
    """Stems [K, C, T] of a mixture under masks [K, F, N]."""
    spectrum = stft(mixture.audio[None], N)
    return istft(shares[:, None] * spectrum, N, mixture.audio.shape[-1])


def sharpest(query: Query, mixtures: Sequence[Mixture]) -> float:
    """Choose the one of SHARPNESS whose stems have the highest SI-SDR; training only maximises
    likelihood.
    """
    answers = [query.shares(mono(m.audio)[None, None], m.rate, m.prompts) for m in mixtures]
    means = {}
    for sharpness in SHARPNESS:
        stems = [
            apply_masks(m, (sharpness * x.clamp_min(1e-6).log()).softmax(0)[:-1])
            for m, x in zip(mixtures, answers, strict=True)
        ]
        means[sharpness] = np.mean(
            [improvement(m, x) for m, x in zip(mixtures, stems, strict=True)]
        )
    log.info("%s", ", ".join(f"sharpness {s}: {mean:.2f} dB" for s, mean in means.items()))
    return max(means, key=means.__getitem__)


def improvement(mixture: Mixture, stems: Tensor) -> float:
    """Mean SI-SDR improvement of stems [K, C, T] in dB."""
    truth = torch.stack(mixture.sources).flatten(1)
    whole = mixture.audio.flatten()[None]
    return float(si_sdr_improvement(stems.flatten(1), truth, whole).nanmean())


def report(query: Query, mixtures: Sequence[Mixture]) -> dict[str, list[float]]:
    """SI-SDR improvement of each mixture, by method."""
    return {
        "harmonic/percussive": [improvement(m, harmonic_percussive(m, N, 0)) for m in mixtures],
        "ideal mask": [improvement(m, ideal_mask(m, N, 0)) for m in mixtures],
        "query": [improvement(m, query_stems(query, m)) for m in mixtures],
    }


def main() -> None:
    """Log the mean and the spread of each method; with --sharpen, put the sharpness in the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--query", type=Path, default=Path("runs/query/shipped"))
    parser.add_argument("--sharpen", action="store_true", help="first choose how sharp it is")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    query = load_query(args.query)
    if query is None:
        parser.error(f"{args.query} has no weights yet")
    if args.sharpen:
        query.net.sharpness *= sharpest(query, pairs(held_back(args.data, "choose")))
        path = args.query / "model.safetensors"
        save_file(read_tensors(path) | {"sharpness": query.net.sharpness.half()}, path)
    for name, values in report(query, pairs(held_back(args.data, "report"))).items():
        log.info("%-20s %5.2f +- %.2f dB SI-SDRi", name, np.mean(values), np.std(values))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
