"""Bars of a song with their chords, and note lists in beats."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from sds.train.corpus.band.harmony import Chord

Note: TypeAlias = tuple[float, float, int, int]
"""A note: beat from the beginning of the song, beats long, key, velocity."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its first beat, beats, chords (they share it equally), the chord after it.

    - `first`, `last`: whether it begins or ends its section; `place`: its number inside it.
    - `energy`: 0..1, how strongly it is played; `dense`: whether the busier patterns are wanted.
    """

    beat: float
    beats: int
    chords: tuple[Chord, ...]
    following: Chord
    first: bool
    last: bool
    place: int
    energy: float

    def chord_at(self, beat: float) -> Chord:
        """The chord at a beat inside the bar."""
        share = min(max(beat / self.beats, 0.0), 0.999)
        return self.chords[int(share * len(self.chords))]

    def spans(self) -> Iterator[tuple[float, float, Chord]]:
        """First beat inside the bar, beats and chord, chord by chord."""
        length = self.beats / len(self.chords)
        for index, chord in enumerate(self.chords):
            yield index * length, length, chord


def read_pattern(pattern: str, bar: Bar) -> Iterator[tuple[float, float, str]]:
    """(beat inside the bar, beats until the next sign that is not '-', sign) of each sound of a
    pattern: one of 12 signs is a bar of triplets, or of three beats, one of 16 a bar of four.
    """
    step = bar.beats / len(pattern)
    for index, sign in enumerate(pattern):
        if sign in "-.":
            continue
        end = index + 1
        while end < len(pattern) and pattern[end] == "-":
            end += 1
        yield index * step, (end - index) * step, sign


def fit(pattern: str, beats: int) -> str:
    """A pattern of four beats cut to three where the bar has three; others as they are."""
    return pattern[:12] if beats == 3 and len(pattern) == 16 else pattern


def strength(rng: random.Random, energy: float, accent: float = 0.0) -> int:
    """A MIDI velocity 20..126 for an energy 0..1 and an accent of -1..1."""
    return round(min(max(62 + 36 * energy + 18 * accent + rng.gauss(0, 4.5), 20), 126))
