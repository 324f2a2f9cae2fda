"""Fit when a sound counts as present (`sds.presence`), and measure it and the suggestions.

    python -m sds.train.presence --data runs/corpus              # fits, writes, prints figures
    python -m sds.train.presence --data runs/corpus --score DIR  # measures DIR's mixtures too

Mixtures of 1 to 4 held-back clips of different classes, each within 6 dB of the mean: nothing was
trained on them. For each sound that is in there, one prompt names it and one names a sound of a
class that is not. The logistic function is fitted on mixtures of one half of the clips, and the
threshold is where MISSED of their present sounds are called absent; the figures are those of the
other half. DIR has mixtures/manifest.json; it is only measured.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sds import presence
from sds.judge import RATE, Judge
from sds.presence import Calibration, Heard, cosines, hear, load_listener, summed_up
from sds.scoreboard.items import mixtures as recorded
from sds.suggest import suggest, vocabulary
from sds.text import sentences
from sds.train.captions import PHRASES
from sds.train.clips import unit_hash
from sds.train.data import Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS

log = logging.getLogger(__name__)
SECONDS = 6.0
SOUNDS = (0.15, 0.45, 0.25, 0.15)  # how often a mixture has 1, 2, 3 or 4 of them
LEVEL_DB = 6.0
REAL = 4.0  # how often recordings are drawn, against made sounds
MISSED = 0.05  # of the present sounds, called absent: a stem too many costs less than one too few
NEAR = 0.5  # cosine from which a prompt may name a sound as well as another one does
PAIRS, TOP = 40, 5  # of the suggestions' measure


@dataclass(frozen=True, slots=True)
class Made:
    """A mixture [1, T] with the classes in it, what names them, and prompts of other classes."""

    audio: Tensor
    labels: tuple[str, ...]
    there: tuple[str, ...]
    absent: tuple[str, ...]


def half(clip: Clip) -> int:
    """0 or 1: which half of the held-back clips; clips of one caption are together."""
    return int(2 * unit_hash(f"presence|{clip.label}|{clip.captions[0]}"))


def made(
    corpus: Corpus, part: int, rng: np.random.Generator, *, sounds: int | None = None
) -> Iterator[Made]:
    """Mixtures of one half of the clips, without end; of `sounds` sounds, or as `SOUNDS` has it."""
    clips = [clip for clip in corpus.clips if half(clip) == part]
    weights = class_weights(clips)
    weights *= [REAL if clip.part == RECORDINGS else 1.0 for clip in clips]
    weights /= weights.sum()

    def other(labels: Sequence[str]) -> Clip:
        while (clip := clips[rng.choice(len(clips), p=weights)]).label in labels:
            pass
        return clip

    while True:
        chosen: list[Clip] = []
        for _ in range(sounds or 1 + rng.choice(len(SOUNDS), p=SOUNDS)):
            chosen.append(other([clip.label for clip in chosen]))
        labels = tuple(clip.label for clip in chosen)
        own = F.normalize(sentences([text for c in chosen for text in c.captions]), dim=1)
        absent: list[str] = []
        while len(absent) < len(chosen):
            prompt = said(other(labels), rng)
            if float((F.normalize(sentences([prompt]), dim=1) @ own.T).max()) < NEAR:
                absent.append(prompt)
        there = tuple(said(clip, rng) for clip in chosen)
        parts = [placed(corpus.audio(clip), rng) for clip in chosen]
        yield Made(torch.stack(parts).sum(0)[None], labels, there, tuple(absent))


def said(clip: Clip, rng: np.random.Generator) -> str:
    """What a user may call it: a phrase for its class, or its first caption."""
    phrases = PHRASES.get(clip.label, (clip.label,))
    return clip.captions[0] if rng.random() < 0.5 else phrases[rng.integers(len(phrases))]


def placed(audio: Tensor, rng: np.random.Generator) -> Tensor:
    """A clip [T] cut out, or repeated with small gaps, to `SECONDS`, at a random level."""
    size = int(SECONDS * RATE)
    if len(audio) < size:
        gap = int(len(audio) * rng.uniform(0.0, 0.3))
        audio = F.pad(audio, (0, gap)).repeat(2 + size // (len(audio) + gap))
    start = int(rng.integers(0, len(audio) - size + 1))
    cut = audio[start : start + size]
    gain = 10 ** (rng.uniform(-LEVEL_DB, LEVEL_DB) / 20)
    return 0.05 * gain * cut / cut.square().mean().sqrt().clamp_min(1e-4)


def rows(judge: Judge, mixtures: Sequence[Made]) -> tuple[Tensor, Tensor]:
    """Cosine [N] of every prompt of the mixtures, and whether its sound is there [N]."""
    found, there = [], []
    for mixture in mixtures:
        heard = hear(judge, mixture.audio, RATE)
        prompts = [*mixture.there, *mixture.absent]
        found.append(summed_up(cosines(judge, heard, prompts), heard.loud))
        there += [i < len(mixture.there) for i in range(len(prompts))]
    return torch.cat(found).double(), torch.tensor(there)


def fitted(x: Tensor, there: Tensor) -> tuple[float, float]:
    """Slope and offset of the logistic function by Newton's method; cosines x [N]."""
    both = torch.stack([x, torch.ones_like(x)], 1)
    beta = torch.zeros(2, dtype=x.dtype)
    for _ in range(50):
        p = (both @ beta).sigmoid()
        hessian = (both.T * (p * (1 - p))) @ both + 1e-6 * torch.eye(2, dtype=x.dtype)
        beta = beta + torch.linalg.solve(hessian, both.T @ (there.to(x.dtype) - p))
    return float(beta[0]), float(beta[1])


def area(x: Tensor, there: Tensor) -> float:
    """AUC: how often a present sound has a higher cosine than an absent one, ties half."""
    more = x[there][:, None] - x[~there][None]
    return float(((more > 0).double() + 0.5 * (more == 0).double()).mean())


def figures(x: Tensor, there: Tensor, calibration: Calibration) -> dict[str, float]:
    """AUC, and at the threshold how many present sounds are missed and absent ones believed."""
    called = calibration.probability(x) >= calibration.threshold
    return {
        "prompts": len(x),
        "auc": round(area(x, there), 3),
        "false_absent": round(1 - float(called[there].double().mean()), 3),
        "false_present": round(float(called[~there].double().mean()), 3),
    }


def recall(
    judge: Judge, heard: Sequence[Heard], labels: Sequence[Sequence[str]], calibration: Calibration
) -> dict[str, float]:
    """How often a true class is among the classes of the TOP suggestions, beside chance."""
    names = vocabulary()
    classes = classes_of(names)
    hits = [
        label in {classes[names.index(one.prompt)] for one in found}
        for one_heard, true in zip(heard, labels, strict=True)
        for found in [suggest(judge, one_heard, top=TOP, calibration=calibration)]
        for label in true
    ]
    share = {label: classes.count(label) / len(classes) for label in set(classes)}
    chance = [1 - (1 - share.get(label, 0.0)) ** TOP for true in labels for label in true]
    return {
        "sounds": len(hits),
        "recall": round(sum(hits) / len(hits), 3),
        "chance": round(sum(chance) / len(chance), 3),
    }


def classes_of(names: Sequence[str]) -> list[str]:
    """The class whose phrases are nearest to each name."""
    phrases = [(label, phrase) for label, all_ in PHRASES.items() for phrase in all_]
    vectors = F.normalize(sentences([phrase for _, phrase in phrases]), dim=1)
    nearest = (F.normalize(sentences(names), dim=1) @ vectors.T).argmax(1)
    return [phrases[i][0] for i in nearest.tolist()]


def scored(judge: Judge, data: Path, calibration: Calibration) -> dict[str, float]:
    """`figures` on recorded mixtures: the prompts of all others are absent from each."""
    x, there = [], []
    found = recorded(data)
    for mixture in found:
        heard = hear(judge, mixture.audio, mixture.rate)
        prompts = [prompt for one in found for prompt in one.prompts]
        x.append(summed_up(cosines(judge, heard, prompts), heard.loud))
        there += [prompt in mixture.prompts for prompt in prompts]
        names = [one.prompt for one in suggest(judge, heard, top=TOP, calibration=calibration)]
        log.info("%s: %s", mixture.name, ", ".join(names))
    return figures(torch.cat(x).double(), torch.tensor(there), calibration)


def main() -> None:
    """Fit on one half, measure on the other, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=presence.FILE)
    parser.add_argument("--count", type=int, default=300, help="mixtures of each half")
    parser.add_argument("--score", type=Path, help="a folder with mixtures/manifest.json")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    judge = load_listener()
    corpus = Corpus(args.data, frozenset({"held"}))
    halves = []
    for part in (0, 1):
        source = made(corpus, part, np.random.default_rng(args.seed + part))
        halves.append(rows(judge, [next(source) for _ in range(args.count)]))
    (x, there), (other_x, other_there) = halves
    slope, offset = fitted(x, there)
    calibration = Calibration(slope, offset, 0.0, judge.model_hash)
    threshold = float(calibration.probability(x[there]).quantile(MISSED))
    calibration = replace(calibration, threshold=round(threshold, 4))
    result = {"fit": figures(x, there, calibration)}
    result["held"] = figures(other_x, other_there, calibration)
    source = made(corpus, 1, np.random.default_rng(args.seed + 2), sounds=2)
    pairs = [next(source) for _ in range(PAIRS)]
    heard = [hear(judge, pair.audio, RATE) for pair in pairs]
    result["suggest"] = recall(judge, heard, [pair.labels for pair in pairs], calibration)
    args.out.write_text(json.dumps(asdict(calibration) | result, indent=1) + "\n")
    if args.score:
        result["score"] = scored(judge, args.score, calibration)
    for name, values in result.items():
        log.info("%-8s %s", name, values)


if __name__ == "__main__":
    main()
