"""How far presets are from each other: the distance of their knobs, each over its range in use.

A preset file holds physical values and not the ranges of its renderer, which are no business of
this package. So a knob's range is what the compared presets span, and its curve is guessed: log
when they are all positive and their median lies nearer to the geometric than to the arithmetic
middle of the range, else linear. Every knob counts the same; no ear is involved.
"""

from __future__ import annotations

import math
import struct
from array import array

SAMPLE = 501  # values that a median is taken of: a sort of ten thousand a knob costs too much


def positions(knobs: array[float], width: int) -> array[float]:
    """Physical values [N * width], preset by preset, to 0 .. 1 over the range of each knob.

    A knob that is the same everywhere is at 0.

    >>> list(positions(array("d", [0.0, 5.0, 1.0, 5.0, -1.0, 5.0]), 2))
    [0.5, 0.0, 1.0, 0.0, 0.0, 0.0]
    """
    out = array("f", bytes(4 * len(knobs)))
    for knob in range(width):
        column = knobs[knob::width]
        low, high = min(column), max(column)
        if is_log(column, low, high):
            column = array("d", map(math.log, column))
            low, high = math.log(low), math.log(high)
        span = high - low
        if 0.0 < span < math.inf:
            out[knob::width] = array("f", [(value - low) / span for value in column])
    return out


def distances(here: int, places: array[float], width: int) -> list[float]:
    """Root mean square over the knobs of the difference between preset number `here` and each [N].

    `places` [N * width] are `positions`; 0 for the same values, 1 for opposite ends of every knob.
    """
    rows = list(struct.iter_unpack(f"{width}f", places))
    scale = 1.0 / math.sqrt(width)
    return [math.dist(rows[here], row) * scale for row in rows]


def is_log(column: array[float], low: float, high: float) -> bool:
    """Whether the values of one knob, in low .. high, are spread evenly in their logarithm."""
    if low <= 0.0 or high <= 2.0 * low:  # below an octave both curves are nearly the same
        return False
    some = sorted(column[:: max(1, len(column) // SAMPLE)])
    middle = some[len(some) // 2]
    return middle < math.sqrt(math.sqrt(low) * math.sqrt(high) * (low / 2 + high / 2))
