"""Chords, modes and progressions, and how a guitar and a piano voice a chord."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

KEYS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "o": (0, 3, 6),
    "m7b5": (0, 3, 6, 10),
    "sus4": (0, 5, 7),
    "6": (0, 4, 7, 9),
    "9": (0, 4, 7, 10, 14),
}
"""Semitones of each kind of chord above its root."""

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "blues": (0, 3, 4, 5, 6, 7, 10),
}
PROGRESSIONS: dict[str, tuple[str, ...]] = {
    # a bar a word, two chords of a bar with a stroke; degrees of the major scale
    "major": (
        "1 5 6m 4",
        "1 6m 4 5",
        "1 4 1 5",
        "6m 4 1 5",
        "1 4 5 4",
        "1 3m 4 5",
        "4 1 5 6m",
        "1 5 4 4",
        "1 2m 4 5",
        "1/5 6m/4 1/5 4",
        "1 5 6m 3m 4 1 4 5",
        "1 1 4 1 5 4 1 5",
        "1 4 6m 5 1 4 2m 5",
        "4 5 3m 6m 2m 5 1 1",
        "1 1 4 4 1 1 5 5",
        "1 1 6m 6m 4 4 5 5",
        "1 3m 6m 4 1 3m 4 5 6m 4 1 5 4 4 5 5",
    ),
    "minor": (
        "1m b7 b6 b7",
        "1m b6 b3 b7",
        "1m 4m 5m 1m",
        "1m 4m b7 b3",
        "1m b7 b6 5",
        "1m b3 b7 4m",
        "b6 b7 1m 1m",
        "1m/b7 b6/b7 1m 1m",
        "1m 1m 4m 1m b6 5 1m 1m",
        "1m 1m b6 b6 b3 b3 b7 b7",
        "1m 4m 1m 5 1m 4m b6 5",
        "1m b6 4m 5",
        "1m b3 b6 b7 1m b3 4m 5 b6 b7 1m 1m b6 b7 5 5",
    ),
    "dorian": (
        "1m 4 1m 4",
        "1m b7 4 1m",
        "1m 2m b3 4",
        "1m 1m 4 4",
        "1m b3 4 1m",
        "1m 1m 4 4 b7 4 1m 1m",
        "1m 4/b7 1m 4/b7",
    ),
    "mixolydian": (
        "1 b7 4 1",
        "1 1 b7 4",
        "1 5m b7 4",
        "1 b7 1 4",
        "1 b7 1 b7 4 4 1 1",
        "1 1 4 4 b7 b7 1 1",
    ),
    "blues": (
        "1 1 1 1 4 4 1 1 5 4 1 5",
        "1 4 1 1 4 4 1 1 5 4 1/4 1/5",
        "1 4 1 1 4 4 1 6m 2m 5 1 5",
        "1m 1m 1m 1m 4m 4m 1m 1m b6 5 1m 1m",
        "1 5 4 4 1 5 1 5",
    ),
    "jazz major": (
        "2m 5 1 6m",
        "1/6m 2m/5 3m/6m 2m/5",
        "1 6m 2m 5 3m 6m 2m 5",
        "2m 5 1 1 2m 5 1 6m",
        "1 1 2m 5 3m 6m 2m/5 1",
        "1 4 3m 6m 2m 5 1 5",
        "1 6m 2m 5 1 6m 2m 5 4 4m 3m 6m 2m 5 1 1",
    ),
    "jazz minor": (
        "2o 5 1m 1m",
        "1m 4m 2o 5",
        "1m 1m 4m 4m 2o 5 1m 1m",
        "4m b7 b3 b6 2o 5 1m 1m",
        "1m b6 2o 5",
    ),
}

_DEGREE = re.compile(r"([b#]?)([1-7])(m|o)?$")
_STRINGS = (40, 45, 50, 55, 59, 64)


@dataclass(frozen=True, slots=True)
class Chord:
    """A chord: pitch class of its root 0..11, a name of `QUALITIES`."""

    root: int
    quality: str

    @property
    def tones(self) -> tuple[int, ...]:
        """Pitch classes, root first."""
        return tuple((self.root + step) % 12 for step in QUALITIES[self.quality])

    @property
    def name(self) -> str:
        """As on a lead sheet: "Ebm7"."""
        return KEYS[self.root] + {"o": "dim"}.get(self.quality, self.quality)


def read_chord(word: str, tonic: int, *, colour: str) -> Chord:
    """The chord of a degree like "b7" or "2m" above the tonic 0..11; `colour` of "triads",
    "sevenths", "dominants" (blues). Raises `ValueError` for another word.
    """
    found = _DEGREE.match(word)
    if found is None:
        raise ValueError(f"a chord must be a degree such as 1, b7, 2m or 2o, got {word!r}")
    accidental, degree, kind = found.groups()
    step = SCALES["major"][int(degree) - 1] + {"": 0, "b": -1, "#": 1}[accidental]
    quality = kind or ""
    if colour != "triads":
        dominant = colour == "dominants" or degree == "5" or (accidental, degree) == ("b", "7")
        quality = {"": "7" if dominant else "maj7", "m": "m7", "o": "m7b5"}[quality]
    return Chord((tonic + step) % 12, quality)


def read_progression(text: str, tonic: int, *, colour: str) -> list[tuple[Chord, ...]]:
    """One tuple of one or two chords for each bar."""
    return [
        tuple(read_chord(word, tonic, colour=colour) for word in bar.split("/"))
        for bar in text.split()
    ]


def above(pitch_class: int, low: int) -> int:
    """The lowest key from `low` on with this pitch class."""
    return low + (pitch_class - low) % 12


def guitar_voicing(chord: Chord, position: int) -> list[int]:
    """Keys from the lowest string up, as fingers within four frets of `position` find them:
    the root lowest, at most a note a string; open strings at position 0.
    """
    keys: list[int] = []
    for string in _STRINGS:
        for fret in range(position, position + 5):
            key = string + fret
            pitch = key % 12
            if pitch in chord.tones and (keys or pitch == chord.root):
                keys.append(key)
                break
    return keys


def power_chord(chord: Chord, low: int = 40) -> list[int]:
    """Root, fifth and octave from the low strings."""
    root = above(chord.root, low)
    return [root, root + (6 if chord.quality in ("o", "m7b5") else 7), root + 12]


def piano_voicing(chord: Chord, before: Sequence[int], low: int = 53, high: int = 77) -> list[int]:
    """The close inversion in low..high whose keys move least from those before (voice leading);
    with none before, the one nearest to the middle.
    """
    aim = sum(before) / len(before) if before else (low + high) / 2
    best: list[int] = []
    cost = 1e9
    pitches = list(dict.fromkeys(chord.tones))
    for turn in range(len(pitches)):
        keys: list[int] = []
        for pitch in pitches[turn:] + pitches[:turn]:
            keys.append(above(pitch, keys[-1] + 1 if keys else low))
        for shift in (0, 12):
            moved = [key + shift for key in keys]
            if moved[-1] > high:
                continue
            new = abs(sum(moved) / len(moved) - aim)
            if len(before) == len(moved):
                new = sum(abs(a - b) for a, b in zip(moved, before, strict=True)) / len(moved)
            if new < cost:
                best, cost = moved, new
    return best
