"""The state-variable filter after the operators, and its gradient. Compiled; no torch, no GIL.

Zavalishin, The Art of VA Filter Design, the topology-preserving transform of the two integrators:
    v3 = x - s2,  a1 = 1 / (1 + g (g + k)),  a2 = g a1,  a3 = g a2
    v1 = a1 s1 + a2 v3                       band-pass
    v2 = s2 + a2 s1 + a3 v3                  low-pass;  high-pass: x - k v1 - v2
    s1 = 2 v1 - s1,  s2 = 2 v2 - s2
g = tan(pi f / rate) may change with every sample; what is heard is
    y = taps_0 x + taps_1 v1 + taps_2 v2.
"""

from __future__ import annotations

import numpy as np

from renderers.kernels import SILENT, Array, compile_kernel, dot
from renderers.movement import GRID, line


@compile_kernel
def filter_block(
    x: Array,
    at: int,
    g0: float,
    g1: float,
    k: float,
    taps: Array,
    s: Array,
    y: Array,
    history: Array,
) -> None:
    """Filter x [K] into y [K], which may be x: samples `at` to at + K <= GRID after a grid point.

    g is g0 at that point and g1 at the next one.
    taps [3] from `mix_modes`, s [2] the states before and after. Fills history [2, K] with the
    states before each sample unless it is empty. States that have died away become zero.
    """
    s1, s2 = s[0], s[1]
    if abs(s1) + abs(s2) < SILENT:
        s1, s2 = 0.0, 0.0
    keep = history.size > 0
    for n in range(x.size):
        g = line(g0, g1, at + n)
        a1 = 1.0 / (1.0 + g * (g + k))
        a2 = g * a1
        a3 = g * a2
        if keep:
            history[0, n] = s1
            history[1, n] = s2
        xn = x[n]
        v3 = xn - s2
        v1 = a1 * s1 + a2 * v3
        v2 = s2 + (a2 * s1 + a3 * v3)
        s1 = 2.0 * v1 - s1
        s2 = 2.0 * v2 - s2
        y[n] = taps[0] * xn + taps[1] * v1 + taps[2] * v2
    s[0], s[1] = s1, s2


@compile_kernel
def mix_modes(mode: float, k: float, taps: Array) -> None:
    """The taps [3] of a mode: 0 low-pass, 0.5 band-pass (times k), 1 high-pass, and between."""
    low, high = max(0.0, 1.0 - 2.0 * mode), max(0.0, 2.0 * mode - 1.0)
    band = 1.0 - abs(2.0 * mode - 1.0)
    taps[0], taps[1], taps[2] = high, k * (band - high), low - high


@compile_kernel
def filter_forward(
    x: Array,
    sounding: int,
    level: Array,
    slope: Array,
    k: float,
    taps: Array,
    y: Array,
    history: Array,
) -> None:
    """Filter x [T] times level into y [T]; level and slope (g) [J] every `GRID` samples.

    From `sounding` on x is zero: there the filter rings until it is silent. Fills history [2, T]
    with the states before each sample unless it is empty.
    """
    T = x.size
    s = np.zeros(2)
    scaled = np.empty(GRID)
    for start in range(0, T, GRID):
        j = start // GRID
        K = min(GRID, T - start)
        if start >= sounding and abs(s[0]) + abs(s[1]) < SILENT:
            y[start:] = 0.0
            if history.size > 0:
                history[:, start:] = 0.0
            break
        for n in range(K):
            scaled[n] = x[start + n] * line(level[j], level[j + 1], n)
        stop = start + K
        kept = history[:, start:stop]
        filter_block(scaled[:K], 0, slope[j], slope[j + 1], k, taps, s, y[start:stop], kept)


# The adjoint. With G the gradient of the loss with respect to y and p_1, p_2 those with respect to
# the states after a sample:
#     V1 = taps_1 G + 2 p_1,  V2 = taps_2 G + 2 p_2,  V3 = a2 V1 + a3 V2,  dL/dx = taps_0 G + V3
#     p_1 <- a1 V1 + a2 V2 - p_1,                         p_2 <- V2 - V3 - p_2
#     dL/da1 = V1 s1,    dL/da2 = V1 v3 + V2 s1,    dL/da3 = V2 v3
# and with D = dL/da1 + g dL/da2 + g^2 dL/da3 everything that goes through a1,
#     dL/dg = -D a1^2 (2 g + k) + a1 dL/da2 + 2 g a1 dL/da3,            dL/dk = -D a1^2 g
@compile_kernel
def filter_adjoint(
    x: Array,
    level: Array,
    slope: Array,
    k: float,
    taps: Array,
    history: Array,
    gradient: Array,
    d_level: Array,
    d_slope: Array,
    d_k: Array,
    d_taps: Array,
) -> None:
    """The gradient of `filter_forward`: gradient [T] in, that of x out in its place.

    history [2, T] as kept; d_level, d_slope [J], d_k [1] and d_taps [3] come in as zeros.
    """
    T = x.size
    g, gain, a1, v3, dx, V1, V2, scratch = np.empty((8, GRID))
    ramp = np.arange(GRID) * (1.0 / GRID)
    ones = np.ones(GRID)
    p1, p2 = 0.0, 0.0
    for start in range((T - 1) // GRID * GRID, -1, -GRID):
        j = start // GRID
        K = min(GRID, T - start)
        s1, s2 = history[0, start : start + K], history[1, start : start + K]
        G = gradient[start : start + K]
        for n in range(K):
            gain[n] = line(level[j], level[j + 1], n)
            g[n] = line(slope[j], slope[j + 1], n)
            a1[n] = 1.0 / (1.0 + g[n] * (g[n] + k))
            v3[n] = gain[n] * x[start + n] - s2[n]
        for n in range(K - 1, -1, -1):
            a2 = g[n] * a1[n]
            one, two = taps[1] * G[n] + 2.0 * p1, taps[2] * G[n] + 2.0 * p2
            three = a2 * one + g[n] * a2 * two
            V1[n], V2[n] = one, two
            dx[n] = taps[0] * G[n] + three
            p1 = a1[n] * one + a2 * two - p1
            p2 = two - three - p2
        for n in range(K):
            scratch[n] = x[start + n] * gain[n]
        d_taps[0] += dot(G, scratch)
        for n in range(K):
            scratch[n] = a1[n] * s1[n] + g[n] * a1[n] * v3[n]
        d_taps[1] += dot(G, scratch)
        for n in range(K):
            scratch[n] = s2[n] + g[n] * scratch[n]  # v2 = s2 + g v1
        d_taps[2] += dot(G, scratch)
        for n in range(K):
            by_a1 = V1[n] * s1[n]
            by_a2 = V1[n] * v3[n] + V2[n] * s1[n]
            by_a3 = V2[n] * v3[n]
            through = (by_a1 + g[n] * (by_a2 + g[n] * by_a3)) * a1[n] * a1[n]
            scratch[n] = -through * g[n]
            V1[n] = a1[n] * (by_a2 + 2.0 * g[n] * by_a3) - through * (2.0 * g[n] + k)
            V2[n] = dx[n] * x[start + n]
            G[n] = dx[n] * gain[n]
        d_k[0] += dot(scratch[:K], ones)
        later = dot(V1[:K], ramp)
        d_slope[j] += dot(V1[:K], ones) - later
        d_slope[j + 1] += later
        later = dot(V2[:K], ramp)
        d_level[j] += dot(V2[:K], ones) - later
        d_level[j + 1] += later
