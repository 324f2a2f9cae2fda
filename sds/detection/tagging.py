"""Tagging: the names of a vocabulary that fit a recording best, and when they sound.

Every name is a prompt, and the tagger answers all of them at once. What its answer is worth for a
name of which nobody said that it is there was fitted apart (`sds.train.presence`). A name that
means nearly the same as one before it is left out, and so is a second one of a class that is not
likely by itself, so the list reads as parts of a whole.

`active_spans` chooses the likely ones among them, for a separation without prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from sds.detection.evidence import PresenceNetworks, Read, evidence
from sds.detection.presence import (
    Activity,
    Calibration,
    ask,
    load_calibration,
    presence_of,
    second_figures,
)
from sds.detection.tagger import FOLDER, sentence_vectors

VOCABULARY = FOLDER / "vocabulary.txt"
ALIKE = 0.7  # cosine of two names' sentence vectors from which they are one
AGAIN = 0.5  # probability from which a second name of a class is listed
LIKELIHOOD = {"likely": 0.6, "possible": 0.3, "guess": 0.0}  # from which probability on
RIVALS = 12  # names that `active_spans` chooses from ...
PARTS, PART = 6, 0.4  # ... at most so many, and from which probability on


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A prompt with the probability that its sound is there.

    - `score`: that probability, 0..1; `present`: whether it is above the threshold.
    - `activity`: the probability second by second.
    """

    prompt: str
    score: float
    present: bool
    activity: tuple[float, ...]


@cache
def vocabulary(path: Path = VOCABULARY) -> dict[str, str]:
    """Names of sounds with the class of each: lines "class: name, name"; # begins a comment."""
    names: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            label, _, rest = line.partition(":")
            names |= {name.strip(): label.strip() for name in rest.split(",")}
    return names


def suggest(
    networks: PresenceNetworks,
    activity: Activity,
    *,
    top: int,
    names: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> list[Suggestion]:
    """Suggest at most `top` names that fit a recording, the likeliest first; none for silence.

    `names` are the vocabulary by default; others are each a class of its own. The probability is
    that of a name which nobody asked for. Raises `ValueError` for `top` below 1.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    loud = activity.loud
    if not bool(loud.any()):
        return []
    calibration = calibration or load_calibration()
    classes = {name: name for name in names} if names else vocabulary()
    listed = [*classes]
    answers = ask(networks.tagger, activity, listed)
    scores = calibration.named.probability(answers.whole)
    order = scores.argsort(descending=True).tolist()
    vectors = sentence_vectors(tuple(listed))[order]
    labels = [classes[listed[i]] for i in order]
    chosen = [order[i] for i in distinct(vectors, labels, scores[order].tolist(), top)]
    asked = calibration.alone.probability(answers.whole)
    seconds = calibration.second.probability(second_figures(answers)) * loud
    return [
        Suggestion(
            prompt=listed[i],
            score=float(scores[i]),
            present=float(asked[i]) >= calibration.thresholds[0],
            activity=tuple(seconds[i].tolist()),
        )
        for i in chosen
    ]


def likelihood(score: float) -> str:
    """What the score of a suggestion is worth, in a word.

    >>> likelihood(0.7), likelihood(0.4), likelihood(0.1)
    ('likely', 'possible', 'guess')
    """
    return next(word for word, least in LIKELIHOOD.items() if score >= least)


def unsure(suggestions: Sequence[Suggestion]) -> bool:
    """Whether even the first of suggestions is a guess; not so where there is none."""
    return bool(suggestions) and likelihood(suggestions[0].score) == "guess"


def distinct(
    vectors: Tensor, labels: Sequence[str], scores: Sequence[float], top: int
) -> list[int]:
    """Indices of the first `top` of N names of which no two are alike.

    Alike are those whose unit vectors [N, D] have a cosine of `ALIKE` or more, and those of one
    class unless the second is likely by itself.
    """
    chosen: list[int] = []
    for i in range(len(vectors)):
        if len(chosen) == top:
            break
        again = labels[i] in [labels[j] for j in chosen] and scores[i] < AGAIN
        if not again and not (chosen and float((vectors[chosen] @ vectors[i]).max()) >= ALIKE):
            chosen.append(i)
    return chosen


def prompt_activity(
    networks: PresenceNetworks,
    activity: Activity,
    read: Read,
    rate: int,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> Iterator[list[Suggestion]]:
    """Presence of each of the prompts, in their order: empty lists, until the last one."""
    answers = ask(networks.tagger, activity, prompts)
    figures = torch.zeros(0)
    for so_far in evidence(
        networks, activity, answers, read, rate, prompts, calibration=calibration
    ):
        yield []
        figures = so_far
    there = presence_of(
        answers, figures, activity.loud, hashes=networks.hashes, calibration=calibration
    )
    rows = zip(prompts, there.score, there.present, there.activity, strict=True)
    yield [Suggestion(*row) for row in rows]


def active_spans(suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    """Those of `suggestions` that `auto` separates: the likely ones, at most PARTS; or the first.

    No two of `suggest` are alike, so they read as parts of a whole.
    """
    return [one for one in suggestions if one.score >= PART][:PARTS] or [*suggestions[:1]]
