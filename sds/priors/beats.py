"""Where the beats are, as the model of four stems is told: cosine and sine of the phase within a
beat, and within a bar where that is known. Where nothing is known all four are 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BEATS = 4  # numbers a frame


def beat_maps(position: Tensor, bar: int | None) -> Tensor:
    """Numbers [..., 4, L] of frames at `position` [..., L], in beats from the first of a bar of
    `bar` beats; None: it is not known where bars begin.
    """
    beat = 2 * math.pi * position
    within = beat / bar if bar else torch.zeros_like(beat)
    known = 1.0 if bar else 0.0
    maps = [beat.cos(), beat.sin(), known * within.cos(), known * within.sin()]
    return torch.stack(maps, dim=-2)


def steady(frames: int, seconds: float, tempo: float, bar: int = 4) -> Tensor:
    """Numbers [4, L] of `frames` frames, one each `seconds`, at `tempo` beats a minute; a bar of
    `bar` beats begins with the first.
    """
    return beat_maps(torch.arange(frames) * (seconds * tempo / 60), bar)
