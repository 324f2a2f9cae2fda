"""Mixtures of held-back recordings to measure hearing and separation on, the same each time.

All are of recordings, so that what is made up beside them changes nothing; all sources of a mixture
are equally loud, last `SECONDS` and are of different classes, and the prompt is a clip's most exact
caption. A clip that is too short is followed by others of its caption. The first mixtures are the
same however many are drawn.

`KINDS` are pairs that the separator of version 0 failed at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from sds.datasets.clips import Half
from sds.datasets.evaluation_items import Mixture
from sds.train.data import RATE, Clip, Corpus, class_weights
from sds.train.latents import RECORDINGS

SECONDS = 5.0
SHORTEST = 1.5  # seconds of a clip that is drawn for a mixture of no kind
GAP = 0.3  # the longest pause behind a short clip, in its length or in seconds if that is more
FAINT = 0.01  # share of its clip's mean power that a piece has at least: no end of a decay
PEAK = 0.5  # of a mixture
FEWEST = 2  # captions of each side of a kind; where the half has fewer, both halves are drawn from

Group: TypeAlias = list[Clip]
"""Clips of one caption."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one sound of a kind is: a clip of one of the classes, and where `words` are given, with
    one of them in its caption.
    """

    classes: frozenset[str]
    words: tuple[str, ...] = ()

    def takes(self, clip: Clip) -> bool:
        """Whether the clip is one."""
        said = clip.captions[0]
        return clip.label in self.classes and (
            not self.words or any(word in said for word in self.words)
        )


BROAD = Side(
    frozenset({"noise", "wind", "rain", "sea waves", "water", "spray", "crowd", "applause"})
)
SUSTAINED = Side(
    frozenset({
        "bagpipes", "organ", "bell", "chimes", "flute", "bowed strings", "drone", "brass",
        "accordion",
    })
)  # fmt: skip
METAL = Side(frozenset({"metal", "can", "gong", "chain"}))
GLASS = Side(frozenset({"glass"}))
LOW_REED = Side(frozenset({"saxophone", "bagpipes", "reed"}), ("low ", "low,", "baritone", "bass"))
TRAFFIC = Side(frozenset({"traffic", "engine", "train"}))
TAPS = Side(
    frozenset({
        "footsteps", "wood", "wood block", "door", "mouth noise", "hand clap", "click",
        "percussion", "hand drum", "debris",
    }),
    ("step", "slam", "click", "knock", "tap", "clap", "hit", "slap", "rhythm", "struck"),
)  # fmt: skip
REED = Side(frozenset({"saxophone", "bagpipes", "reed"}))
FIRE = Side(frozenset({"fire"}))
PIANO = Side(frozenset({"piano"}), ("note", "chord", "melody"))

KINDS: dict[str, tuple[Side, Side]] = {
    "broad noise, sustained tone": (BROAD, SUSTAINED),
    "struck metal, struck glass": (METAL, GLASS),
    "low reed, traffic": (LOW_REED, TRAFFIC),
    "taps, sustained reed": (TAPS, REED),
    "fire, piano": (FIRE, PIANO),
}
"""Corpus 2 holds no recording of traffic or of an engine back: a passing train stands in."""


def held_recordings(data: Path, half: Half | None) -> Corpus:
    """The held-back recordings of one half; of both for None."""
    return Corpus(data, frozenset({"held"}), frozenset({RECORDINGS}), half=half)


def draw_mixtures(corpus: Corpus, sources: Sequence[int], *, seed: int) -> Iterator[Mixture]:
    """Mixtures of clips of `SHORTEST` seconds or more, without end; `sources` is how many sounds
    the first has, the second and so on, over and over.

    Raises `ValueError` where the corpus has not as many classes.
    """
    rng = np.random.default_rng(seed)
    clips = [clip for clip in corpus.clips if clip.frames >= SHORTEST * RATE]
    groups = group_by_caption(clips)
    classes = len({clip.label for clip in clips})
    if classes < max(sources):
        raise ValueError(
            f"clips of {SHORTEST} s must be of {max(sources)} classes, got {classes} of them"
        )
    chances = class_weights(clips)
    for number, count in enumerate(cycle(sources)):
        chosen: list[Clip] = []
        while len(chosen) < count:
            clip = clips[rng.choice(len(clips), p=chances)]
            if clip.label not in [other.label for other in chosen]:
                chosen.append(clip)
        yield mix(f"{count} sources {number}", corpus, [groups[_key(c)] for c in chosen], rng)


def draw_kind(
    name: str, corpus: Corpus, sides: tuple[Side, Side], *, seed: int
) -> Iterator[Mixture]:
    """Pairs of a kind, without end: each caption of the one side with each of the other before any
    comes again.
    """
    rng = np.random.default_rng(seed)
    first, second = (_groups_of(corpus, side) for side in sides)
    ways = [(a, b) for a in first for b in second]
    if not ways:
        raise ValueError(f"each side of {name!r} must have a clip, got {len(first)}, {len(second)}")
    number = 0
    while True:
        for way in rng.permutation(len(ways)):
            yield mix(f"{name} {number}", corpus, ways[way], rng)
            number += 1


def half_of_kind(data: Path, sides: tuple[Side, Side]) -> Half | None:
    """The half that a kind is drawn from: the one to report on, or None for both where a side
    has fewer than `FEWEST` captions there.
    """
    corpus = held_recordings(data, "report")
    return "report" if all(len(_groups_of(corpus, side)) >= FEWEST for side in sides) else None


def mix(name: str, corpus: Corpus, groups: Sequence[Group], rng: np.random.Generator) -> Mixture:
    """Mix one sound of each of the groups at equal power, to a peak of `PEAK`."""
    sounds = torch.stack([
        play_clips(corpus, [group[i] for i in rng.permutation(len(group))], rng) for group in groups
    ])  # fmt: skip
    sounds = sounds / sounds.square().mean(1, keepdim=True).sqrt()
    sounds = sounds * PEAK / sounds.sum(0).abs().max()
    prompts = tuple(group[0].captions[0] for group in groups)
    return Mixture(name, prompts, sounds.sum(0)[None], tuple(sounds[:, None]), RATE)


def play_clips(corpus: Corpus, clips: Sequence[Clip], rng: np.random.Generator) -> Tensor:
    """A sound [T] of `SECONDS`: a piece of the first clip, or if that is shorter, one clip after
    another with small pauses.
    """
    frames = int(SECONDS * RATE)
    if clips[0].frames >= frames:
        least = FAINT * float(corpus.audio(clips[0]).square().mean())
        while float((piece := corpus.crop(clips[0], frames, rng)).square().mean()) < least:
            pass
        return piece
    out, start = torch.zeros(frames), 0
    for clip in cycle(clips):
        audio = corpus.audio(clip)[: frames - start]
        out[start : start + len(audio)] = audio
        start += len(audio) + int(rng.uniform(0.0, GAP) * max(len(audio), RATE))
        if start >= frames:
            break
    return out


def group_by_caption(clips: Sequence[Clip]) -> dict[tuple[str, str], Group]:
    """The clips by class and most exact caption."""
    groups: dict[tuple[str, str], Group] = {}
    for clip in clips:
        groups.setdefault(_key(clip), []).append(clip)
    return groups


def fingerprint(mixtures: Sequence[Mixture]) -> str:
    """A digest of mixtures, the same for the same prompts and sounds on any machine.

    Of a sound only its mean magnitude counts, to three digits: sums are not alike to the last bit.
    """
    said = [
        (mixture.prompts, [f"{float(source.abs().mean()):.3g}" for source in mixture.sources])
        for mixture in mixtures
    ]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]


def _key(clip: Clip) -> tuple[str, str]:
    return clip.label, clip.captions[0]


def _groups_of(corpus: Corpus, side: Side) -> list[Group]:
    return [*group_by_caption([clip for clip in corpus.clips if side.takes(clip)]).values()]
