"""The FM recursion of a full voice and its adjoint for one patch. Compiled; no torch, no GIL.

`kernels.fm_forward` with envelopes that hold, a pitch that moves all phases and an index that moves
all depths. A voice whose pitch and index rest at 1 is computed by the same code as the paper's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba.cpython.unsafe.tuple import tuple_setitem

from renderers.kernels import (
    BLOCK,
    ROUND,
    Array,
    compile_kernel,
    dot,
    fm_block,
    fm_block_indexed,
    powers,
    sin_turns,
)
from renderers.movement import (
    GRID,
    held_envelope,
    held_envelope_slopes,
    last_sample,
    line,
    phase_step,
    release_powers,
)


@compile_kernel
def integrate(pitch: Array, phi: Array) -> None:
    """Fill phi [J] with the integral of pitch [J], straight between the points, in samples."""
    phi[0] = 0.0
    for j in range(1, phi.size):
        phi[j] = phi[j - 1] + 0.5 * GRID * (pitch[j - 1] + pitch[j])


@compile_kernel
def move(pitch: Array, index: Array, base: Array, start: int, phi: Array, depth: Array) -> bool:
    """Fill phi and depth [K] from sample `start`, a point of the grid; whether depth rests at 1."""
    rests = True
    for at in range(0, phi.size, GRID):
        j = (start + at) // GRID
        for k in range(min(GRID, phi.size - at)):
            phi[at + k] = base[j] + phase_step(pitch[j], pitch[j + 1], k)
            depth[at + k] = line(index[j], index[j + 1], k)
        rests = rests and index[j] == 1.0 and index[j + 1] == 1.0
    return rests


@compile_kernel
def wrapped(x: float) -> float:
    """x in turns, without its whole turns."""
    return x - ((x + ROUND) - ROUND)


@compile_kernel
def tables(envelope: Array, rate: float) -> Any:
    """The powers [V, BLOCK] of the decays and of the releases of envelope [4, V]."""
    V = envelope.shape[1]
    decays, releases = np.empty((V, BLOCK)), np.empty((V, BLOCK))
    for v in range(V):
        powers(rate, envelope[1, v], decays[v])
        release_powers(rate, envelope[3, v], releases[v])
    return decays, releases


@compile_kernel
def prepare(
    cycles: Array,
    envelope: Array,
    decays: Array,
    releases: Array,
    phi: Array,
    start: int,
    held: float,
    rate: float,
    f: Array,
    phase: Array,
) -> None:
    """Fill f and phase [V, >= K] for the K samples of phi from `start` on."""
    a, d, s, r = envelope[0], envelope[1], envelope[2], envelope[3]
    for v in range(cycles.size):
        row, table, after = f[v, : phi.size], decays[v], releases[v]
        held_envelope(row, start, rate, a[v], d[v], s[v], held, r[v], table, after)
        for k in range(phi.size):
            phase[v, k] = wrapped(cycles[v] * phi[k])


@lru_cache
def full_forward(operators: int, full: bool) -> Callable[..., int]:
    """The compiled forward of one patch of a full voice, before noise and filter.

    Returns `forward(cycles, envelope, matrix, mix, pitch, index, held, rate, out, history)`. In:
    cycles, mix [V], envelope [4, V] (attack, decay, sustain, release), matrix [V, V] in turns,
    pitch and index [J] every `GRID` samples, held in seconds. Fills out [T] and, unless it is
    empty, history [V, T] with u; returns the sample from which all is silent.
    """
    V = operators
    zero = (0.0,) * V

    @compile_kernel
    def forward(
        cycles: Array,
        envelope: Array,
        matrix: Array,
        mix: Array,
        pitch: Array,
        index: Array,
        held: float,
        rate: float,
        out: Array,
        history: Array,
    ) -> int:
        T: int = last_sample(
            envelope[0], envelope[1], envelope[2], envelope[3], held, rate, out.size
        )
        f, phase = np.empty((2, V, BLOCK))
        phi, depth = np.empty((2, BLOCK))
        decays, releases = tables(envelope, rate)
        base = np.empty(pitch.size)
        integrate(pitch, base)
        u = zero
        for start in range(0, T, BLOCK):
            stop = min(start + BLOCK, T)
            now, deep = phi[: stop - start], depth[: stop - start]
            rests = move(pitch, index, base, start, now, deep)
            prepare(cycles, envelope, decays, releases, now, start, held, rate, f, phase)
            y, kept = out[start:stop], history[:, start:stop]
            if rests:
                u = fm_block(u, full, phase, f, matrix, mix, y, kept)
            else:
                u = fm_block_indexed(u, full, phase, f, matrix, deep, mix, y, kept)
        out[T:] = 0.0
        return T

    return forward


# The adjoint, as in `kernels.fm_adjoint`, with x_v[t] = c_v Phi[t] + I[t] z_v[t] and
# z_v[t] = <A_v, u[t-1]>:
#     l_v[t] = G[t] mix_v + sum_w A_wv I[t+1] q_w[t+1],      q_v[t] = l_v[t] f_v[t] cos x_v[t]
#     dL/dc_v = sum_t q_v[t] Phi[t],      dL/dA_vw = sum_t I[t] q_v[t] u_w[t-1]
#     dL/dPhi[t] = sum_v c_v q_v[t],      dL/dI[t] = sum_v q_v[t] z_v[t]
# Phi at sample GRID j + k is base_j + F_j (k - k^2 / 2 GRID) + F_{j+1} k^2 / 2 GRID, and base_j the
# sum over i < j of GRID (F_i + F_{i+1}) / 2: dL/dbase is carried from the end to the beginning.
@compile_kernel
def move_adjoint(
    d_phi: Array, d_depth: Array, start: int, later: float, d_pitch: Array, d_index: Array
) -> float:
    """Add a block's share to d_pitch, d_index [J]; `later` is dL/dbase after it, before it out."""
    K = d_phi.size
    for at in range((K - 1) // GRID * GRID, -1, -GRID):
        j = (start + at) // GRID
        total, bent, depth, sloped = 0.0, 0.0, 0.0, 0.0
        now = 0.0
        for k in range(min(GRID, K - at)):
            p, i = d_phi[at + k], d_depth[at + k]
            total += p
            now += p * k
            bent += p * (k * k) * (0.5 / GRID)
            depth += i
            sloped += i * k * (1.0 / GRID)
        d_pitch[j] += now - bent + 0.5 * GRID * later
        d_pitch[j + 1] += bent + 0.5 * GRID * later
        d_index[j] += depth - sloped
        d_index[j + 1] += sloped
        later += total
    return later


@compile_kernel
def prepare_slopes(
    cycles: Array,
    envelope: Array,
    matrix: Array,
    decays: Array,
    releases: Array,
    phi: Array,
    depth: Array,
    start: int,
    full: bool,
    held: float,
    rate: float,
    history: Array,
    slopes: Array,
    x: Array,
    z: Array,
    fc: Array,
    carry: Array,
) -> None:
    """Fill what does not depend on later samples, for the K samples of phi from `start` on.

    slopes [V, 4, K] of the envelopes, phases x, depths z = <A_v, u[t-1]>, fc = 2 pi f cos x and
    carry = I fc, each [V, >= K].
    """
    a, d, s, r = envelope[0], envelope[1], envelope[2], envelope[3]
    K = phi.size
    for v in range(cycles.size):
        row, table, after = fc[v, :K], decays[v], releases[v]
        held_envelope_slopes(
            row, slopes[v], start, rate, a[v], d[v], s[v], held, r[v], table, after
        )
        z[v, :K] = 0.0
        for w in range(cycles.size if full else v + 1):
            if start > 0:
                z[v, 0] += matrix[v, w] * history[w, start - 1]
            before = history[w, start : start + K]
            for k in range(1, K):
                z[v, k] += matrix[v, w] * before[k - 1]
        for k in range(K):
            x[v, k] = wrapped(cycles[v] * phi[k]) + depth[k] * z[v, k]
        for k in range(K):
            fc[v, k] *= sin_turns(x[v, k] + 0.25) * (2.0 * np.pi)
            carry[v, k] = fc[v, k] * depth[k]


@compile_kernel
def gather(
    cycles: Array,
    phi: Array,
    start: int,
    full: bool,
    history: Array,
    gradient: Array,
    slopes: Array,
    x: Array,
    z: Array,
    fc: Array,
    carry: Array,
    ell: Array,
    d_cycles: Array,
    d_envelope: Array,
    d_matrix: Array,
    d_mix: Array,
    d_phi: Array,
    d_depth: Array,
) -> None:
    """Add a block's share to the gradients, from l [V, >= K] and what `prepare_slopes` filled."""
    K = phi.size
    d_phi[:] = 0.0
    d_depth[:] = 0.0
    for v in range(cycles.size):
        for k in range(K):
            fc[v, k] *= ell[v, k]  # q of the whole block
            carry[v, k] *= ell[v, k]
            ell[v, k] *= sin_turns(x[v, k])
            d_phi[k] += cycles[v] * fc[v, k]
            d_depth[k] += fc[v, k] * z[v, k]
        for i in range(4):
            d_envelope[i, v] += dot(ell[v, :K], slopes[v, i])
        d_mix[v] += dot(gradient[start : start + K], history[v, start:])
        d_cycles[v] += dot(fc[v, :K], phi)
        for w in range(cycles.size if full else v + 1):
            d_matrix[v, w] += dot(carry[v, 1:K], history[w, start:])
            if start > 0:
                d_matrix[v, w] += carry[v, 0] * history[w, start - 1]


@lru_cache
def full_adjoint(operators: int, full: bool) -> Callable[..., None]:
    """The compiled gradient of `full_forward(operators, full)`.

    Returns `adjoint(cycles, envelope, matrix, mix, pitch, index, held, rate, history, gradient,
    d_cycles, d_envelope, d_matrix, d_mix, d_pitch, d_index)`: history [V, T] as kept, gradient
    [T]; each d_* comes in as zeros and gets the gradient of its namesake.
    """
    V = operators
    zero = (0.0,) * V

    @compile_kernel
    def adjoint(
        cycles: Array,
        envelope: Array,
        matrix: Array,
        mix: Array,
        pitch: Array,
        index: Array,
        held: float,
        rate: float,
        history: Array,
        gradient: Array,
        d_cycles: Array,
        d_envelope: Array,
        d_matrix: Array,
        d_mix: Array,
        d_pitch: Array,
        d_index: Array,
    ) -> None:
        T = last_sample(
            envelope[0], envelope[1], envelope[2], envelope[3], held, rate, gradient.size
        )
        x, z, fc, carry, ell = np.empty((5, V, BLOCK))
        all_phi, all_depth, all_by_phi, all_by_depth = np.empty((4, BLOCK))
        slopes = np.empty((V, 4, BLOCK))
        decays, releases = tables(envelope, rate)
        base = np.empty(pitch.size)
        integrate(pitch, base)
        later = 0.0
        q = zero
        for start in range((T - 1) // BLOCK * BLOCK, -1, -BLOCK):
            K = min(BLOCK, T - start)
            phi, depth = all_phi[:K], all_depth[:K]
            d_phi, d_depth = all_by_phi[:K], all_by_depth[:K]
            move(pitch, index, base, start, phi, depth)
            prepare_slopes(
                cycles, envelope, matrix, decays, releases, phi, depth, start, full, held, rate,
                history, slopes, x, z, fc, carry,
            )  # fmt: skip
            for k in range(K - 1, -1, -1):
                g = gradient[start + k]
                new = q
                for v in range(V):
                    y = g * mix[v]
                    for w in range(V):
                        if full or v <= w:
                            y += matrix[w, v] * q[w]
                    ell[v, k] = y
                    new = tuple_setitem(new, v, y * carry[v, k])  # type: ignore[call-arg]
                q = new
            gather(
                cycles, phi, start, full, history, gradient, slopes, x, z, fc, carry, ell,
                d_cycles, d_envelope, d_matrix, d_mix, d_phi, d_depth,
            )  # fmt: skip
            later = move_adjoint(d_phi, d_depth, start, later, d_pitch, d_index)

    return adjoint
