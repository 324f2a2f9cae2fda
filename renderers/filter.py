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

from renderers.kernels import SILENT, Array, compile_kernel
from renderers.movement import GRID, line


@compile_kernel
def filter_block(
    x: Array, g0: float, g1: float, k: float, taps: Array, s: Array, y: Array, history: Array
) -> None:
    """Filter x [K], K <= GRID, into y [K], which may be x; g goes from g0 to g1 over GRID samples.

    taps [3] from `mix_modes`, s [2] the states before and after. Fills history [2, K] with the
    states before each sample unless it is empty. States that have died away become zero.
    """
    s1, s2 = s[0], s[1]
    if abs(s1) + abs(s2) < SILENT:
        s1, s2 = 0.0, 0.0
    keep = history.size > 0
    for n in range(x.size):
        g = line(g0, g1, n)
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
