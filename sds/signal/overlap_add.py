"""Long files in pieces: overlapping windows whose cross-fade weights sum to one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

OVERLAP = 0.25  # of a window, at least

Span: TypeAlias = tuple[int, int]
"""(begin, end) in samples."""


def spans(samples: int, size: int, *, overlap: float = OVERLAP) -> list[Span]:
    """(begin, end) of each window of `size` samples, or less if the file is shorter.

    The last window ends where the file ends, so it may overlap its neighbour more.

    >>> spans(10, 4)
    [(0, 4), (3, 7), (6, 10)]
    """
    hop = max(1, int(size * (1 - overlap)))
    last = max(0, samples - size)
    return [(begin, min(samples, begin + size)) for begin in [*range(0, last, hop), last]]


def even_spans(samples: int, size: int, *, shared: int) -> list[Span]:
    """As few windows of at most `size` samples as it takes, equally long, each sharing `shared`
    samples with the next; the last may be some samples shorter.

    `spans` keeps the size, this the work: 21 s in windows of at most 20 s are two of 11 s, not two
    of 20 s. `shared` must be at most a quarter of `size`: then no sample is in three windows.

    >>> even_spans(21, 20, shared=1)
    [(0, 11), (10, 21)]
    """
    if not 0 <= 4 * shared <= size:
        raise ValueError(f"shared must be 0 .. {size // 4}, a quarter of size, got {shared}")
    if samples <= size:
        return [(0, samples)]
    # n windows with hop h cover n h + shared samples, and h + shared <= size
    count = -(-(samples - shared) // (size - shared))
    hop = -(-(samples - shared) // count)
    return [
        (begin, min(samples, begin + hop + shared)) for begin in range(0, samples - shared, hop)
    ]


def fades(windows: Sequence[Span]) -> Iterator[Tensor]:
    """Weights [end - begin] of each window: 1 where it is alone, ramps where two meet, sum 1."""
    for i, (begin, end) in enumerate(windows):
        ramp = _ramp(windows, i)
        total = ramp.clone()
        for j in range(max(0, i - 2), min(len(windows), i + 3)):
            low, high = max(begin, windows[j][0]), min(end, windows[j][1])
            if j != i and low < high:
                first = windows[j][0]
                total[low - begin : high - begin] += _ramp(windows, j)[low - first : high - first]
        yield ramp / total


def overlap_add(windows: Sequence[Span], faded: Iterable[Tensor]) -> Iterator[Tensor]:
    """The sum of faded pieces [..., end - begin] in order, each stretch as soon as it is whole.

    What comes out is, one after another, all samples from the first window's begin to the last
    one's end; at most two pieces are in memory.
    """
    waiting: Tensor | None = None  # begins where the next window does
    for i, piece in enumerate(faded):
        begin, end = windows[i]
        until = windows[i + 1][0] if i + 1 < len(windows) else end
        whole = piece if waiting is None else piece.clone()
        if waiting is not None:
            whole[..., : waiting.shape[-1]] += waiting
        yield whole[..., : until - begin]
        waiting = whole[..., until - begin :]


def reflect_pad(part: Tensor, size: int) -> Tensor:
    """`part` [..., T] made `size` samples long by mirroring it at its ends, as often as it takes.

    >>> reflect_pad(torch.tensor([1, 2, 3]), 8).tolist()
    [1, 2, 3, 2, 1, 2, 3, 2]
    """
    length = part.shape[-1]
    if size <= length:
        return part[..., :size]
    period = max(1, 2 * length - 2)
    place = torch.arange(size) % period
    return part[..., torch.where(place < length, place, period - place)]


def _ramp(windows: Sequence[Span], i: int) -> Tensor:
    """Linear rise and fall over what window i shares with its neighbours."""
    begin, end = windows[i]
    weight = torch.ones(end - begin)
    if i > 0:
        meet = windows[i - 1][1] - begin
        weight[:meet] *= _rise(meet)
    if i + 1 < len(windows):
        meet = end - windows[i + 1][0]
        weight[len(weight) - meet :] *= _rise(meet).flip(0)
    return weight


def _rise(n: int) -> Tensor:
    return (torch.arange(n) + 0.5) / n
