"""A look-ahead peak limiter, compiled: what the live output ends in. Loads no torch.

With x the signal, c the ceiling, and a window of W samples:
    r[n] = min(1, c / |x[n]|)                   the gain that x[n] needs
    m[n] = min(r[n - W + 1] .. r[n])            as far ahead as the delay allows
    h[n] = min(m[n], h[n-1] + (1 - h[n-1]) a)   falls at once, rises in the release
    y[n] = x[n - L] g[n],  g = h averaged over A samples, twice
The average reaches A + A - 2 = L samples back, and each h in it has x[n - L] in its window when
W = L + 1: so g[n] <= r[n - L], and |y| <= c whatever x does. The two averages make the gain's slope
continuous, which is why nothing clicks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderers.kernels import compile_kernel

Array = NDArray[np.float64]

CEILING = 10.0 ** (-1.0 / 20.0)  # -1 dBFS: what lies between samples may be louder
LOOK_AHEAD = 0.0015  # seconds, the latency
RELEASE = 0.08  # seconds, time constant
WHOLE = 1.0 - 1e-6  # a gain above this is 1


class Limiter(NamedTuple):
    """The state of one limiter."""

    signal: Array  # [L] x on its way
    need: Array  # [W] r
    gain: Array  # [A] h
    smooth: Array  # [A] h averaged once
    now: Array  # [5] m, h, the sums over `gain` and `smooth`, the release's share a
    at: NDArray[np.int64]  # [5] places in the four rings, samples since h was below 1


def limiter(rate: float) -> Limiter:
    """A limiter at rest."""
    A = max(1, round(0.5 * LOOK_AHEAD * rate)) + 1
    share = 1.0 - np.exp(-1.0 / (RELEASE * rate))
    return Limiter(
        np.zeros(2 * A - 2),
        np.ones(2 * A - 1),
        np.ones(A),
        np.ones(A),
        np.array([1.0, 1.0, A, A, share]),
        np.array([0, 0, 0, 0, 2 * A]),
    )


@compile_kernel
def _turn(place: int, ring: Array) -> int:
    return place + 1 if place + 1 < ring.size else 0


@compile_kernel
def _gain(L: Limiter, need: float) -> float:
    """g of the sample that leaves as one that needs `need` comes."""
    now, at = L.now, L.at
    gone = L.need[at[1]]
    L.need[at[1]] = need
    at[1] = _turn(at[1], L.need)
    if need <= now[0]:
        now[0] = need
    elif gone <= now[0]:  # the smallest has left the window
        now[0] = L.need.min()
    h = now[1] + (1.0 - now[1]) * now[4]
    h = min(now[0], 1.0 if h > WHOLE else h)
    now[1] = h
    now[2] += h - L.gain[at[2]]
    L.gain[at[2]] = h
    at[2] = _turn(at[2], L.gain)
    once = now[2] / L.gain.size
    now[3] += once - L.smooth[at[3]]
    L.smooth[at[3]] = once
    at[3] = _turn(at[3], L.smooth)
    at[4] = at[4] + 1 if h == 1.0 else 0
    if at[4] == 2 * L.gain.size:  # rounding errors do not outlive a pause
        L.gain[:] = 1.0
        L.smooth[:] = 1.0
        now[2] = now[3] = L.gain.size
    return float(min(1.0, now[3] / L.smooth.size))


@compile_kernel
def limit(L: Limiter, x: NDArray[np.float32], gain: float, out: NDArray[np.float32]) -> None:
    """Fill out [T] with x [T] times `gain`, late by the look-ahead, within +-`CEILING`.

    x is finite. Where nothing is too loud, out is exactly gain x, rounded to float32.
    """
    resting = 2 * L.gain.size
    for k in range(x.size):
        v = float(x[k]) * gain
        size = abs(v)
        if size <= CEILING and L.at[4] >= resting:
            g = 1.0
        else:
            g = _gain(L, 1.0 if size <= CEILING else CEILING / size)
        out[k] = L.signal[L.at[0]] * g
        L.signal[L.at[0]] = v
        L.at[0] = _turn(L.at[0], L.signal)
