"""Tempo maps: convert between seconds and beats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

BPM = 120.0  # where no tempo is known


@dataclass(frozen=True, slots=True)
class Tempo:
    """A tempo map: (beat, beats a minute) points, each of which holds until the next."""

    points: tuple[tuple[float, float], ...] = ((0.0, BPM),)

    def __post_init__(self) -> None:
        """Refuse a map without time: no point, no tempo, no place, points that do not rise."""
        if not self.points or any(not 0 < bpm < math.inf for _, bpm in self.points):
            raise ValueError(f"a tempo map has points of more than 0 bpm, got {self.points}")
        if not all(math.isfinite(beat) for beat, _ in self.points):
            raise ValueError(f"the beats of a tempo map must be finite, got {self.points}")
        if any(a >= b for (a, _), (b, _) in pairwise(self.points)):
            raise ValueError(f"the beats of a tempo map must rise, got {self.points}")

    @property
    def spans(self) -> tuple[tuple[float, float, float], ...]:
        """(beat, seconds, bpm) of each point; the first tempo also holds from beat 0 on."""
        beat, bpm = 0.0, self.points[0][1]
        spans = [(beat, 0.0, bpm)]
        for at, following in self.points:
            if at <= 0:  # all that counts of it is the tempo at 0
                spans, bpm = [(0.0, 0.0, following)], following
                continue
            beat, seconds, bpm = spans[-1]
            spans.append((at, seconds + (at - beat) * 60 / bpm, following))
        return tuple(spans)

    def beats(self, seconds: float) -> float:
        """Where a time in seconds lies in beats. The reverse of `seconds`."""
        beat, since, bpm = next(s for s in reversed(self.spans) if s[1] <= max(seconds, 0.0))
        return beat + (seconds - since) * bpm / 60

    def seconds(self, beats: float) -> float:
        """The time of a beat in seconds. The reverse of `beats`.

        >>> Tempo(((0, 120), (4, 60))).seconds(5)
        3.0
        """
        beat, since, bpm = next(s for s in reversed(self.spans) if s[0] <= max(beats, 0.0))
        return since + (beats - beat) * 60 / bpm


def parse(text: str) -> tuple[tuple[float, float], ...]:
    """Points of a tempo map as people type them: "BPM", or "BEAT:BPM,BEAT:BPM".

    >>> parse("97.5"), parse("0:120, 16:90")
    (((0.0, 97.5),), ((0.0, 120.0), (16.0, 90.0)))
    """
    points = []
    for part in text.split(","):
        beat, colon, bpm = part.rpartition(":")
        try:
            points.append((float(beat) if colon else 0.0, float(bpm)))
        except ValueError:
            raise ValueError(
                f"a tempo map is beats a minute, or BEAT:BPM points with commas, got {text!r}"
            ) from None
    return tuple(points)


def _points(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if points:
        Tempo(points)  # refuses what makes no map
    return points


Points = Annotated[
    tuple[tuple[float, float], ...],
    BeforeValidator(lambda given: parse(given) if isinstance(given, str) else given),
    AfterValidator(_points),
]
"""A field of a model: the points of a tempo map, none when it is unknown, or text for `parse`."""
