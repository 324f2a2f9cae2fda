"""What is in a recording: which names of a vocabulary a listener finds most in it, and when.

Zero-shot, as CLAP classifies (Elizalde et al. 2022, arXiv 2206.04769): every name is a prompt. A
name that says nearly the same as one before it is left out, so the list reads as parts of a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from sds.judge import Judge
from sds.presence import FOLDER, Calibration, Heard, presence_of
from sds.text import sentences

VOCABULARY = FOLDER / "vocabulary.txt"
ALIKE = 0.5  # cosine of two names' sentence vectors from which they are one


@dataclass(frozen=True, slots=True)
class Found:
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
    judge: Judge,
    heard: Heard,
    *,
    top: int,
    names: Sequence[str] | None = None,
    calibration: Calibration | None = None,
) -> list[Found]:
    """At most `top` names that fit what was heard, the likeliest first; none of silence.

    `names` are the vocabulary when left out.
    """
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}")
    if not bool(heard.loud.any()):
        return []
    found = named(judge, heard, names or vocabulary(), calibration=calibration)
    found.sort(key=lambda one: -one.score)
    vectors = F.normalize(sentences([one.prompt for one in found]), dim=1)
    return [found[i] for i in distinct(vectors, top)]


def named(
    judge: Judge,
    heard: Heard,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> list[Found]:
    """What was heard of each of the prompts, in their order."""
    found = presence_of(judge, heard, prompts, calibration=calibration)
    rows = zip(prompts, found.score, found.present, found.activity, strict=True)
    return [Found(*row) for row in rows]


def distinct(vectors: Tensor, top: int) -> list[int]:
    """The first `top` rows of unit vectors [N, D] of which no two have a cosine of `ALIKE`."""
    chosen: list[int] = []
    for i in range(len(vectors)):
        if len(chosen) == top:
            break
        if not chosen or float((vectors[chosen] @ vectors[i]).max()) < ALIKE:
            chosen.append(i)
    return chosen
