"""Sound of band levels: magnitudes on bins, and phases that go on from frame to frame.

A model of levels knows no phases. Those of a steady partial follow from its frequency: each peak of
a frame goes on by its frequency times the hop, and the bins around it with it (single pass
spectrogram inversion, Beauregard et al. 2015, DAFx). Some rounds of fast Griffin-Lim (Perraudin et
al. 2013, arXiv 1304.4394, algorithm 2) make the frames agree.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sds.signal.band_levels import (
    BINS,
    FLOOR_DB,
    HOP,
    N,
    band_matrix,
    between,
    istft,
    stft,
    to_powers,
)

ROUNDS = 24
MOMENTUM = 0.9


def magnitudes(levels: Tensor) -> Tensor:
    """Magnitudes [..., 1025, 2 L] of levels [..., 128, L] of every second frame.

    A band's power is shared out evenly over its bins, and levels between frames and between bands
    are linear in dB.
    """
    matrix = band_matrix().to(levels)
    density = 10 * (to_powers(between(levels)) / matrix.sum(1)[:, None]).clamp_min(1e-14).log10()
    db = matrix.T @ density
    return torch.where(db > FLOOR_DB - 20, 10 ** (db / 20), torch.zeros_like(db))


def onward_phases(magnitude: Tensor, *, seed: int = 0) -> Tensor:
    """Phases [B, 1025, L] in radians that peaks of magnitudes [B, 1025, L] have when each goes on
    from the frame before; they begin at random.
    """
    rng = np.random.default_rng(seed)
    values = magnitude.numpy()
    out = np.empty(values.shape, np.float32)
    for row, spectrum in enumerate(values):
        phase = rng.uniform(-math.pi, math.pi, BINS)
        for frame in range(spectrum.shape[1]):
            phase = _next(phase, spectrum[:, frame])
            out[row, :, frame] = phase
    return torch.from_numpy(out)


def _next(phase: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Phases [1025] of a frame of magnitudes [1025] after those of the frame before."""
    middle = column[1:-1]
    peaks = 1 + np.flatnonzero((middle > column[:-2]) & (middle >= column[2:]))
    if not len(peaks):
        return phase
    left, here, right = (column[peaks + shift] for shift in (-1, 0, 1))
    bend = left - 2 * here + right
    place = peaks + np.where(bend < 0, 0.5 * (left - right) / np.minimum(bend, -1e-20), 0.0)
    at_peak = phase[peaks] + 2 * np.pi * HOP * place / N
    owner = np.searchsorted((peaks[1:] + peaks[:-1]) / 2, np.arange(BINS))
    out: np.ndarray = at_peak[owner] + np.pi * (np.arange(BINS) - peaks[owner])
    return np.asarray((out + np.pi) % (2 * np.pi) - np.pi)


def sound(levels: Tensor, samples: int, *, seed: int = 0) -> Tensor:
    """Audio [B, samples] at 32 kHz of levels [B, 128, L]."""
    magnitude = magnitudes(levels)
    spectrum = torch.polar(magnitude, onward_phases(magnitude, seed=seed))
    length = (magnitude.shape[-1] - 1) * HOP
    before = torch.zeros_like(spectrum)
    for _ in range(ROUNDS):
        again = stft(istft(spectrum, length))
        spectrum = magnitude * torch.sgn(again + MOMENTUM * (again - before))
        before = again
    audio = istft(spectrum, length)
    return F.pad(audio, (0, max(0, samples - length)))[:, :samples]
