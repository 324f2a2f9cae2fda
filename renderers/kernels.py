"""Compiled loops: the FM recursion and its adjoint for one patch. Numpy arrays, no torch, no GIL.

The kernels think in turns (one turn = 2 pi radians): a phase is wrapped by subtracting its nearest
integer, which is exact, and 10 minutes of float64 phase are good to 1e-8 radians.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numba
import numpy as np
from numba.cpython.unsafe.tuple import tuple_setitem
from numpy.typing import NDArray

Array = NDArray[np.float64]

BLOCK = 256  # samples: envelope, phase and derivatives of one block stay in the first-level cache
ATTACK_FLOOR = 1e-5  # seconds, the paper's guard against a = 0
SILENT = 1e-25  # of its start, -500 dB: what has decayed to that is zero, far above denormals
NEPERS = 57.0  # SILENT as an exponent, rounded towards loud
ROUND = 6755399441055744.0  # 1.5 * 2**52: adding and subtracting it rounds to the nearest integer


def compile_kernel(
    function: Callable[..., Any], *, reassociate: bool = False
) -> Callable[..., Any]:
    """Compile without Python objects or the GIL, kept on disk where a folder can be written.

    Of the fast-math licences only fused multiply-add is taken: reassociation would delete ROUND.
    Sums that hold no ROUND may be reassociated, which is what lets them use vector registers.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"reassoc", "nsz"} if reassociate else {"contract"},
    }
    jitted: Callable[..., Any]
    try:
        jitted = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to cache in: a read-only install, run without a home
        jitted = numba.njit(**options)(function)
    return jitted


@partial(compile_kernel, reassociate=True)
def dot(a: Array, b: Array) -> float:
    """<a, b> over the length of `a`."""
    total = 0.0
    for k in range(a.size):
        total += a[k] * b[k]
    return total


# sin(2 pi x) for any x in turns. With c = x - 1/4 wrapped to [-1/2, 1/2] and a = 1/4 - |c|:
#     sin(2 pi x) = cos(2 pi c) = sin(2 pi a),   a in [-1/4, 1/4]
# and there an odd polynomial of degree 15 (minimax for sin(2 pi a) / a in a^2) errs by 5e-16.
# Estrin's grouping shortens the chain of dependent multiplications, which is what an FM sample
# waits for.
@compile_kernel
def sin_turns(x: float) -> float:
    """sin(2 pi x), |error| < 1e-15 + the rounding of x."""
    c = x - 0.25
    c -= (c + ROUND) - ROUND
    a = 0.25 - abs(c)
    z = a * a
    z2 = z * z
    z4 = z2 * z2
    p01 = 6.283185307179585 + z * -41.341702240398284
    p23 = 81.60524927557977 + z * -76.70585968962867
    p45 = 42.05868995395094 + z * -15.09450614073429
    p67 = 3.817365633469135 + z * -0.6925067010720717
    return a * ((p01 + z2 * p23) + z4 * (p45 + z2 * p67))


@compile_kernel
def falling(x: float) -> float:
    """exp(-x), and 0 from `SILENT` on: a product of two such numbers and a gain is no denormal."""
    return np.exp(-x) if x < NEPERS else 0.0


# The envelope (Audio-SDS, in the continuous reading), a and d in seconds, r = t - a:
#     f(t) = max(0, min(t / (a + 1e-5), exp(-r / d^2) (d - r) / d))
# For r < 0 the second term exceeds 1 and the first does not, so the minimum is the attack.
# Where r >= 0 the smaller of the two is taken; from r = d on, f = 0. exp(-r / d^2) of sample k of a
# block is that of its first decaying sample times a power kept in a table, so that no loop carries
# a product from sample to sample and all of them run at full width.
@compile_kernel
def powers(rate: float, d: float, table: Array) -> None:
    """Fill table [K] with exp(-k / (rate d^2)), 0 from `SILENT` on: the decay in a block."""
    for k in range(table.size):
        table[k] = falling(k / (rate * d * d))


@compile_kernel
def envelope(f: Array, start: int, rate: float, a: float, d: float, table: Array) -> None:
    """Fill f [K] for the samples start .. start + K - 1; `table` comes from `powers`."""
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
        lower = up if up < down else down
        f[k] = lower if lower > 0.0 else 0.0


# Its derivatives, with e = exp(-r / d^2) and g = (d - r) / d, by which of the three is active:
#     attack:  f = t rise,  df/da = -t rise^2,            df/dd = 0
#     decay:   f = e g,     df/da = e (g / d^2 + 1 / d),  df/dd = e (2 r g / d^3 + r / d^2)
#     over:    f = 0,       both 0
@compile_kernel
def envelope_slopes(
    f: Array, fa: Array, fd: Array, start: int, rate: float, a: float, d: float, table: Array
) -> None:
    """Fill f, df/da and df/dd [K] for the samples start .. start + K - 1."""
    seconds, rise, inverse = 1.0 / rate, 1.0 / (a + ATTACK_FLOOR), 1.0 / d
    K = f.size
    first = min(K, max(0, int(np.ceil(a * rate)) - start))
    for k in range(first):
        t = (start + k) * seconds
        f[k] = t * rise
        fa[k] = -t * rise * rise
        fd[k] = 0.0
    e0 = falling(((start + first) * seconds - a) / (d * d))
    for k in range(first, K):
        t = (start + k) * seconds
        r = t - a
        up = t * rise
        g = 1.0 - r * inverse
        e = e0 * table[k - first]
        down = e * g
        by_d = e * r * inverse * inverse * (2.0 * g * inverse + 1.0)
        by_a = e * inverse * (g * inverse + 1.0)
        lower = up if up < down else down
        by_d = 0.0 if up < down else by_d
        by_a = -up * rise if up < down else by_a
        f[k] = lower if lower > 0.0 else 0.0
        fa[k] = by_a if lower > 0.0 else 0.0
        fd[k] = by_d if lower > 0.0 else 0.0


@compile_kernel
def end(attack: Array, decay: Array, rate: float, samples: int) -> int:
    """The first sample from which every envelope is zero, at most `samples`."""
    last = 0.0
    for v in range(attack.size):
        last = max(last, attack[v] + decay[v])
    return min(samples, int(np.ceil(last * rate)) + 1)


# A sample of FM waits for the one before it: what counts is the chain of dependent operations.
# With V a constant and u a tuple, LLVM unrolls the operators and keeps u in registers (1.3 times
# faster than arrays, measured). The own feedback is added last, so that in an acyclic graph, where
# it is the only loop, the chain is one product and one sine.
@compile_kernel
def fm_block(
    u: Any,
    full: bool,
    phase: Array,
    f: Array,
    matrix: Array,
    mix: Array,
    out: Array,
    history: Array,
) -> Any:
    """The recursion over one block: u_v[t] = sin(w_v t + <A_v, u[t-1]>) f_v(t); out = <mix, u>.

    Audio-SDS, FM. u, the V values before the block, is a tuple; phase (turns), f (envelopes)
    [V, >= K]; matrix [V, V] in turns, of which only the lower triangle is read unless `full`;
    mix [V]. Fills out [K] and, unless it is empty, history [V, K] with u; returns the last u.
    """
    V = len(u)
    keep = history.size > 0
    for k in range(out.size):
        y = 0.0
        new = u
        for v in range(V):
            x = phase[v, k]
            for w in range(V if full else v):
                if w != v:
                    x += matrix[v, w] * u[w]
            x += matrix[v, v] * u[v]
            s = sin_turns(x) * f[v, k]
            new = tuple_setitem(new, v, s)  # type: ignore[call-arg]
            y += mix[v] * s
            if keep:
                history[v, k] = s
        u = new
        out[k] = y
    return u


# The same with an index that moves: what is modulated is multiplied by it sample by sample. The
# products of index and matrix wait for nothing, so the chain is as long as above.
@compile_kernel
def fm_block_indexed(
    u: Any,
    full: bool,
    phase: Array,
    f: Array,
    matrix: Array,
    index: Array,
    mix: Array,
    out: Array,
    history: Array,
) -> Any:
    """`fm_block` with index [K]: u_v[t] = sin(w_v t + index[t] <A_v, u[t-1]>) f_v(t)."""
    V = len(u)
    keep = history.size > 0
    for k in range(out.size):
        y = 0.0
        new = u
        for v in range(V):
            x = phase[v, k]
            for w in range(V if full else v):
                if w != v:
                    x += index[k] * matrix[v, w] * u[w]
            x += index[k] * matrix[v, v] * u[v]
            s = sin_turns(x) * f[v, k]
            new = tuple_setitem(new, v, s)  # type: ignore[call-arg]
            y += mix[v] * s
            if keep:
                history[v, k] = s
        u = new
        out[k] = y
    return u


@lru_cache
def fm_forward(operators: int, full: bool) -> Callable[..., None]:
    """The compiled forward of one patch, from silence to its end: `fm_block` after `fm_block`.

    Returns `forward(cycles, attack, decay, matrix, mix, rate, out, history)`. In: cycles, attack,
    decay, mix [V] in turns per sample, seconds, seconds, gain; matrix [V, V] in turns. Fills
    out [T] and, unless it is empty, history [V, T] with u.
    """
    V = operators
    zero = (0.0,) * V

    @compile_kernel
    def forward(
        cycles: Array,
        attack: Array,
        decay: Array,
        matrix: Array,
        mix: Array,
        rate: float,
        out: Array,
        history: Array,
    ) -> None:
        T = end(attack, decay, rate, out.size)
        f = np.empty((V, BLOCK))
        phase = np.empty((V, BLOCK))
        table = np.empty((V, BLOCK))
        for v in range(V):
            powers(rate, decay[v], table[v])
        u = zero
        for start in range(0, T, BLOCK):
            K = min(BLOCK, T - start)
            for v in range(V):
                envelope(f[v, :K], start, rate, attack[v], decay[v], table[v])
                for k in range(K):
                    x = cycles[v] * (start + k)
                    phase[v, k] = x - ((x + ROUND) - ROUND)
            stop = start + K
            u = fm_block(u, full, phase, f, matrix, mix, out[start:stop], history[:, start:stop])
        out[T:] = 0.0

    return forward


# The adjoint. With x_v[t] = w_v t + <A_v, u[t-1]>, s = sin x, c = cos x, u = s f, and G the
# gradient of the loss with respect to the output, let l_v[t] be the loss's whole dependence on
# u_v[t]: through the output, and through every x_w[t+1]:
#     l_v[t] = G[t] mix_v + sum_w A_wv q_w[t+1],      q_v[t] = l_v[t] f_v[t] c_v[t],   q[T] = 0
# q is the gradient with respect to the phase x. Everything else is read off:
#     dL/dw_v = sum_t q_v[t] t          dL/dA_vw  = sum_t q_v[t] u_w[t-1]
#     dL/dmix_v = sum_t G[t] u_v[t]     dL/d(a,d)_v = sum_t l_v[t] s_v[t] df_v[t]/d(a,d)
# Time runs backwards only in l: u is stored, so s, c, f of a block are computed first, at full
# width. cos(2 pi x) = sin(2 pi (x + 1/4)).
@lru_cache
def fm_adjoint(operators: int, full: bool) -> Callable[..., None]:
    """The compiled gradient of `fm_forward(operators, full)`.

    Returns `adjoint(cycles, attack, decay, matrix, mix, rate, history, gradient, d_cycles,
    d_attack, d_decay, d_matrix, d_mix)`: history [V, T] as kept, gradient [T]; each d_* comes in
    as zeros and gets the gradient of its namesake.
    """
    V = operators
    columns = tuple(V if full else v + 1 for v in range(V))
    zero = (0.0,) * V

    @compile_kernel
    def adjoint(
        cycles: Array,
        attack: Array,
        decay: Array,
        matrix: Array,
        mix: Array,
        rate: float,
        history: Array,
        gradient: Array,
        d_cycles: Array,
        d_attack: Array,
        d_decay: Array,
        d_matrix: Array,
        d_mix: Array,
    ) -> None:
        T = end(attack, decay, rate, gradient.size)
        f, fa, fd, x, fc, ell, table = np.empty((7, V, BLOCK))
        ramp = np.arange(BLOCK).astype(np.float64)
        ones = np.ones(BLOCK)
        turn = 2.0 * np.pi
        for v in range(V):
            powers(rate, decay[v], table[v])
        q = zero
        for start in range((T - 1) // BLOCK * BLOCK, -1, -BLOCK):
            K = min(BLOCK, T - start)
            for v in range(V):
                envelope_slopes(
                    f[v, :K], fa[v, :K], fd[v, :K], start, rate, attack[v], decay[v], table[v]
                )
                for k in range(K):
                    y = cycles[v] * (start + k)
                    x[v, k] = y - ((y + ROUND) - ROUND)
                for w in range(columns[v]):
                    if start > 0:
                        x[v, 0] += matrix[v, w] * history[w, start - 1]
                    before = history[w, start : start + K]
                    for k in range(1, K):
                        x[v, k] += matrix[v, w] * before[k - 1]
                for k in range(K):
                    fc[v, k] = f[v, k] * sin_turns(x[v, k] + 0.25) * turn
            for k in range(K - 1, -1, -1):
                g = gradient[start + k]
                new = q
                for v in range(V):
                    y = g * mix[v]
                    for w in range(V):
                        if v < columns[w]:
                            y += matrix[w, v] * q[w]
                    ell[v, k] = y
                    new = tuple_setitem(new, v, y * fc[v, k])  # type: ignore[call-arg]
                q = new
            for v in range(V):
                for k in range(K):
                    fc[v, k] *= ell[v, k]  # q of the whole block
                    ell[v, k] *= sin_turns(x[v, k])
                d_attack[v] += dot(ell[v, :K], fa[v])
                d_decay[v] += dot(ell[v, :K], fd[v])
                d_mix[v] += dot(gradient[start : start + K], history[v, start:])
                d_cycles[v] += start * dot(fc[v, :K], ones) + dot(fc[v, :K], ramp)
                for w in range(columns[v]):
                    d_matrix[v, w] += dot(fc[v, 1:K], history[w, start:])
                    if start > 0:
                        d_matrix[v, w] += fc[v, 0] * history[w, start - 1]

    return adjoint


@compile_kernel
def lasting(decay: float, nepers: float, samples: int) -> int:
    """How many of `samples` come before exp(-decay t) has fallen by `nepers`."""
    return samples if decay * samples < nepers else int(nepers / decay) + 1


@compile_kernel
def damped_powers(
    cycles: Array, decay: Array, stride: int, nepers: float, real: Array, imag: Array
) -> None:
    """Powers of damped phasors: exp((-decay + 2 pi i cycles) stride k), [N, K], k = 0 .. K - 1.

    cycles, decay [N] per sample. From where a power has fallen by `nepers` it is 0. Multiplied up
    in float64, so K powers are good to K rounding errors; stored in whatever real and imag [N, K]
    hold.
    """
    K = real.shape[1]
    for n in range(cycles.size):
        x = cycles[n] * stride
        x -= (x + ROUND) - ROUND
        size = np.exp(-decay[n] * stride)
        a, b = size * sin_turns(x + 0.25), size * sin_turns(x)
        re, im = 1.0, 0.0
        last = lasting(decay[n] * stride, nepers, K)
        for k in range(last):
            real[n, k] = re
            imag[n, k] = im
            re, im = a * re - b * im, a * im + b * re
        real[n, last:] = 0.0
        imag[n, last:] = 0.0


# The reverberation: h[t] = sum_m g_m exp(-d_m t) n_m[t], the noise n_m repeating after its length,
# a multiple of BLOCK. In a block the exponential is its first value times a power from a table; a
# band ends where it has fallen by NEPERS.
# The gradients, with G that of the loss with respect to h:
#     dL/dg_m = sum_t G[t] exp(-d_m t) n_m[t],    dL/dd_m = -g_m sum_t t G[t] exp(-d_m t) n_m[t]
@compile_kernel
def tail(noise: Array, gain: Array, decay: Array, out: Array) -> None:
    """Fill out [T] with decaying noise: noise [M, L], gain, decay (per sample) [M]."""
    T = out.size
    out[:] = 0.0
    table = np.empty(BLOCK)
    for m in range(gain.size):
        for k in range(BLOCK):
            table[k] = falling(decay[m] * k)
        last = lasting(decay[m], NEPERS, T)
        for start in range(0, last, BLOCK):
            at = start % noise.shape[1]
            e = gain[m] * np.exp(-decay[m] * start)
            for k in range(min(BLOCK, last - start)):
                out[start + k] += e * table[k] * noise[m, at + k]


@compile_kernel
def tail_adjoint(
    noise: Array, gain: Array, decay: Array, gradient: Array, d_gain: Array, d_decay: Array
) -> None:
    """The gradient of `tail`: gradient [T] in, d_gain and d_decay [M] out."""
    T = gradient.size
    table = np.empty(BLOCK)
    product = np.empty(BLOCK)
    ramp = np.arange(BLOCK).astype(np.float64)
    ones = np.ones(BLOCK)
    for m in range(gain.size):
        for k in range(BLOCK):
            table[k] = falling(decay[m] * k)
        total = 0.0
        moment = 0.0
        last = lasting(decay[m], NEPERS, T)
        for start in range(0, last, BLOCK):
            at = start % noise.shape[1]
            e = np.exp(-decay[m] * start)
            K = min(BLOCK, last - start)
            for k in range(K):
                product[k] = gradient[start + k] * table[k] * noise[m, at + k]
            here = dot(product[:K], ones)
            later = dot(product[:K], ramp)
            total += e * here
            moment += e * (start * here + later)
        d_gain[m] = total
        d_decay[m] = -gain[m] * moment
