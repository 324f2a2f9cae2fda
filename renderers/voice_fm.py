"""FM rows of the real-time voice, block after block: the paper's, and the full voice.

Both go on from the last u, the phases and the age. Without bend and at depths as designed they are
the renderer's sound: the full voice's too when its key goes up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from renderers.filter import filter_block
from renderers.kernels import ROUND, compile_kernel, envelope, fm_block, fm_block_indexed
from renderers.movement import (
    GRID,
    dip,
    filter_slope,
    held_envelope,
    lfo,
    line,
    over,
    phase_step,
    pitch_factor,
    swell,
)
from renderers.noise import PERIOD
from renderers.voice_patch import ENVELOPES, MOVES, NOISE, OPERATORS
from renderers.voice_state import (
    CHUNK,
    INDEX,
    LEVEL,
    LOOPS,
    PITCH,
    PRESSED,
    SLOPE,
    Array,
    Hands,
    Voices,
)

MOVING = 2  # samples a look at bend and depth while they move: 8 were heard as clicks
GLIDE = 0.006  # seconds, time constant of bend and depth
DEEPEST = 2.0  # x modulation as designed: what a knob does at its end, a touch does not exceed
RUNG_OUT = 1e-6  # of full scale: a filter that rings below this has ended

(
    PITCH_START,
    PITCH_TIME,
    LFO_HZ,
    LFO_TO_PITCH,
    LFO_TO_LEVEL,
    LFO_TO_INDEX,
    LFO_TO_FILTER,
    FILTER_HZ,
    FILTER_KEY,
    FILTER_ENV,
    FILTER_ATTACK,
    FILTER_DECAY,
) = range(len(MOVES))


@compile_kernel
def allowed_depth(H: Hands, key: int, slot: int, loops: bool) -> float:
    """Factor on modulation: what a knob allows, and in loops no more than as designed."""
    depth = float(H.depth[slot])
    return min(depth * float(H.touch[key]), depth if loops else max(depth, DEEPEST))


@compile_kernel
def _towards(now: float, target: float, share: float) -> float:
    if abs(target - now) < 1e-6:
        return target
    return now + (target - now) * share


@compile_kernel
def _look(V: Voices, i: int, H: Hands, rate: float, most: int) -> int:
    """Let bend and depth follow the hands; how many samples, up to `most`, they now rest."""
    bend = H.bend[V.key[i]]
    depth = allowed_depth(H, V.key[i], V.slot[i], V.kind[i] == LOOPS)
    if V.bend[i] == bend and V.depth[i] == depth:
        return most
    K = min(MOVING, most)
    share = 1.0 - np.exp(-K / (GLIDE * rate))
    V.bend[i] = _towards(V.bend[i], bend, share)
    V.depth[i] = _towards(V.depth[i], depth, share)
    return K


@compile_kernel
def advance_paper(V: Voices, i: int, H: Hands, rate: float, y: Array, S: Array) -> None:
    """Go on with FM row i: fill y [K]. S is `voice_state.scratch`."""
    count, loops = V.operators[i], V.kind[i] == LOOPS
    f, phase, none, matrix = S[0], S[1], S[2, :, :0], S[2, :OPERATORS]
    n = 0
    while n < y.size:
        K = _look(V, i, H, rate, min(CHUNK, y.size - n))
        for v in range(count):
            envelope(f[v, :K], V.age[i] + n, rate, V.attack[i, v], V.decay[i, v], V.table[i, v])
            c = V.cycles[i, v] * V.bend[i]
            for k in range(K):
                x = V.phase[i, v] + c * k
                phase[v, k] = x - ((x + ROUND) - ROUND)
            x = V.phase[i, v] + c * K
            V.phase[i, v] = x - ((x + ROUND) - ROUND)
            for w in range(count):
                matrix[v, w] = V.matrix[i, v, w] * (V.depth[i] if v != w or loops else 1.0)
        u, mix, out = V.u[i], V.mix[i], y[n : n + K]
        if count == 4:
            four = (u[0], u[1], u[2], u[3])
            if loops:
                four = fm_block(four, True, phase, f, matrix, mix, out, none)
            else:
                four = fm_block(four, False, phase, f, matrix, mix, out, none)
            for v in range(4):
                u[v] = four[v]
        else:
            eight = (u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7])
            if loops:
                eight = fm_block(eight, True, phase, f, matrix, mix, out, none)
            else:
                eight = fm_block(eight, False, phase, f, matrix, mix, out, none)
            for v in range(8):
                u[v] = eight[v]
        n += K


@compile_kernel
def _operators(V: Voices, i: int, phi: Array, index: Array, S: Array, y: Array) -> None:
    """The operators of full row i over y [K], at one bend and depth.

    phi [K + 1] is the integral of the pitch from anywhere, index [>= K]; envelopes are in S[0].
    """
    count, loops, K = V.operators[i], V.kind[i] == LOOPS, y.size
    f, phase, none, matrix = S[0], S[1], S[2, :, :0], S[2, :OPERATORS]
    for v in range(count):
        c = V.cycles[i, v] * V.bend[i]
        for k in range(K):
            x = V.phase[i, v] + c * (phi[k] - phi[0])
            phase[v, k] = x - ((x + ROUND) - ROUND)
        x = V.phase[i, v] + c * (phi[K] - phi[0])
        V.phase[i, v] = x - ((x + ROUND) - ROUND)
        for w in range(count):
            matrix[v, w] = V.matrix[i, v, w] * (V.depth[i] if v != w or loops else 1.0)
    u, mix = V.u[i], V.mix[i]
    if count == 4:
        four = (u[0], u[1], u[2], u[3])
        if loops:
            four = fm_block_indexed(four, True, phase, f, matrix, index, mix, y, none)
        else:
            four = fm_block_indexed(four, False, phase, f, matrix, index, mix, y, none)
        for v in range(4):
            u[v] = four[v]
    else:
        eight = (u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7])
        if loops:
            eight = fm_block_indexed(eight, True, phase, f, matrix, index, mix, y, none)
        else:
            eight = fm_block_indexed(eight, False, phase, f, matrix, index, mix, y, none)
        for v in range(8):
            u[v] = eight[v]


@compile_kernel
def _grid_point(V: Voices, i: int, age: int, rate: float, point: Array) -> None:
    """Fill point [4] with pitch, index, level and the filter's slope of row i at this age."""
    m, t = V.moves[i], age / rate
    wave = lfo(t, m[LFO_HZ])
    point[PITCH] = pitch_factor(t, m[PITCH_START], m[PITCH_TIME], m[LFO_TO_PITCH], wave)
    point[INDEX] = dip(m[LFO_TO_INDEX], wave)
    point[LEVEL] = dip(m[LFO_TO_LEVEL], wave)
    octaves = m[FILTER_ENV] * swell(t, m[FILTER_ATTACK], m[FILTER_DECAY])
    octaves += m[LFO_TO_FILTER] * wave + m[FILTER_KEY] * ((V.note[i] - 60) / 12.0)
    point[SLOPE] = filter_slope(m[FILTER_HZ], octaves, rate)


@compile_kernel
def end_of_full(V: Voices, i: int, rate: float) -> int:
    """The age from which every envelope of row i that is heard is zero."""
    held = np.inf if V.let[i] == PRESSED else V.let[i] / rate
    last = 0.0
    for v in range(ENVELOPES):
        if (V.gain[i] if v == NOISE else V.mix[i, v]) > 0.0:
            a, d, s, r = V.attack[i, v], V.decay[i, v], V.sustain[i, v], V.release[i, v]
            last = max(last, over(a, d, s, r, held, rate))
    return int(min(last, float(PRESSED)))


@compile_kernel
def let_full_go(V: Voices, i: int, wait: int, rate: float) -> None:
    """The key of row i goes up `wait` samples from now: its envelopes release, and end it."""
    V.let[i] = V.age[i] + wait
    V.last[i] = end_of_full(V, i, rate)


@compile_kernel
def _envelope(V: Voices, i: int, v: int, age: int, rate: float, f: Array) -> None:
    """Fill f [K] with envelope v of full row i from this age on."""
    held = np.inf if V.let[i] == PRESSED else V.let[i] / rate
    a, d, s, r = V.attack[i, v], V.decay[i, v], V.sustain[i, v], V.release[i, v]
    held_envelope(f, age, rate, a, d, s, held, r, V.table[i, v], V.falling[i, v])


@compile_kernel
def advance_full(V: Voices, i: int, H: Hands, store: Any, rate: float, y: Array, S: Array) -> None:
    """Go on with full FM row i: fill y [K]. S is `voice_state.scratch`."""
    now, then = V.grid[i, 0], V.grid[i, 1]
    f, burst, index, phi = S[0], S[0, NOISE], S[3, 0], S[3, 1]
    n = 0
    while n < y.size:
        age = V.age[i] + n
        at = age % GRID
        if at == 0:
            if age == 0:
                _grid_point(V, i, 0, rate, then)
            now[:] = then
            _grid_point(V, i, age + GRID, rate, then)
        K = min(GRID - at, y.size - n)
        for k in range(K + 1):
            phi[k] = phase_step(now[PITCH], then[PITCH], at + k)
            index[k] = line(now[INDEX], then[INDEX], at + k)
        for v in range(V.operators[i]):
            _envelope(V, i, v, age, rate, f[v, :K])
        out = y[n : n + K]
        done = 0
        while done < K:
            J = _look(V, i, H, rate, K - done)
            if done > 0:  # the envelopes of what is next come to the front
                for v in range(V.operators[i]):
                    for k in range(J):
                        f[v, k] = f[v, done + k]
            _operators(V, i, phi[done:], index[done:], S, out[done : done + J])
            done += J
        if V.gain[i] > 0.0:
            _envelope(V, i, NOISE, age, rate, burst[:K])
            place = V.first[i] + age % PERIOD  # a multiple of GRID: no block reaches over its end
            for k in range(K):
                out[k] += V.gain[i] * burst[k] * store[place + k]
        for k in range(K):
            out[k] *= line(now[LEVEL], then[LEVEL], at + k)
        none = S[2, :2, :0]
        filter_block(
            out, at, now[SLOPE], then[SLOPE], V.damping[i], V.taps[i], V.filter[i], out, none
        )
        n += K


@compile_kernel
def full_rings(V: Voices, i: int) -> bool:
    """Whether the filter of row i is still heard after its envelopes."""
    return bool(abs(V.filter[i, 0]) + abs(V.filter[i, 1]) > RUNG_OUT)
