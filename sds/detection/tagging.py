"""Tagging: the names of a vocabulary that fit a recording best, and when they sound.

Zero-shot, as CLAP classifies (Elizalde et al. 2022, arXiv 2206.04769): every name is a prompt. The
tagger chooses some candidates, and all evidence of presence (`sds.detection.evidence`) ranks them.
A name that means nearly the same as one before it is left out, so the list reads as parts of a
whole.

`active_spans` chooses names that together explain a recording, for a separation without prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.detection.evidence import STRETCH, PresenceNetworks, Read, evidence, stretch
from sds.detection.presence import (
    FOLDER,
    Activity,
    Calibration,
    cosines,
    presence_of,
    recording_cosine,
)
from sds.priors.spectral_codec import stft
from sds.priors.text_embedding import sentences

VOCABULARY = FOLDER / "vocabulary.txt"
ALIKE = 0.5  # cosine of two names' sentence vectors from which they are one
CANDIDATES = 20  # names that are looked at closely
RIVALS = 12  # names that `active_spans` chooses from ...
PARTS = 6  # ... at most so many
STRETCHES = 5  # of the recording that they have to explain, evenly over it
GAIN = 0.08  # share of the magnitude, times a name's probability, that is worth a part


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
def vocabulary(path: Path = VOCABULARY) -> tuple[str, ...]:
    """Names of sounds, one a line; lines that begin with # do not count."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def suggest(
    networks: PresenceNetworks,
    activity: Activity,
    read: Read,
    rate: int,
    *,
    top: int,
    names: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> Iterator[list[Suggestion]]:
    """Suggest at most `top` names that fit a recording, the likeliest first; none for silence.

    `names` are the vocabulary by default. Safe to stop after any; the last list is the answer.
    Raises `ValueError` for `top` below 1.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    if not bool(activity.loud.any()):
        yield []
        return
    names = candidates(networks, activity, names or vocabulary(), max(CANDIDATES, top))
    suggestions: list[Suggestion] = []
    for so_far in prompt_activity(networks, activity, read, rate, names, calibration=calibration):
        yield []
        suggestions = so_far
    suggestions.sort(key=lambda suggestion: -suggestion.score)
    vectors = F.normalize(sentences([suggestion.prompt for suggestion in suggestions]), dim=1)
    yield [suggestions[i] for i in without_synonyms(vectors, top)]


def candidates(
    networks: PresenceNetworks, activity: Activity, names: Sequence[str], count: int
) -> list[str]:
    """Choose the `count` names with the highest cosines by the tagger, no two alike."""
    near = recording_cosine(cosines(networks.tagger, activity, names), activity.loud)
    order = near.argsort(descending=True).tolist()
    vectors = F.normalize(sentences([names[i] for i in order]), dim=1)
    return [names[order[i]] for i in without_synonyms(vectors, count)]


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
    figures = torch.zeros(0)
    for so_far in evidence(networks, activity, read, rate, prompts):
        yield []
        figures = so_far
    near = cosines(networks.tagger, activity, prompts)
    there = presence_of(
        near, figures, activity.loud, hashes=networks.hashes, calibration=calibration
    )
    rows = zip(prompts, there.score, there.present, there.activity, strict=True)
    yield [Suggestion(*row) for row in rows]


def active_spans(
    networks: PresenceNetworks,
    activity: Activity,
    read: Read,
    rate: int,
    suggestions: Sequence[Suggestion],
) -> list[Suggestion]:
    """Choose those of `suggestions` that together explain most of the recording, largest part
    first.

    Greedy: each next one is the one with the largest share of what is left, times its probability;
    less than GAIN is worth none. What a set leaves of a cell is the product of what each would
    leave by itself, so the second name for a sound has little to explain.
    """
    suggestions = suggestions[:RIVALS]
    if not suggestions:
        return []
    shares, weight = prompt_shares(
        networks, activity, read, rate, [suggestion.prompt for suggestion in suggestions]
    )
    sure = torch.tensor([suggestion.score for suggestion in suggestions])
    chosen: list[int] = []
    while len(chosen) < min(PARTS, len(suggestions)):
        gains = sure * (shares @ weight)
        gains[chosen] = -1.0
        best = int(gains.argmax())
        if chosen and float(gains[best]) < GAIN:
            break
        chosen.append(best)
        weight = weight * (1 - shares[best])
    return [suggestions[i] for i in chosen]


def prompt_shares(
    networks: PresenceNetworks, activity: Activity, read: Read, rate: int, prompts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Each prompt's share [K, cells] of some stretches of a recording, and the cells' weights
    [cells], in sum 1.
    """
    seconds = len(activity.level_db)
    last = max(0, seconds - STRETCH)
    count = min(STRETCHES, 1 + last // STRETCH)
    shares, weights = [], []
    for start in {round(last * i / max(1, count - 1)) for i in range(count)}:
        audio = stretch(read, rate, start, seconds)
        shares.append(networks.query.mel_logits(audio, prompts).sigmoid().flatten(1))
        weights.append((networks.query.net.codec.mel @ stft(audio[None])[0].abs()).flatten())
    weight = torch.cat(weights)
    return torch.cat(shares, 1), weight / weight.sum().clamp_min(1e-9)


def without_synonyms(vectors: Tensor, top: int) -> list[int]:
    """Indices of the first `top` rows of unit vectors [N, D] of which no two have a cosine of
    `ALIKE` or more.
    """
    chosen: list[int] = []
    for i in range(len(vectors)):
        if len(chosen) == top:
            break
        if not chosen or float((vectors[chosen] @ vectors[i]).max()) < ALIKE:
            chosen.append(i)
    return chosen
