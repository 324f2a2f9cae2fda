"""Fit when a sound counts as present (`sds.detection.presence`), and measure it.

    python -m sds.train.presence --data runs/corpus              # fits, writes, prints figures
    python -m sds.train.presence --data runs/corpus --score DIR  # measures DIR's mixtures too
    python -m sds.train.presence --table                         # the table of docs/stems.md

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
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from presets.reading import read_json
from sds.datasets.captions import PHRASES
from sds.datasets.evaluation_items import Mixture
from sds.datasets.evaluation_items import mixtures as recorded
from sds.detection import presence
from sds.detection.evidence import PresenceNetworks, evidence
from sds.detection.presence import (
    Calibration,
    cosines,
    load_tagger,
    measure_activity,
    recording_cosine,
)
from sds.detection.tagging import RIVALS, Suggestion, active_spans, suggest, vocabulary
from sds.priors.text_embedding import sentences
from sds.separation.query_network import load_query
from sds.signal.audio_files import mono
from sds.similarity.two_tower import RATE, SEARCH_SCORER, load_scorer
from sds.train.data import Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS
from sds.train.pairs import apply_masks, held_back, improvement, pairs, query_stems

log = logging.getLogger(__name__)
SECONDS = 6.0
SOUNDS = (0.15, 0.45, 0.25, 0.15)  # how often a mixture has 1, 2, 3 or 4 of them
LEVEL_DB = 6.0
REAL = 4.0  # how often recordings are drawn, against made sounds
MISSED = 0.05  # of the present sounds, called absent: a stem too many costs less than one too few
NEAR = 0.5  # cosine from which a prompt may name a sound as well as another one does
PAIRS, TOP = 40, 5  # of the suggestions' measure


@dataclass(frozen=True, slots=True)
class LabelledMixture:
    """A mixture [1, T] with the classes in it, what names them, and prompts of other classes."""

    audio: Tensor
    labels: tuple[str, ...]
    there: tuple[str, ...]
    absent: tuple[str, ...]


def make_mixtures(
    corpus: Corpus, rng: np.random.Generator, *, sounds: int | None = None
) -> Iterator[LabelledMixture]:
    """Mixtures of the clips of a corpus, without end; of `sounds` sounds, or as `SOUNDS` has it."""
    clips = corpus.clips
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
            prompt = user_phrase(other(labels), rng)
            if float((F.normalize(sentences([prompt]), dim=1) @ own.T).max()) < NEAR:
                absent.append(prompt)
        there = tuple(user_phrase(clip, rng) for clip in chosen)
        parts = [place_clip(corpus.audio(clip), rng) for clip in chosen]
        yield LabelledMixture(torch.stack(parts).sum(0)[None], labels, there, tuple(absent))


def user_phrase(clip: Clip, rng: np.random.Generator) -> str:
    """Draw a name that a user may give a clip: a phrase for its class, or its first caption."""
    phrases = PHRASES.get(clip.label, (clip.label,))
    return clip.captions[0] if rng.random() < 0.5 else phrases[rng.integers(len(phrases))]


def place_clip(audio: Tensor, rng: np.random.Generator) -> Tensor:
    """A clip [T] cut out, or repeated with small gaps, to `SECONDS`, at a random level."""
    size = int(SECONDS * RATE)
    if len(audio) < size:
        gap = int(len(audio) * rng.uniform(0.0, 0.3))
        audio = F.pad(audio, (0, gap)).repeat(2 + size // (len(audio) + gap))
    start = int(rng.integers(0, len(audio) - size + 1))
    cut = audio[start : start + size]
    gain = 10 ** (rng.uniform(-LEVEL_DB, LEVEL_DB) / 20)
    return 0.05 * gain * cut / cut.square().mean().sqrt().clamp_min(1e-4)


def rows(networks: PresenceNetworks, mixtures: Sequence[LabelledMixture]) -> tuple[Tensor, Tensor]:
    """Figures [N, 3] of every prompt of the mixtures, and whether its sound is there,
    booleans [N].
    """
    tables, there = [], []
    for mixture in mixtures:
        prompts = [*mixture.there, *mixture.absent]
        tables.append(presence_figures(networks, mixture.audio, RATE, prompts))
        there += [i < len(mixture.there) for i in range(len(prompts))]
    return torch.cat(tables).double(), torch.tensor(there)


def presence_figures(
    networks: PresenceNetworks, audio: Tensor, rate: int, prompts: Sequence[str]
) -> Tensor:
    """The three figures [K, 3] of prompts in audio [C, T] that a calibration weighs."""
    activity = measure_activity(networks.tagger, audio, rate)
    *_, gathered = evidence(
        networks, activity, lambda begin, end: audio[:, begin:end], rate, prompts
    )
    near = cosines(networks.tagger, activity, prompts)
    return torch.cat([recording_cosine(near, activity.loud)[:, None], gathered], 1)


def fit_logistic(x: Tensor, there: Tensor) -> tuple[Tensor, float]:
    """Fit weights [D] and offset of the logistic function of figures x [N, D] to what is `there`
    [N], by Newton's method.
    """
    both = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    beta = torch.zeros(both.shape[1], dtype=x.dtype)
    for _ in range(50):
        p = (both @ beta).sigmoid()
        hessian = (both.T * (p * (1 - p))) @ both + 1e-6 * torch.eye(len(beta), dtype=x.dtype)
        beta = beta + torch.linalg.solve(hessian, both.T @ (there.to(x.dtype) - p))
    return beta[:-1], float(beta[-1])


def area(x: Tensor, there: Tensor) -> float:
    """AUC of scores x [N] for what is `there` [N]: how often a present sound has a higher one than
    an absent one, ties half.
    """
    more = x[there][:, None] - x[~there][None]
    return float(((more > 0).double() + 0.5 * (more == 0).double()).mean())


def figures(x: Tensor, there: Tensor, calibration: Calibration) -> dict[str, float]:
    """AUC of figures x [N, 3] for what is `there` [N], and how many present sounds are missed and
    absent ones believed at the threshold.
    """
    chance = calibration.probability(x)
    called = chance >= calibration.threshold
    return {
        "prompts": len(x),
        "auc": round(area(chance, there), 3),
        "auc_tagger": round(area(x[:, 0], there), 3),
        "false_absent": round(1 - float(called[there].double().mean()), 3),
        "false_present": round(float(called[~there].double().mean()), 3),
    }


def suggestions(
    networks: PresenceNetworks, audio: Tensor, rate: int, calibration: Calibration
) -> tuple[list[Suggestion], list[Suggestion]]:
    """Suggestions for audio [C, T] at `rate` Hz, and the parts of it that `auto` would separate."""

    def read(begin: int, end: int) -> Tensor:
        return audio[:, begin:end]

    activity = measure_activity(networks.tagger, audio, rate)
    *_, names = suggest(networks, activity, read, rate, top=RIVALS, calibration=calibration)
    return names, active_spans(networks, activity, read, rate, names)


def recall(
    suggested: Sequence[Sequence[Suggestion]], labels: Sequence[Sequence[str]]
) -> dict[str, float]:
    """How often a true class is among the classes of the TOP suggestions, beside chance."""
    names = vocabulary()
    classes = classes_of(names)
    hits = [
        label in {classes[names.index(suggestion.prompt)] for suggestion in some[:TOP]}
        for some, true in zip(suggested, labels, strict=True)
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


def separation_figures(
    networks: PresenceNetworks, mixtures: Sequence[Mixture], calibration: Calibration
) -> dict[str, float]:
    """SI-SDR improvement in dB of stems that `auto` makes, matched, beside those of given prompts.

    The query network makes both. Each source is matched with another stem, as it is best for all.
    """
    auto, told_of, count = [], [], 0
    for mixture in mixtures:
        _, chosen = suggestions(networks, mixture.audio, mixture.rate, calibration)
        count += len(chosen)
        stems = network_stems(networks, mixture, [suggestion.prompt for suggestion in chosen])
        ways = permutations(range(len(stems)), len(mixture.sources))
        auto.append(max(improvement(mixture, stems[list(way)]) for way in ways))
        told_of.append(improvement(mixture, query_stems(networks.query, mixture)))
    return {
        "pairs": len(auto),
        "stems": round(count / len(auto), 2),
        "auto_db": round(sum(auto) / len(auto), 2),
        "told_db": round(sum(told_of) / len(told_of), 2),
    }


def network_stems(networks: PresenceNetworks, mixture: Mixture, prompts: Sequence[str]) -> Tensor:
    """Stems [K, C, T] of the query network, at least two: a lone prompt's stem and the residual."""
    if len(prompts) > 1:
        return query_stems(networks.query, replace(mixture, prompts=tuple(prompts)))
    mid = mono(mixture.audio)[None, None]
    stems = apply_masks(mixture, networks.query.shares(mid, mixture.rate, prompts))
    return torch.cat([stems, mixture.audio[None] - stems])


def score_recorded(
    networks: PresenceNetworks, data: Path, calibration: Calibration
) -> dict[str, float]:
    """`figures` on recorded mixtures: the prompts of all others are absent from each."""
    x, there = [], []
    mixtures = recorded(data)
    for mixture in mixtures:
        prompts = [prompt for item in mixtures for prompt in item.prompts]
        x.append(presence_figures(networks, mixture.audio, mixture.rate, prompts))
        there += [prompt in mixture.prompts for prompt in prompts]
        names, chosen = suggestions(networks, mixture.audio, mixture.rate, calibration)
        log.info("%s: %s", mixture.name, ", ".join(item.prompt for item in names[:TOP]))
        log.info("%s, auto: %s", mixture.name, ", ".join(item.prompt for item in chosen))
    return figures(torch.cat(x).double(), torch.tensor(there), calibration)


def main() -> None:
    """Fit on one half, measure on the other, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=presence.FILE)
    parser.add_argument("--count", type=int, default=150, help="mixtures of each half")
    parser.add_argument("--score", type=Path, help="a folder with mixtures/manifest.json")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only show what --out holds")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.table:
        log.info("%s", "\n".join(table(args.out)))
        return
    query = load_query()
    if query is None:
        parser.error("there is no query network: train it with sds.train.query")
    networks = PresenceNetworks(load_tagger(), load_scorer(SEARCH_SCORER), query)
    chosen_on, reported_on = held_back(args.data, "choose"), held_back(args.data, "report")
    halves = []
    for part, corpus in enumerate((chosen_on, reported_on)):
        source = make_mixtures(corpus, np.random.default_rng(args.seed + part))
        halves.append(rows(networks, [next(source) for _ in range(args.count)]))
    (x, there), (other_x, other_there) = halves
    calibration = calibrate(x, there, networks.hashes)
    result = {"fit": figures(x, there, calibration)}
    result["held"] = figures(other_x, other_there, calibration)
    source = make_mixtures(reported_on, np.random.default_rng(args.seed + 2), sounds=2)
    pairs_named = [next(source) for _ in range(PAIRS)]
    suggested = [suggestions(networks, pair.audio, RATE, calibration)[0] for pair in pairs_named]
    result["suggest"] = recall(suggested, [pair.labels for pair in pairs_named])
    result["auto"] = separation_figures(networks, pairs(reported_on), calibration)
    args.out.write_text(json.dumps(asdict(calibration) | result, indent=1) + "\n")
    if args.score:
        result["score"] = score_recorded(networks, args.score, calibration)
    for name, values in result.items():
        log.info("%-8s %s", name, values)


def table(file: Path) -> list[str]:
    """What a calibration's file says of both halves, as the Markdown table of docs/stems.md."""
    held = read_json(file)
    lines = [
        "| measured on mixtures of | prompts | AUC | AUC, the tagger alone "
        "| called absent, though there | called present, though not |",
        "|---|---|---|---|---|---|",
    ]
    for name, key in (("the half chosen by", "fit"), ("the half to report on", "held")):
        row = held[key]
        lines.append(
            f"| {name} | {row['prompts']} | {row['auc']:.3f} | {row['auc_tagger']:.3f} "
            f"| {100 * row['false_absent']:.1f} % | {100 * row['false_present']:.1f} % |"
        )
    return lines


def calibrate(x: Tensor, there: Tensor, hashes: tuple[str, ...]) -> Calibration:
    """Fit the logistic function of figures x [N, 3] to what is `there` [N], and the threshold that
    misses MISSED of the present sounds.
    """
    weights, offset = fit_logistic(x, there)
    first, second, third = weights.tolist()
    calibration = Calibration((first, second, third), offset, 0.0, hashes)
    threshold = float(calibration.probability(x[there]).quantile(MISSED))
    return replace(calibration, threshold=round(threshold, 4))


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
