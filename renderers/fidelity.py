"""How near another engine's sound of an exported patch is to ours.

Both are brought to the same lag (cross-correlation, up to `MAX_LAG` s, fractions of a sample
included: samplers interpolate) and the same loudness (least squares for waveforms, equal energy for
spectra) before they are compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import stft

Mono = NDArray[np.float64]

MAX_LAG = 0.05  # seconds
SIZES = (512, 2048)  # samples
FLOOR_DB = -60.0  # below the loudest bin: not heard
SILENCE = 1e-9


def rms_error(ours: Mono, theirs: Mono, rate: int) -> float:
    """Relative rms of the difference after lag and least-squares gain: 0 is the same waveform."""
    a, b = _align(ours, theirs, rate)
    energy = float(a @ a)
    if energy < SILENCE:
        raise ValueError("the patch is silent: there is nothing to compare")
    gain = float(a @ b) / max(float(b @ b), SILENCE)
    left = a - gain * b
    return float(np.sqrt(left @ left / energy))


def lsd(ours: Mono, theirs: Mono, rate: int) -> float:
    """Log-spectral distance in dB: mean |difference| over bins where either is above -60 dB.

    The mean of a 512- and a 2048-sample STFT (Hann, hop a quarter). As a yardstick, all modulation
    indices 1 dB louder are 1.3 (a chain) to 3.9 dB (a dense matrix). The correlation of a periodic
    sound may be highest a period beside its onset, so no lag at all is tried too.
    """
    count = min(ours.size, theirs.size)
    tried = _align(ours, theirs, rate), (ours[:count], theirs[:count])
    return min(_far(a, b) for a, b in tried)


def _far(a: Mono, b: Mono) -> float:
    energy = float(a @ a)
    if energy < SILENCE:
        raise ValueError("the patch is silent: there is nothing to compare")
    b = b * np.sqrt(energy / max(float(b @ b), SILENCE))
    return float(np.mean([_distance(a, b, size) for size in SIZES]))


def _distance(a: Mono, b: Mono, size: int) -> float:
    levels = []
    for x in (a, b):
        x = np.pad(x, (0, max(0, size - x.size)))
        spectrum = np.abs(stft(x, nperseg=size, noverlap=size - size // 4, window="hann")[2])
        levels.append(20.0 * np.log10(np.maximum(spectrum, 1e-12)))
    floor = max(level.max() for level in levels) + FLOOR_DB
    first, second = (np.maximum(level, floor) for level in levels)
    heard = np.maximum(first, second) > floor
    return float(np.abs(first - second)[heard].mean())


def _align(ours: Mono, theirs: Mono, rate: int) -> tuple[Mono, Mono]:
    """The overlap of both, theirs moved by the lag at which |correlation| is largest."""
    size = 1 << int(np.ceil(np.log2(ours.size + theirs.size)))
    product = np.fft.rfft(theirs, size) * np.conj(np.fft.rfft(ours, size))
    correlation = np.abs(np.fft.irfft(product, size))
    reach = min(round(MAX_LAG * rate), min(ours.size, theirs.size) - 1)
    lags = np.concatenate([np.arange(reach + 1), np.arange(-reach, 0)])
    lag = int(lags[np.argmax(correlation[lags])])
    a, b = (ours, theirs[lag:]) if lag >= 0 else (ours[-lag:], theirs)
    count = min(a.size, b.size)
    return a[:count], _nearer(a[:count], b[:count])


# With A and B the spectra, the correlation at a shift of s samples is sum Re(conj(A) B exp(iws)).
# Its peak within half a sample is looked for at 1/16 of a sample, then by the parabola through the
# three highest values.
def _nearer(a: Mono, b: Mono) -> Mono:
    """b moved by the fraction of a sample that brings it nearest to a, if any brings it nearer."""
    size = 2 * a.size
    A, B = np.fft.rfft(a, size), np.fft.rfft(b, size)
    cross, w = np.conj(A) * B, 2.0 * np.pi * np.arange(A.size) / size
    shifts = np.arange(-9, 10) / 16.0
    turned, turn = cross * np.exp(1j * w * shifts[0]), np.exp(1j * w / 16.0)
    height = np.empty(shifts.size)
    for i in range(shifts.size):  # products: an exponential for each shift took twice the time
        height[i] = abs(float(turned.real.sum()))
        turned *= turn
    top = int(np.argmax(height[1:-1])) + 1
    left, peak, right = height[top - 1 : top + 2]
    curve = left - 2.0 * peak + right
    shift = shifts[top] + (0.5 * (left - right) / curve / 16.0 if curve < 0.0 else 0.0)
    moved = np.fft.irfft(B * np.exp(1j * w * shift), size)[: b.size]
    closer = abs(float(a @ moved)) * np.linalg.norm(b) > abs(float(a @ b)) * np.linalg.norm(moved)
    return moved if closer else b
