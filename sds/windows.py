"""Long files in pieces: overlapping windows whose cross-fade weights sum to one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

OVERLAP = 0.25  # of a window, at least


def spans(samples: int, size: int, *, overlap: float = OVERLAP) -> list[tuple[int, int]]:
    """(begin, end) of each window of `size` samples, or less if the file is shorter.

    The last window ends where the file ends, so it may overlap its neighbour more.

    >>> spans(10, 4)
    [(0, 4), (3, 7), (6, 10)]
    """
    hop = max(1, int(size * (1 - overlap)))
    last = max(0, samples - size)
    return [(begin, min(samples, begin + size)) for begin in [*range(0, last, hop), last]]


def fades(windows: list[tuple[int, int]]) -> Iterator[Tensor]:
    """Weights [end - begin] of each window: 1 where it is alone, ramps where two meet, sum 1."""
    total = torch.zeros(windows[-1][1])
    for (begin, end), ramp in zip(windows, _ramps(windows), strict=True):
        total[begin:end] += ramp
    for (begin, end), ramp in zip(windows, _ramps(windows), strict=True):
        yield ramp / total[begin:end]


def _ramps(windows: list[tuple[int, int]]) -> Iterator[Tensor]:
    """Linear rise and fall over what each window shares with its neighbours."""
    for i, (begin, end) in enumerate(windows):
        weight = torch.ones(end - begin)
        if i > 0:
            meet = windows[i - 1][1] - begin
            weight[:meet] *= _rise(meet)
        if i + 1 < len(windows):
            meet = end - windows[i + 1][0]
            weight[len(weight) - meet :] *= _rise(meet).flip(0)
        yield weight


def _rise(n: int) -> Tensor:
    return (torch.arange(n) + 0.5) / n
