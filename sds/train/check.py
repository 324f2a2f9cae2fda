"""Check what the shipped prior has learned: the evaluation scorer names what it generates.

    python -m sds.train.check --per-class 4 --guidance 1 4 7

Generates for 20 class prompts and lets the evaluation scorer name each clip among the 20; prints
top-1 for each guidance, and for held-back real recordings (as they are, and after encode and
decode) where a corpus is at hand. Chance is 5 %.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import torch
from torch import Tensor

from sds.priors.base import Prior
from sds.priors.sampling import generate
from sds.priors.stable_audio import load_prior
from sds.similarity.two_tower import RATE, WINDOW, TwoTowerScorer, load_scorer
from sds.train.data import Corpus

log = logging.getLogger(__name__)
CLASSES = (
    "kick", "snare", "hi-hat", "cymbal", "saxophone", "piano", "guitar", "bass", "flute", "bell",
    "sea waves", "rain", "wind", "traffic", "clock", "glass", "metal", "wood", "hand drum", "fire",
)  # fmt: skip


def confusion(
    evaluation_scorer: TwoTowerScorer, audio: Tensor, truth: list[str], names: tuple[str, ...]
) -> float:
    """Top-1, 0..1, of audio [B, 1, T] against `truth`, among `names`; logs what was
    taken for what.
    """
    guess = [names[i] for i in evaluation_scorer.similarity(audio, RATE, names).argmax(1).tolist()]
    for name in dict.fromkeys(truth):
        guesses = [g for g, t in zip(guess, truth, strict=True) if t == name]
        log.debug("%s: %s", name, ", ".join(guesses))
    return float(sum(g == t for g, t in zip(guess, truth, strict=True)) / len(truth))


def real(
    folder: Path, names: tuple[str, ...], prior: Prior, evaluation_scorer: TwoTowerScorer
) -> None:
    """Log the top-1 of the evaluation scorer on held-back recordings of the classes, before and
    after the codec.
    """
    held = Corpus(folder, frozenset({"held"}), half="report")
    picks = {n: [c for c in held.clips if c.label == n][:6] for n in names}
    clips = [c for some in picks.values() for c in some]
    frames = int(WINDOW * RATE)
    audio = torch.stack([held.audio(c, 0, frames) for c in clips])[:, None]
    truth = [c.label for c in clips]
    with torch.no_grad():
        through = torch.cat([prior.decode(prior.encode(a[None])) for a in audio])
    log.info(
        "real, held back (%d clips of %d classes): top-1 %.3f, after encode and decode %.3f",
        len(clips),
        sum(bool(some) for some in picks.values()),
        confusion(evaluation_scorer, audio, truth, names),
        confusion(evaluation_scorer, through, truth, names),
    )


def main() -> None:
    """Generate, let the evaluation scorer name the clips, log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--model", default="default")
    parser.add_argument("--per-class", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 4.0, 7.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.DEBUG if args.verbose else logging.INFO)
    prior, evaluation_scorer = load_prior(args.model), load_scorer()
    if args.data.is_dir():
        real(args.data, CLASSES, prior, evaluation_scorer)
    for scale in args.guidance:
        begin = time.monotonic()
        truth = [name for name in CLASSES for _ in range(args.per_class)]
        generator = torch.Generator().manual_seed(args.seed)
        audio = torch.cat(
            [
                generate(
                    prior,
                    [name] * args.per_class,
                    args.seconds,
                    steps=args.steps,
                    scale=scale,
                    generator=generator,
                )
                for name in CLASSES
            ]
        )
        log.info(
            "generated, guidance %g (%d clips): top-1 %.3f (chance %.3f), %.0f s",
            scale,
            len(truth),
            confusion(evaluation_scorer, audio, truth, CLASSES),
            1 / len(CLASSES),
            time.monotonic() - begin,
        )


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
