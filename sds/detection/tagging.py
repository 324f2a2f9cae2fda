"""What is in a recording: which names of a vocabulary are found most in it, and when.

Zero-shot, as CLAP classifies (Elizalde et al. 2022, arXiv 2206.04769): every name is a prompt. The
tagger chooses some candidates, and all that tells what is present (`sds.detection.evidence`) ranks
them. A name that says nearly the same as one before it is left out, so the list reads as parts of
a whole.

`active_spans` chooses names that together explain a recording, for a separation that was told none.
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
    """A prompt, how likely its sound is there, whether that is enough, and when it sounds.

    `activity` has a probability a second.
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
    heard: Activity,
    read: Read,
    rate: int,
    *,
    top: int,
    names: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> Iterator[list[Suggestion]]:
    """At most `top` names that fit what was heard, the likeliest first; none of silence.

    `names` are the vocabulary when left out. Safe to stop after any; the last list is the answer.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    if not bool(heard.loud.any()):
        yield []
        return
    names = candidates(networks, heard, names or vocabulary(), max(CANDIDATES, top))
    found: list[Suggestion] = []
    for now in prompt_activity(networks, heard, read, rate, names, calibration=calibration):
        yield []
        found = now
    found.sort(key=lambda one: -one.score)
    vectors = F.normalize(sentences([one.prompt for one in found]), dim=1)
    yield [found[i] for i in without_synonyms(vectors, top)]


def candidates(
    networks: PresenceNetworks, heard: Activity, names: Sequence[str], count: int
) -> list[str]:
    """The `count` names that the tagger finds nearest, no two alike."""
    near = recording_cosine(cosines(networks.tagger, heard, names), heard.loud)
    order = near.argsort(descending=True).tolist()
    vectors = F.normalize(sentences([names[i] for i in order]), dim=1)
    return [names[order[i]] for i in without_synonyms(vectors, count)]


def prompt_activity(
    networks: PresenceNetworks,
    heard: Activity,
    read: Read,
    rate: int,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> Iterator[list[Suggestion]]:
    """What was heard of each of the prompts, in their order: nothing, until the last list."""
    found = torch.zeros(0)
    for now in evidence(networks, heard, read, rate, prompts):
        yield []
        found = now
    near = cosines(networks.tagger, heard, prompts)
    there = presence_of(near, found, heard.loud, hashes=networks.hashes, calibration=calibration)
    rows = zip(prompts, there.score, there.present, there.activity, strict=True)
    yield [Suggestion(*row) for row in rows]


def active_spans(
    networks: PresenceNetworks, heard: Activity, read: Read, rate: int, found: Sequence[Suggestion]
) -> list[Suggestion]:
    """Those of `found` that together explain most of the recording, the first as the most.

    Greedy: each next one is the one with the largest share of what is left, times how likely it is
    there at all; less than GAIN is worth none. What a set leaves of a cell is the product of what
    each would leave by itself, so the second name for a sound has little to explain.
    """
    found = found[:RIVALS]
    if not found:
        return []
    shares, weight = prompt_shares(networks, heard, read, rate, [one.prompt for one in found])
    sure = torch.tensor([one.score for one in found])
    chosen: list[int] = []
    while len(chosen) < min(PARTS, len(found)):
        gains = sure * (shares @ weight)
        gains[chosen] = -1.0
        best = int(gains.argmax())
        if chosen and float(gains[best]) < GAIN:
            break
        chosen.append(best)
        weight = weight * (1 - shares[best])
    return [found[i] for i in chosen]


def prompt_shares(
    networks: PresenceNetworks, heard: Activity, read: Read, rate: int, prompts: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Each prompt's share [K, cells] of some stretches, and the cells' weights, in sum 1."""
    seconds = len(heard.level_db)
    last = max(0, seconds - STRETCH)
    count = min(STRETCHES, 1 + last // STRETCH)
    shares, weights = [], []
    for start in {round(last * i / max(1, count - 1)) for i in range(count)}:
        audio = stretch(read, rate, start, seconds)
        shares.append(networks.query.heard(audio, prompts).sigmoid().flatten(1))
        weights.append((networks.query.net.codec.mel @ stft(audio[None])[0].abs()).flatten())
    weight = torch.cat(weights)
    return torch.cat(shares, 1), weight / weight.sum().clamp_min(1e-9)


def without_synonyms(vectors: Tensor, top: int) -> list[int]:
    """The first `top` rows of unit vectors [N, D] of which no two have a cosine of `ALIKE`."""
    chosen: list[int] = []
    for i in range(len(vectors)):
        if len(chosen) == top:
            break
        if not chosen or float((vectors[chosen] @ vectors[i]).max()) < ALIKE:
            chosen.append(i)
    return chosen
