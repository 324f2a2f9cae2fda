"""Where a held sound repeats: loop points for samplers, and the seam between them.

A loop is samples start .. end - 1; after the last the sampler goes on at `start`. The two places
are chosen alike in phase and loudness, so a periodic sound is looped by whole periods, and the end
is then faded into what comes before the start, so that no loop has a jump.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Audio = NDArray[np.float32]  # [C, T]

SHORTEST, LONGEST = 0.4, 1.6  # seconds of a loop, as far as there is room
WINDOW = 0.04  # seconds on either side of a point that are compared
NEAR = 0.02  # seconds that a loop may differ from whole cycles of an LFO
FADE = 0.04  # seconds of the seam where it repeats, and where it does not
LONG_FADE = 0.25
ALIKE = 0.02  # of the power: what differs between two places that are the same
GUARD = 32  # samples after the end, which samplers look at as they interpolate


def find(audio: Audio, start: int, rate: int, every: float = 0.0) -> tuple[int, int]:
    """(start, end) of the loop of `audio` [C, T] that repeats best, not before sample `start`.

    `every` in seconds: what the length is to be a multiple of, as an LFO's cycle; 0 for anything.
    Raises `ValueError` when there is no room for a loop behind `start`.
    """
    window, total = round(WINDOW * rate), audio.shape[1]
    first = max(start, window)
    room = total - first - window
    shortest = min(round(SHORTEST * rate), room // 2)
    if shortest < GUARD:
        raise ValueError(f"a loop needs more than {total - start} samples behind {start}")
    longest = min(room, max(round(LONGEST * rate), round(every * rate) + window))
    lengths = np.arange(shortest, longest + 1)
    if every > 0.0:
        cycles = lengths / (every * rate)
        off = np.abs(cycles - np.maximum(1.0, np.round(cycles))) * every
        near = off <= NEAR
        lengths = lengths[near] if near.any() else lengths
    far = _differences(audio.astype(np.float64), first, window, longest)[lengths]
    # of places that are equally alike the first: short loops are small files
    best = int(np.argmax(far <= far.min() + 1e-6))
    return first, first + int(lengths[best])


# With a the samples around the start and b those as far around the end, the share of power in
# which they differ is |a - b|^2 / (|a|^2 + |b|^2) = 1 - 2 <a, b> / (|a|^2 + |b|^2): 0 for the same
# phase and loudness. For all lengths at once <a, b> is a correlation and |b|^2 a running sum.
def _differences(x: NDArray[np.float64], at: int, window: int, longest: int) -> NDArray[np.float64]:
    """The difference [longest + 1] of x [C, T] around `at` and around `at` + length."""
    a = x[:, at - window : at + window]
    b = x[:, at - window : at + window + longest]
    product = sum(fftconvolve(p, q[::-1], mode="valid") for p, q in zip(b, a, strict=True))
    power = np.concatenate([[0.0], np.cumsum((b * b).sum(0))])
    powers = power[2 * window :] - power[: -2 * window]
    result: NDArray[np.float64] = 1.0 - 2.0 * product / (powers + powers[0] + 1e-30)
    return result


def seamless(audio: Audio, loop: tuple[int, int], rate: int) -> Audio:
    """`audio` [C, T] up to the loop's end, faded there into what leads to its start; [C, end + 32].

    With f from 0 to 1 the seam is (1 - f) x + f y, where x leads to the end and y to the start,
    over sqrt(f^2 + (1-f)^2 + 2 r f (1-f)), r their correlation: as loud as both all along.
    """
    start, end = loop
    x = audio[:, :end].astype(np.float64)
    count = min(round(FADE * rate), start, end - start)
    away = x[:, end - count : end] - x[:, start - count : start]
    if (away * away).sum() > ALIKE * (x[:, end - count : end] ** 2).sum():
        count = min(round(LONG_FADE * rate), start, (end - start) // 2)
    leaving, coming = x[:, end - count : end], x[:, start - count : start]
    powers = np.sqrt((leaving**2).sum() * (coming**2).sum())
    alike = float(np.clip((leaving * coming).sum() / max(powers, 1e-30), 0.0, 1.0))
    f = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, count + 1) / count)
    loudness = np.sqrt(f**2 + (1.0 - f) ** 2 + 2.0 * alike * f * (1.0 - f))
    x[:, end - count : end] = ((1.0 - f) * leaving + f * coming) / loudness
    guard = x[:, start : start + GUARD]
    result: Audio = np.concatenate([x, guard], axis=1).astype(np.float32)
    return result
