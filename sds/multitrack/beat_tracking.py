"""Find the beats of what is given, where nobody says them.

Dynamic programming over onset strength (Ellis 2007, doi 10.1080/09298210701653344, eq. 2-5): beats
lie where onsets are strong, and as far apart as the tempo says, more or less.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from sds.metrics.onsets import FRAMES, onset_strength, smooth, tempo

TIGHTNESS = 100.0  # cost of a beat that comes too early or late, log of the ratio squared
LEAST = 4  # beats; fewer say no tempo
CLEAR = 1.2  # deviations that onsets at the beats stand above the mean at least

ON = 0.5  # mean cosine of beats' places on a grid; of those at random 0

Array = npt.NDArray[np.float64]
Beats: TypeAlias = Callable[[float], float]
"""Seconds from the beginning -> position in beats."""


def find_beats(audio: Tensor, rate: int) -> Array | None:
    """Seconds [K] of the beats of audio [C, T] at `rate` Hz; None where no beat is clear."""
    strength = onset_strength(audio, rate)
    bpm = tempo(strength)
    if math.isnan(bpm):
        return None
    local = smooth(strength.clamp_min(0).sqrt()).double().numpy()
    local = (local - local.mean()) / max(float(local.std()), 1e-9)
    frames = _track(local, 60 * FRAMES / bpm)
    if len(frames) < LEAST or local[frames].mean() < CLEAR:
        return None
    return np.asarray(frames / FRAMES, np.float64)


def _track(local: Array, period: float) -> npt.NDArray[np.int64]:
    """Frames of the beats in a local score [L], about `period` frames apart."""
    back = np.arange(-round(2 * period), -round(period / 2) + 1)
    cost = -TIGHTNESS * np.square(np.log(-back / period))
    total, before = local.copy(), np.full(len(local), -1)
    for frame in range(-int(back[-1]), len(local)):
        first = max(0, -int(back[0]) - frame)
        scores = total[frame + back[first:]] + cost[first:]
        best = int(scores.argmax())
        if scores[best] > 0:
            total[frame] += scores[best]
            before[frame] = frame + back[first + best]
    frame = len(local) - round(period) + int(total[len(local) - round(period) :].argmax())
    found = []
    while frame >= 0:
        found.append(frame)
        frame = int(before[frame])
    return np.array(found[::-1], np.int64)


def lie_on(seconds: Array, grid: Beats) -> bool:
    """Whether beats at `seconds` [K] lie on the beats of a grid, or on halves of them."""
    turns = 4 * np.pi * np.array([grid(float(at)) for at in seconds])
    return bool(np.cos(turns).mean() > ON)


def counted(seconds: Array) -> Beats:
    """Position among the beats at `seconds` [K]; outside of them the tempo of all goes on."""
    beats = np.arange(len(seconds), dtype=np.float64)
    length = (seconds[-1] - seconds[0]) / (len(seconds) - 1)

    def position(at: float) -> float:
        if at <= seconds[0]:
            return float((at - seconds[0]) / length)
        if at >= seconds[-1]:
            return float(beats[-1] + (at - seconds[-1]) / length)
        return float(np.interp(at, seconds, beats))

    return position
