"""How sharply a sound begins: the rise of its energy at the loudest onset.

The short-time energy is that of the analytic signal, |x + i H(x)|^2, under a Hann window, so that a
low tone has one rise and not one for each half of its period. The window is what a rise can be told
apart from: `SMOOTH` long, half of it wide.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import fftconvolve, hilbert
from scipy.signal.windows import hann
from torch import Tensor
from torch.nn import functional as F

from sds.signal.audio_files import mono

SMOOTH = 0.004  # seconds of the window
LOW, HIGH = 0.1, 0.9  # of the peak of the energy


def attack_seconds(audio: Tensor, rate: int) -> Tensor:
    """Attack [B] in seconds of clips [B, C, T] at `rate` Hz: the energy's rise from 10 % to 90 %.

    Of its peak, at the loudest onset; between samples by straight lines. NaN for a silent clip.
    """
    found = []
    for clip in mono(audio):
        level = energy_envelope(clip, rate)
        silent = not bool(clip.any())
        found.append(torch.nan if silent else rise(level, int(level.argmax()))[1] / rate)
    return torch.tensor(found, dtype=torch.float64)


def energy_envelope(audio: Tensor, rate: int) -> Tensor:
    """Short-time energy [T + 2 n] of audio [T] at `rate` Hz, n samples of rest before and after."""
    n = round(SMOOTH * rate) | 1
    energy = np.abs(hilbert(F.pad(audio.double(), (n, n)).cpu().numpy())) ** 2
    window = hann(n + 2)[1:-1]
    return torch.from_numpy(fftconvolve(energy, window / window.sum(), mode="same"))


def rise(level: Tensor, peak: int) -> tuple[float, float]:
    """Onset and attack, in samples, of energy `level` [T] at its `peak`.

    The onset is the last time before the peak that the level is below `LOW` of it; the attack ends
    when it first is `HIGH` of it. Both lie between samples.
    """
    top = float(level[peak])
    below = torch.where(level[:peak] < LOW * top)[0]
    start = int(below[-1]) if len(below) else 0
    end = start + int(torch.where(level[start : peak + 1] >= HIGH * top)[0][0])
    onset = _crossing(level, start, LOW * top) if len(below) else 0.0
    return onset, max(0.0, _crossing(level, end - 1, HIGH * top) - onset) if end > start else 0.0


def _crossing(level: Tensor, before: int, value: float) -> float:
    """Where the level passes `value` between the samples `before` and `before + 1`."""
    a, b = float(level[before]), float(level[before + 1])
    return before + (value - a) / (b - a)
