"""What moves in a full FM voice: envelopes that hold, pitch, one LFO. Compiled; no torch, no GIL.

Pitch, LFO and filter are evaluated every `GRID` samples of the note's age and are straight lines
between. The functions here take one moment or one block, so that renderer and live voice share
them.
"""

from __future__ import annotations

import numpy as np

from renderers.kernels import ATTACK_FLOOR, Array, compile_kernel, falling, powers, sin_turns

GRID = 64  # samples between two values of pitch, LFO and filter
STEEP = 5.0  # nepers that a release falls by before its straight end
LOWEST, HIGHEST = 20.0, 0.45  # where a filter stays: Hz, and of the rate


# The envelope, a, d, r in seconds, s the level that holds, h when the key was let go:
#     f(t) = max(0, min(t / (a + 1e-5), s + (1 - s) D(t - a; d))) R(t - h; r)
#     D(x; d) = 1 for x <= 0, exp(-x / d^2) (1 - x / d) for x < d, else 0       (Audio-SDS's decay)
#     R(x; r) = 1 for x <= 0, exp(-5 x / r) (1 - x / r) for x < r, else 0
# With s = 0 and h = inf it is `kernels.envelope`, bit by bit.
@compile_kernel
def release_powers(rate: float, release: float, table: Array) -> None:
    """Fill table [K] with exp(-5 k / (rate r)): the release in a block."""
    powers(rate, np.sqrt(release / STEEP), table)


@compile_kernel
def held_envelope(
    f: Array,
    start: int,
    rate: float,
    a: float,
    d: float,
    s: float,
    held: float,
    r: float,
    table: Array,
    release_table: Array,
) -> None:
    """Fill f [K] for the samples start .. start + K - 1; held in seconds, infinite: not let go.

    `table` comes from `kernels.powers`, `release_table` from `release_powers`.
    """
    seconds, rise, inverse = 1.0 / rate, 1.0 / (a + ATTACK_FLOOR), 1.0 / d
    K = f.size
    first = min(K, max(0, int(np.ceil(a * rate)) - start))
    for k in range(first):
        f[k] = (start + k) * seconds * rise
    e = falling(((start + first) * seconds - a) / (d * d))
    for k in range(first, K):
        t = (start + k) * seconds
        up = t * rise
        down = e * table[k - first] * (1.0 - (t - a) * inverse)
        down = s + (1.0 - s) * (down if down > 0.0 else 0.0)
        f[k] = up if up < down else down
    if held * rate < start + K:
        let_go(f, start, rate, held, r, release_table)


@compile_kernel
def let_go(f: Array, start: int, rate: float, held: float, r: float, table: Array) -> None:
    """Multiply f [K] by the release R(t - held; r)."""
    first = max(0, int(np.ceil(held * rate)) - start)
    since = (start + first) / rate - held
    e = falling(STEEP * since / r)
    for k in range(first, f.size):
        left = 1.0 - (since + (k - first) / rate) / r
        f[k] *= e * table[k - first] * left if left > 0.0 else 0.0


# Its derivatives, with D' those of `kernels.envelope_slopes`, p = f / R and z = (t - h) / r:
#     attack:  df/da = -t rise^2 R
#     decay:   df/da = (1 - s) dD/da R,  df/dd = (1 - s) dD/dd R,  df/ds = (1 - D) R
#     always:  df/dr = p exp(-5 z) (6 - 5 z) z / r
@compile_kernel
def held_envelope_slopes(
    f: Array,
    slopes: Array,
    start: int,
    rate: float,
    a: float,
    d: float,
    s: float,
    held: float,
    r: float,
    table: Array,
    release_table: Array,
) -> None:
    """Fill f [K] and slopes [4, K], df/da, df/dd, df/ds, df/dr, as `held_envelope` fills f."""
    seconds, rise, inverse = 1.0 / rate, 1.0 / (a + ATTACK_FLOOR), 1.0 / d
    K = f.size
    fa, fd, fs, fr = slopes[0], slopes[1], slopes[2], slopes[3]
    first = min(K, max(0, int(np.ceil(a * rate)) - start))
    for k in range(first):
        t = (start + k) * seconds
        f[k] = t * rise
        fa[k] = -t * rise * rise
        fd[k] = 0.0
        fs[k] = 0.0
    e0 = falling(((start + first) * seconds - a) / (d * d))
    for k in range(first, K):
        t = (start + k) * seconds
        x = t - a
        up = t * rise
        g = 1.0 - x * inverse
        e = e0 * table[k - first]
        e = e if g > 0.0 else 0.0
        down = s + (1.0 - s) * (e * g)
        by_d = (1.0 - s) * (e * x * inverse * inverse * (2.0 * g * inverse + 1.0))
        by_a = (1.0 - s) * (e * inverse * (g * inverse + 1.0))
        f[k] = up if up < down else down
        fa[k] = -up * rise if up < down else by_a
        fd[k] = 0.0 if up < down else by_d
        fs[k] = 0.0 if up < down else 1.0 - e * g
    fr[:] = 0.0
    if held * rate < start + K:
        _let_go_slopes(f, slopes, start, rate, held, r, release_table)


@compile_kernel
def _let_go_slopes(
    f: Array, slopes: Array, start: int, rate: float, held: float, r: float, table: Array
) -> None:
    first = max(0, int(np.ceil(held * rate)) - start)
    since = (start + first) / rate - held
    e0 = falling(STEEP * since / r)
    for k in range(first, f.size):
        z = (since + (k - first) / rate) / r
        e = e0 * table[k - first]
        e = e if z < 1.0 else 0.0
        slopes[3, k] = f[k] * e * (STEEP + 1.0 - STEEP * z) * z / r
        gain = e * (1.0 - z)
        f[k] *= gain
        slopes[0, k] *= gain
        slopes[1, k] *= gain
        slopes[2, k] *= gain


@compile_kernel
def over(
    attack: float, decay: float, sustain: float, release: float, held: float, rate: float
) -> float:
    """The age in samples from which this envelope is zero; infinite while a held key sounds."""
    let = held + release
    return float(np.ceil((min(attack + decay, let) if sustain == 0.0 else let) * rate)) + 1.0


@compile_kernel
def last_sample(
    attack: Array,
    decay: Array,
    sustain: Array,
    release: Array,
    held: float,
    rate: float,
    samples: int,
) -> int:
    """The first sample from which every envelope [V] is zero, at most `samples`."""
    last = 0.0
    for v in range(attack.size):
        last = max(last, over(attack[v], decay[v], sustain[v], release[v], held, rate))
    return int(min(float(samples), last))


# One moment of what moves, t in seconds since the start: what the renderer has in torch
# (`renderers.full_voice`), for the live voice. The LFO is sin(2 pi hz t).
@compile_kernel
def lfo(t: float, hz: float) -> float:
    """sin(2 pi hz t)."""
    return sin_turns(hz * t)  # type: ignore[no-any-return]


@compile_kernel
def pitch_factor(t: float, start: float, time: float, depth: float, wave: float) -> float:
    """Times every frequency: `start` semitones that fade in `time`, and `depth` times the LFO."""
    return 2.0 ** ((start * np.exp(-t / time) + depth * wave) / 12.0)  # type: ignore[no-any-return]


@compile_kernel
def dip(depth: float, wave: float) -> float:
    """1 where the LFO is highest, 1 - depth where it is lowest: the factor on level or index."""
    return 1.0 - depth * (1.0 - wave) * 0.5


@compile_kernel
def swell(t: float, a: float, d: float) -> float:
    """The filter's envelope at one moment: `held_envelope` with nothing held."""
    x = max(0.0, t - a)
    down = falling(x / (d * d)) * max(0.0, 1.0 - x / d)
    return float(min(t / (a + ATTACK_FLOOR), down))


@compile_kernel
def filter_slope(hz: float, octaves: float, rate: float) -> float:
    """g = tan(pi f / rate) of the filter at f = hz 2^octaves, kept where it is stable."""
    f = min(max(hz * 2.0**octaves, LOWEST), HIGHEST * rate)
    return np.tan(np.pi * f / rate)  # type: ignore[no-any-return]


# Pitch F is a straight line between two points of the grid, so the phase of an operator at sample
# GRID j + k is cycles * (Phi_j + phase_step(F_j, F_{j+1}, k)), the exact integral of that line:
#     Phi = n where F = 1, and then it is the paper's, bit by bit.
@compile_kernel
def phase_step(now: float, then: float, k: int) -> float:
    """How far Phi goes in the first k samples after a point of the grid, pitch from now to then."""
    return now * k + (then - now) * (k * k) * (0.5 / GRID)


@compile_kernel
def line(now: float, then: float, k: int) -> float:
    """A value k samples after a point of the grid."""
    return now + (then - now) * k * (1.0 / GRID)
