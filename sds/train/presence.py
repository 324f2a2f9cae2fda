"""Fit what the tagger's answers are worth (`sds.detection.presence`), and measure it.

    python -m sds.train.presence --data runs/corpus              # fits, writes, prints figures
    python -m sds.train.presence --data runs/corpus --network    # weighs the separation network too
    python -m sds.train.presence --data runs/corpus --score DIR  # measures DIR's mixtures too
    python -m sds.train.presence --table                         # the table of docs/stems.md

Mixtures of 1 to 4 held-back clips of different classes, each within 6 dB of the mean: nothing was
trained on them. For each sound that is in there, one prompt names it and one names a sound of a
class that is not. Everything is fitted on mixtures of one half of the clips, and the threshold is
where MISSED of their present sounds are called absent; the figures are those of the other half.
What the separation network gives is weighed with the rest where it raises the AUC of the first half
by WORTH. DIR has mixtures/manifest.json; it is only measured.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from presets.reading import read_json
from sds.datasets.captions import PHRASES
from sds.datasets.clips import Half
from sds.datasets.evaluation_items import mixtures as recorded
from sds.datasets.related import may_be
from sds.detection import presence
from sds.detection.band_frames import FRAME
from sds.detection.evidence import PresenceNetworks, gather
from sds.detection.presence import (
    Activity,
    Calibration,
    Logistic,
    ask,
    measure_activity,
)
from sds.detection.tagger import FOLDER, load_tagger
from sds.detection.tagging import (
    LIKELIHOOD,
    RIVALS,
    Suggestion,
    active_spans,
    likelihood,
    suggest,
    vocabulary,
)
from sds.priors.text_embedding import sentences
from sds.separation.query_network import load_query
from sds.similarity.two_tower import RATE
from sds.train.data import Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS
from sds.train.pairs import held_back
from sds.train.tagged_mixtures import Mixer

log = logging.getLogger(__name__)
SECONDS = 6.0
SOUNDS = (0.15, 0.45, 0.25, 0.15)  # how often a mixture has 1, 2, 3 or 4 of them
LEVEL_DB = 6.0
REAL = 4.0  # how often recordings are drawn, against made sounds
ANSWERS = 2  # figures that the tagger gives of a prompt
MISSED = 0.04  # of the present sounds, called absent: a stem too many costs less than one too few
WORTH = 0.005  # of the AUC, from which the separation network is asked
NEAR = 0.5  # cosine from which a prompt may name a sound as well as another one does
TOP, LISTED, BINS = 5, 8, 10  # names that recall counts; that are calibrated; bins of its error
LOUD_DB, FAINT_DB = -18.0, -35.0  # level of a sound in a second that is heard; that is not


@dataclass(frozen=True, slots=True)
class LabelledMixture:
    """A mixture [1, T] with the classes in it, what names them, and prompts of other classes."""

    audio: Tensor
    labels: tuple[str, ...]
    there: tuple[str, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was made of a mixture: its prompts' figures [K, 2 + E], the tagger's answers and, where
    they were asked for, the figures of the separation network; and what the tagger heard.
    """

    mixture: LabelledMixture
    figures: Tensor
    activity: Activity


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


def hear(networks: PresenceNetworks, mixture: LabelledMixture, *, network: bool = False) -> Heard:
    """Hear a mixture, and what its prompts come to; with the separation network on demand."""
    activity = measure_activity(networks.tagger, mixture.audio, RATE)
    prompts = [*mixture.there, *mixture.absent]
    return Heard(
        mixture, presence_figures(networks, activity, mixture.audio, prompts, network), activity
    )


def presence_figures(
    networks: PresenceNetworks,
    activity: Activity,
    audio: Tensor,
    prompts: Sequence[str],
    network: bool,
    rate: int = RATE,
) -> Tensor:
    """The figures [K, 2 + E] of prompts in audio [C, T] that a calibration weighs; [K, 2] without
    the separation network.
    """
    answers = ask(networks.tagger, activity, prompts)
    parts = [answers.whole]
    if network and networks.query is not None:
        *_, gathered = gather(
            networks.query, activity, answers, lambda a, b: audio[:, a:b], rate, prompts
        )
        parts.append(gathered)
    return torch.cat(parts, 1)


def rows(heard: Sequence[Heard]) -> tuple[Tensor, Tensor]:
    """Figures [N, 2 + E] of every prompt, and whether its sound is there, booleans [N]."""
    there = [i < len(one.mixture.there) for one in heard for i in range(len(one.figures))]
    return torch.cat([one.figures for one in heard]).double(), torch.tensor(there)


def named_rows(
    networks: PresenceNetworks, heard: Sequence[Heard], calibration: Calibration
) -> tuple[Tensor, Tensor]:
    """The tagger's answers [N, 2] for the first LISTED names of each mixture, and whether the class
    of each is in it, booleans [N].
    """
    x, there = [], []
    for one in heard:
        names = [
            item.prompt
            for item in suggest(networks, one.activity, top=LISTED, calibration=calibration)
        ]
        x.append(ask(networks.tagger, one.activity, names).whole)
        there += [vocabulary()[name] in one.mixture.labels for name in names]
    return torch.cat(x).double(), torch.tensor(there)


def second_rows(
    networks: PresenceNetworks, corpus: Corpus, rng: np.random.Generator, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The tagger's answers [N, 3] for a second and for the mixture, of prompts for sounds that come
    and go and of as many for sounds that are not there; which of the seconds hold the sound
    [N]; which are of a sound that is somewhere in the mixture [N].
    """
    mixer = Mixer(corpus, frames=int(SECONDS * RATE) // FRAME)
    x, there, own = [], [], []
    for _ in range(count):
        audio, levels, clips = mixer.mixture(rng)
        others = [mixer.corpus.clips[i] for i in rng.choice(len(mixer.weights), 2, p=mixer.weights)]
        others = [other for other in others if not any(may_be(other.label, c.label) for c in clips)]
        prompts = [user_phrase(clip, rng) for clip in (*clips, *others)]
        activity = measure_activity(networks.tagger, audio[None], RATE)
        answers = ask(networks.tagger, activity, prompts)
        silent = levels.new_full((len(others), levels.shape[1]), -100.0)
        seconds = answers.seconds.shape[1]
        level = presence.by_seconds(torch.cat([levels[: len(clips)], silent]), seconds)
        pairs = presence.second_figures(answers)
        counted = (level > LOUD_DB) | (level < FAINT_DB)
        x.append(pairs[counted])
        there.append((level > LOUD_DB)[counted])
        inside = torch.arange(len(prompts))[:, None] < len(clips)
        own.append(inside.expand_as(level)[counted])
    return torch.cat(x).double(), torch.cat(there), torch.cat(own)


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


def figures(x: Tensor, there: Tensor, logistic: Logistic, threshold: float) -> dict[str, float]:
    """AUC of figures x [N, D] for what is `there` [N], and how many present sounds are missed and
    absent ones believed at the threshold.
    """
    chance = logistic.probability(x)
    called = chance >= threshold
    return {
        "prompts": len(x),
        "auc": round(area(chance, there), 3),
        "auc_network": round(area(x[:, 0], there), 3),
        "auc_classes": round(area(x[:, 1], there), 3),
        "false_absent": round(1 - float(called[there].double().mean()), 3),
        "false_present": round(float(called[~there].double().mean()), 3),
        "error": round(calibration_error(chance, there), 3),
    }


def calibration_error(chance: Tensor, right: Tensor) -> float:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599, eq. 3) of probabilities [N] of
    what is `right` [N]: mean over BINS equal bins of |share right - mean probability|, by size.
    """
    where = (chance * BINS).long().clamp(0, BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64)
    gaps.index_add_(0, where, right.double() - chance.double())
    return float(gaps.abs().sum() / len(chance))


def recall(
    suggested: Sequence[Sequence[Suggestion]], labels: Sequence[Sequence[str]]
) -> dict[str, float]:
    """How often a true class is among the classes of the TOP suggestions, beside chance; and the
    calibration error of these.
    """
    classes = vocabulary()
    pairs = list(zip(suggested, labels, strict=True))
    hits = [
        label in {classes[item.prompt] for item in some[:TOP]}
        for some, true in pairs
        for label in true
    ]
    listed = [*classes.values()]
    share = {label: listed.count(label) / len(listed) for label in set(listed)}
    chance = [1 - (1 - share.get(label, 0.0)) ** TOP for true in labels for label in true]
    scores = torch.tensor([item.score for some in suggested for item in some[:TOP]])
    right = [classes[item.prompt] in true for some, true in pairs for item in some[:TOP]]
    return {
        "sounds": len(hits),
        "recall": round(sum(hits) / len(hits), 3),
        "chance": round(sum(chance) / len(chance), 3),
        "error": round(calibration_error(scores, torch.tensor(right)), 3),
    }


def worth(
    suggested: Sequence[Sequence[Suggestion]], labels: Sequence[Sequence[str]]
) -> dict[str, list[int]]:
    """How many names of each word for a likelihood there were, and how many of them right."""
    classes = vocabulary()
    out: dict[str, list[int]] = {word: [0, 0] for word in LIKELIHOOD}
    for some, true in zip(suggested, labels, strict=True):
        for item in some[:LISTED]:
            row = out[likelihood(item.score)]
            row[0] += 1
            row[1] += classes[item.prompt] in true
    return out


def parts(
    suggested: Sequence[Sequence[Suggestion]], labels: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Of the parts that `auto` would separate: how many a mixture has, how many are of a class in
    it, and how many of the sounds in it are among them.
    """
    classes = vocabulary()
    chosen = [active_spans(some) for some in suggested]
    right = [
        classes[item.prompt] in true
        for some, true in zip(chosen, labels, strict=True)
        for item in some
    ]
    found = [
        label in {classes[item.prompt] for item in some}
        for some, true in zip(chosen, labels, strict=True)
        for label in true
    ]
    return {
        "parts": round(len(right) / len(chosen), 2),
        "right": round(sum(right) / max(1, len(right)), 3),
        "found": round(sum(found) / len(found), 3),
    }


def activity_figures(x: Tensor, there: Tensor, own: Tensor, logistic: Logistic) -> dict[str, float]:
    """F1 of seconds at probability 0.5, of prompts whose sound is somewhere in the mixture and of
    all, beside that of calling each second of those active; AUC of those.
    """
    chance = logistic.probability(x)
    called = chance >= 0.5
    return {
        "seconds": len(x),
        "f1": round(f_measure(called[own], there[own]), 3),
        "f1_always": round(f_measure(torch.ones_like(called[own]), there[own]), 3),
        "f1_all": round(f_measure(called, there), 3),
        "auc": round(area(chance[own], there[own]), 3),
    }


def f_measure(called: Tensor, there: Tensor) -> float:
    """The harmonic mean of precision and recall of what is called [N] for what is `there` [N]."""
    return 2 * float((called & there).sum()) / max(1.0, float(called.sum() + there.sum()))


def calibrate(
    networks: PresenceNetworks, heard: Sequence[Heard], seconds: tuple[Tensor, Tensor]
) -> Calibration:
    """Fit all of a calibration to mixtures, and to the answers for seconds [N, 3] and what is
    there in them [N].
    """
    x, there = rows(heard)
    alone, first = fit_threshold(x[:, :ANSWERS], there)
    joined, second = None, first
    if x.shape[1] > ANSWERS:
        with_network, its = fit_threshold(x, there)
        gain = area(with_network.probability(x), there) - area(
            alone.probability(x[:, :ANSWERS]), there
        )
        log.info("the network adds %.3f to the AUC of the half chosen by", gain)
        if gain >= WORTH:
            joined, second = with_network, its
    hashes = networks.hashes if joined else (networks.hashes[0], "")
    fitted = Calibration(alone, joined, (first, second), fit(*seconds), alone, hashes)
    return replace(fitted, named=fit(*named_rows(networks, heard, fitted)))


def fit(x: Tensor, there: Tensor) -> Logistic:
    """The logistic function of figures x [N, D] that fits what is `there` [N]."""
    weights, offset = fit_logistic(x, there)
    return Logistic(tuple(round(w, 5) for w in weights.tolist()), round(offset, 5))


def fit_threshold(x: Tensor, there: Tensor) -> tuple[Logistic, float]:
    """`fit`, and the probability that misses MISSED of what is there."""
    logistic = fit(x, there)
    return logistic, round(float(logistic.probability(x[there]).quantile(MISSED)), 4)


def report(
    networks: PresenceNetworks,
    calibration: Calibration,
    heard: Sequence[Heard],
    seconds: tuple[Tensor, Tensor, Tensor],
) -> dict[str, object]:
    """All figures of one half."""
    x, there = rows(heard)
    joined = calibration.joined
    own = x if joined else x[:, :ANSWERS]
    labels = [one.mixture.labels for one in heard]
    suggested = [
        suggest(networks, one.activity, top=RIVALS, calibration=calibration) for one in heard
    ]
    two = [i for i, true in enumerate(labels) if len(true) == 2]
    return {
        "presence": figures(
            own, there, joined or calibration.alone, calibration.thresholds[bool(joined)]
        ),
        "activity": activity_figures(*seconds, calibration.second),
        "suggest": recall(suggested, labels),
        "suggest, two sounds": recall([suggested[i] for i in two], [labels[i] for i in two]),
        "worth": worth(suggested, labels),
        "auto": parts(suggested, labels),
    }


def score_recorded(
    networks: PresenceNetworks, data: Path, calibration: Calibration
) -> dict[str, float]:
    """`figures` on recorded mixtures: the prompts of all others are absent from each."""
    x, there = [], []
    mixtures = recorded(data)
    network = calibration.joined is not None
    for mixture in mixtures:
        prompts = [prompt for item in mixtures for prompt in item.prompts]
        activity = measure_activity(networks.tagger, mixture.audio, mixture.rate)
        x.append(
            presence_figures(networks, activity, mixture.audio, prompts, network, mixture.rate)
        )
        there += [prompt in mixture.prompts for prompt in prompts]
        names = suggest(networks, activity, top=RIVALS, calibration=calibration)
        said = ", ".join(f"{item.prompt} {item.score:.2f}" for item in names[:TOP])
        log.info("%s: %s", mixture.name, said)
    logistic = calibration.joined or calibration.alone
    threshold = calibration.thresholds[network]
    return figures(torch.cat(x).double(), torch.tensor(there), logistic, threshold)


def main() -> None:
    """Fit on one half, measure on the other, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--tagger", type=Path, default=FOLDER, help="folder of its weights")
    parser.add_argument("--out", type=Path, default=presence.FILE)
    parser.add_argument("--count", type=int, default=150, help="mixtures of each half")
    parser.add_argument("--network", action="store_true", help="weigh the separation network too")
    parser.add_argument("--score", type=Path, help="a folder with mixtures/manifest.json")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="only show what --out holds")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.table:
        log.info("%s", "\n".join(table(args.out)))
        return
    query = load_query() if args.network else None
    if args.network and query is None:
        parser.error("there is no separation network: train it with sds.train.query")
    networks = PresenceNetworks(load_tagger(args.tagger), query)
    halves = []
    for part, half in enumerate(get_args(Half)):
        corpus = held_back(args.data, half)
        source = make_mixtures(corpus, np.random.default_rng(args.seed + part))
        heard = [hear(networks, next(source), network=args.network) for _ in range(args.count)]
        rng = np.random.default_rng(args.seed + part + 7)
        halves.append((heard, second_rows(networks, corpus, rng, args.count // 3)))
    (heard, seconds), _ = halves
    calibration = calibrate(networks, heard, seconds[:2])
    result = {
        half: report(networks, calibration, *of)
        for half, of in zip(get_args(Half), halves, strict=True)
    }
    args.out.write_text(json.dumps(asdict(calibration) | {"measured": result}, indent=1) + "\n")
    for half, all_ in result.items():
        for name, values in all_.items():
            log.info("%-8s %-20s %s", half, name, values)
    if args.score:
        log.info("score    %s", score_recorded(networks, args.score, calibration))


def table(file: Path) -> list[str]:
    """What a calibration's file says of the halves that were measured, as the Markdown table of
    docs/stems.md.
    """
    measured = read_json(file)["measured"]
    lines = [
        "| measured on mixtures of | prompts | AUC | called absent, though there "
        "| called present, though not | calibration error |",
        "|---|---|---|---|---|---|",
    ]
    for name, key in (("the half chosen by", "choose"), ("the half to report on", "report")):
        if key not in measured:
            continue
        row = measured[key]["presence"]
        lines.append(
            f"| {name} | {row['prompts']} | {row['auc']:.3f} | {100 * row['false_absent']:.1f} % "
            f"| {100 * row['false_present']:.1f} % | {row['error']:.3f} |"
        )
    return lines


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    main()
