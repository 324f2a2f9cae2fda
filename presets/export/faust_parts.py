"""What Faust programs of FM and of impacts have in common: numbers as text, noise in bands.

A band is two equal band-passes whose joint gain is 1/2 half-way to its neighbours, where both
are a quarter of a turn off and meet in opposite phase: every second band is turned over. The
outer bands reach to the ends, as ours do, with slopes that meet their neighbours' likewise.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterable, Sequence

LOWEST_BAND, HIGHEST_BAND = 40.0, 16000.0  # Hz, centres: those of our noise
RATE = 44100  # at which the power of noise is computed
POINTS = 400  # of that integral

NOISE = """
lcg = (*(1103515245) : *(1 - trigger) : +(12345)) ~ _;
noise = playing * lcg / 2147483647.0 * sqrt(30.0 / ma.SR);
whole(f) = _;
low_end(f) = cut : cut with {{ cut = fi.lowpass(1, f * {edge}); }};
high_end(f) = cut : cut with {{ cut = fi.highpass(1, f / {edge}); }};
band(f) = pass : pass with {{
  w = 2 * ma.PI * f / ma.SR;
  a = sin(w) * {narrow};
  pass = fi.tf2(a/(1 + a), 0, 0 - a/(1 + a), 0 - 2*cos(w)/(1 + a), (1 - a)/(1 + a));
}};
"""


def number(x: float) -> str:
    """The shortest text that is this number."""
    return repr(float(x))


def listed(numbers: Iterable[float]) -> str:
    """Numbers with commas between them."""
    return ", ".join(map(number, numbers))


def noise(bands: int) -> str:
    """`NOISE` for this many bands."""
    spacing = _spacing(bands)
    # 1 / (2 Q): a gain of 1/2 at spacing / 2
    return NOISE.format(edge=number(math.exp(spacing / 2)), narrow=number(math.sinh(spacing / 2)))


def centres(bands: int) -> list[float]:
    """Hz of each band."""
    return [LOWEST_BAND * math.exp(_spacing(bands) * i) for i in range(bands)]


def sides(bands: int) -> list[str]:
    """The filter of each band, as `NOISE` names them."""
    return ["low_end", *["band"] * (bands - 2), "high_end"] if bands > 1 else ["whole"]


def power(weights: Sequence[float]) -> float:
    """Mean square at 44.1 kHz of the noise in bands, each times its weight (with its sign)."""
    bands = len(weights)
    heard = [(m, w, hz) for m, (w, hz) in enumerate(zip(weights, centres(bands), strict=True)) if w]
    low, high = 10.0, RATE / 2.0
    step = math.log(high / low) / POINTS
    total = 0.0
    for i in range(POINTS):
        hz = low * math.exp((i + 0.5) * step)
        gain = sum(w * _response(m, bands, centre, hz) ** 2 for m, w, centre in heard)
        total += abs(gain) ** 2 * hz * step
    return 10.0 / RATE * total / high


def _spacing(bands: int) -> float:
    return math.log(HIGHEST_BAND / LOWEST_BAND) / max(1, bands - 1)


def _response(m: int, bands: int, centre: float, hz: float) -> complex:
    """Of one of the two equal filters of band m."""
    s = 1j * math.tan(math.pi * hz / RATE)
    spacing = _spacing(bands)
    if bands == 1:
        return 1.0
    if m in (0, bands - 1):
        edge = centre * math.exp(spacing / 2 if m == 0 else -spacing / 2)
        corner = math.tan(math.pi * edge / RATE)
        return corner / (s + corner) if m == 0 else s / (s + corner)
    w, z = 2.0 * math.pi * centre / RATE, cmath.exp(-2j * math.pi * hz / RATE)
    a = math.sin(w) * math.sinh(spacing / 2)
    return a * (1.0 - z * z) / (1.0 + a - 2.0 * math.cos(w) * z + (1.0 - a) * z * z)
