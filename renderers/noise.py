"""The one white noise of all renderers, split into bands; a full FM voice's noise. No torch.

The noise is fixed and repeats, so that a patch sounds the same every time it is rendered.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from renderers.kernels import BLOCK, Array, compile_kernel, dot, powers
from renderers.movement import held_envelope, held_envelope_slopes, over, release_powers

PERIOD = 1 << 18  # samples of noise before it repeats, 5.9 s at 44.1 kHz
SEED = 20250504
LOWEST_BAND, HIGHEST_BAND = 40.0, 16000.0  # Hz, centres
BANDS = 32  # of the FM voice's noise
TOGETHER = 4  # bands are added by so many; `BANDS` is a multiple of it
LOUDNESS = 0.35  # times unit power at noise_level 1: peaks near 1
LEAST_POWER = 1e-12  # of bands that are below Nyquist at all, at any rate


@lru_cache(maxsize=4)
def noise_bands(bands: int, rate: int) -> NDArray[np.float32]:
    """White noise split into bands [M, PERIOD] whose sum is the noise again (but for its mean).

    Centres are log-spaced from 40 Hz to 16 kHz; neighbours cross-fade as cos^2 and sin^2 in log
    frequency, and the outer bands reach to the ends. Circular, so it repeats without a seam. Power
    is 10 / rate a sample: a band of gain 1 and about 1 s of decay passes on the energy it gets.
    MT19937's normals are frozen by numpy, so the noise belongs to the renderer's version.
    """
    white = np.random.RandomState(SEED).standard_normal(PERIOD) * math.sqrt(10.0 / rate)
    spectrum = np.fft.rfft(white)
    hz = np.fft.rfftfreq(PERIOD, 1.0 / rate)
    spacing = math.log(HIGHEST_BAND / LOWEST_BAND) / max(1, bands - 1)
    where = np.log(np.maximum(hz, 1e-3) / LOWEST_BAND) / spacing
    where = np.clip(where, 0.0, bands - 1.0)
    result = np.empty((bands, PERIOD), dtype=np.float32)
    for m in range(bands):
        mask = np.cos(0.5 * np.pi * np.clip(where - m, -1.0, 1.0)) ** 2
        mask[0] = 0.0
        result[m] = np.fft.irfft(spectrum * mask, PERIOD)
    return result


def band_hz() -> Array:
    """The centres of the FM voice's bands [BANDS] in Hz."""
    return np.geomspace(LOWEST_BAND, HIGHEST_BAND, BANDS)


@lru_cache(maxsize=2)
def band_power(rate: int) -> Array:
    """The mean products of the bands [BANDS, BANDS]: the power of their sum by w is <w, P w>."""
    bands = noise_bands(BANDS, rate)
    # only neighbours overlap; float32 sums of 2^18 products are taken in float64, by pieces
    power = np.zeros((BANDS, BANDS))
    for m in range(BANDS):
        for n in range(m, min(m + 2, BANDS)):
            pieces = (bands[m] * bands[n]).reshape(-1, 1024).sum(1, dtype=np.float64)
            power[m, n] = power[n, m] = pieces.sum() / PERIOD
    return power


def noise_weights(hz: float, width: float, rate: int) -> Array:
    """What each band [BANDS] gets of noise at `hz`, `width` octaves wide, of unit power.

    w = exp(-1/2 (log2(hz_m / hz) / (width / 2))^2), divided by the root of the sum's power. Noise
    that is above Nyquist is silent.
    """
    distance = np.log2(band_hz() / hz) / (0.5 * width)
    weights: Array = np.exp(-0.5 * distance**2)
    power = max(LEAST_POWER, float(weights @ band_power(rate) @ weights))
    return weights / math.sqrt(power)


# Four bands at a time: a sum is loaded and stored a quarter as often.
@compile_kernel
def _add_bands(w: Array, n: Any, out: Array) -> None:
    a, b, c, d = w[0], w[1], w[2], w[3]
    for k in range(out.size):
        out[k] += (a * n[0, k] + b * n[1, k]) + (c * n[2, k] + d * n[3, k])


@partial(compile_kernel, reassociate=True)
def _add_dots(f: Array, n: Any, out: Array) -> None:
    """Add <f, n_m> to out [4] for the rows of n [4, K]."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    for k in range(f.size):
        a += f[k] * n[0, k]
        b += f[k] * n[1, k]
        c += f[k] * n[2, k]
        d += f[k] * n[3, k]
    out[0] += a
    out[1] += b
    out[2] += c
    out[3] += d


# y[t] = f[t] sum_m w_m n_m[t]; with G the gradient of the loss with respect to y
#     dL/dw_m = sum_t G[t] f[t] n_m[t],      dL/df[t] = G[t] sum_m w_m n_m[t]
@compile_kernel
def noise_block(weights: Array, bands: Array, start: int, out: Array) -> None:
    """Fill out [K] with the weighted bands [M, L] from sample `start` on, which repeat after L.

    M is a multiple of `TOGETHER`.
    """
    L = bands.shape[1]
    out[:] = 0.0
    done = 0
    while done < out.size:
        at = (start + done) % L
        K = min(out.size - done, L - at)
        for m in range(0, weights.size, TOGETHER):
            w = weights[m : m + TOGETHER]
            if np.any(w):
                _add_bands(w, bands[m : m + TOGETHER, at : at + K], out[done : done + K])
        done += K


@compile_kernel
def noise_forward(
    weights: Array, envelope: Array, bands: Array, held: float, rate: float, out: Array
) -> int:
    """Add weighted bands under one envelope [4] to out [T]; the sample from which it is silent."""
    a, d, s, r = envelope[0], envelope[1], envelope[2], envelope[3]
    if not np.any(weights):
        return 0
    T = int(min(float(out.size), over(a, d, s, r, held, rate)))
    f, n, decays, releases = np.empty((4, BLOCK))
    powers(rate, d, decays)
    release_powers(rate, r, releases)
    for start in range(0, T, BLOCK):
        K = min(BLOCK, T - start)
        held_envelope(f[:K], start, rate, a, d, s, held, r, decays, releases)
        noise_block(weights, bands, start, n[:K])
        for k in range(K):
            out[start + k] += f[k] * n[k]
    return T


@compile_kernel
def noise_adjoint(
    weights: Array,
    envelope: Array,
    bands: Array,
    held: float,
    rate: float,
    gradient: Array,
    d_weights: Array,
    d_envelope: Array,
) -> None:
    """The gradient of `noise_forward`: gradient [T] in, added to d_weights [M], d_envelope [4]."""
    a, d, s, r = envelope[0], envelope[1], envelope[2], envelope[3]
    heard = np.any(weights)
    T = int(min(float(gradient.size), over(a, d, s, r, held, rate)))
    f, n, decays, releases = np.empty((4, BLOCK))
    slopes = np.empty((4, BLOCK))
    powers(rate, d, decays)
    release_powers(rate, r, releases)
    for start in range(0, T, BLOCK):
        K = min(BLOCK, T - start)
        at = start % bands.shape[1]
        held_envelope_slopes(f[:K], slopes, start, rate, a, d, s, held, r, decays, releases)
        if heard:
            noise_block(weights, bands, start, n[:K])
            for k in range(K):
                n[k] *= gradient[start + k]
            for i in range(4):
                d_envelope[i] += dot(n[:K], slopes[i])
        for k in range(K):
            f[k] *= gradient[start + k]
        for m in range(0, weights.size, TOGETHER):
            _add_dots(f[:K], bands[m : m + TOGETHER, at : at + K], d_weights[m : m + TOGETHER])
