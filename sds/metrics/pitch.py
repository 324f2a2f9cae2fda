"""The fundamental of a sound, by two trackers that share nothing.

`yin` is YIN (de Cheveigne & Kawahara 2002). `swift_f0` is a network that others trained, of the
package `swift-f0` (MIT; `pip install swift-f0`, which brings onnxruntime); where it is not
installed, there is one tracker only.
"""

from __future__ import annotations

import math
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.signal.audio_files import resample

WINDOW = 0.1  # seconds
LOWEST, HIGHEST = 20.0, 4000.0  # Hz
THRESHOLD = 0.1  # of the aperiodic power, section II.D: the first dip below it is the period
AUDIBLE = 20.0  # dB below the loudest frame; softer ones have no say
TRACKED = 16000  # Hz, what swift-f0 hears
VOICED = 0.5  # confidence


def yin(audio: Tensor, rate: int) -> float:
    """The fundamental in Hz of audio [T] at `rate` Hz, 20..4000; NaN for silence.

    The median over the frames within 20 dB of the loudest (by YIN, eq. 6-8 and 10).
    """
    x = audio.detach().double().flatten()
    size, most = round(WINDOW * rate), math.ceil(rate / LOWEST)
    x = F.pad(x, (0, max(0, size + most - len(x))))
    frames = x.unfold(0, size + most, size // 2)  # [L, W + lags]
    power = frames[:, :size].square().sum(1)
    if float(power.max()) <= 0.0:
        return float("nan")
    frames = frames[power >= power.max() * 10 ** (-AUDIBLE / 10)]
    d = _differences(frames, size, most)
    least = rate / HIGHEST
    found = [_period(row, math.floor(least)) for row in d]
    return rate / float(torch.tensor(found).median())


def _differences(frames: Tensor, size: int, most: int) -> Tensor:
    """Cumulative mean normalised differences [L, lags] of frames [L, size + most], eq. 8."""
    n = size + most
    total = F.pad(frames.square().cumsum(1), (1, 0))
    energy = total[:, size : size + most] - total[:, :most]  # of the frame moved by each lag
    head = torch.fft.rfft(frames[:, :size], 2 * n)
    both = torch.fft.irfft(head.conj() * torch.fft.rfft(frames, 2 * n))[:, :most]
    d = (energy[:, :1] + energy - 2 * both).clamp_min(0.0)
    mean = d[:, 1:].cumsum(1) / torch.arange(1, most)
    return torch.cat([torch.ones_like(d[:, :1]), d[:, 1:] / mean.clamp_min(1e-12)], 1)


def _period(d: Tensor, least: int) -> float:
    """The period in samples of differences [lags]: the first dip below THRESHOLD, or the lowest."""
    low = (d[least:] < THRESHOLD).nonzero()
    at = least + (int(low[0]) if len(low) else int(d[least:].argmin()))
    while at + 1 < len(d) and d[at + 1] < d[at]:
        at += 1
    if not 0 < at < len(d) - 1:
        return float(at)
    before, here, after = (float(value) for value in d[at - 1 : at + 2])
    bend = before - 2 * here + after
    return at + (0.5 * (before - after) / bend if bend > 0 else 0.0)


def swift_f0(audio: Tensor, rate: int) -> float | None:
    """The fundamental in Hz of audio [T] at `rate` Hz by swift-f0, 47..2094; NaN where it hears no
    pitch, None where it is not installed. The median of the frames that it is sure of.
    """
    network = _network()
    if network is None:
        return None
    x = resample(audio.detach().float().flatten(), rate, TRACKED)
    heard = network.detect((x / x.abs().max().clamp_min(1e-9)).numpy(), TRACKED)
    sure = torch.from_numpy(heard.confidence) >= VOICED
    return float(torch.from_numpy(heard.pitch_hz)[sure].median()) if bool(sure.any()) else math.nan


@lru_cache(maxsize=1)
def _network() -> Any:
    if find_spec("swift_f0") is None or find_spec("onnxruntime") is None:
        return None
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1, spin=False)


def cents(hz: float, key: float) -> float:
    """How far a pitch is from a key, both in Hz, in cents.

    >>> round(cents(442, 440))
    8
    """
    return 1200.0 * math.log2(hz / key)
