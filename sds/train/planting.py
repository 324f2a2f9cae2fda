"""Copies of a sound as they might turn up in what a model generates: a piece, disturbed.

What copy detection learns to see through (`random_copy`) and what it is proven by (`DISTURBANCES`):
noise, a gain, a time shift, an equaliser, a small change of speed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchaudio.functional import bass_biquad, treble_biquad

from sds.signal.audio_files import resample

RATE = 44100
SECONDS = 4.0  # of a planted piece at most
LATE = 0.2  # seconds of a time shift at most, as published
LOW, HIGH = 250.0, 4000.0  # Hz, where the shelves bend


def with_noise(audio: Tensor, decibels: float, rng: np.random.Generator) -> Tensor:
    """Audio [T] with white noise, softer by `decibels` than its mean power."""
    noise = torch.from_numpy(rng.standard_normal(len(audio), dtype=np.float32))
    return audio + noise * audio.square().mean().sqrt() * 10 ** (-decibels / 20)


def later(audio: Tensor, seconds: float) -> Tensor:
    """Audio [T] that begins later; what then lies behind T is gone."""
    return F.pad(audio, (min(len(audio) // 2, round(seconds * RATE)), 0))[: len(audio)]


def with_shelves(audio: Tensor, low: float, high: float) -> Tensor:
    """Audio [T] through a low and a high shelf of these gains in dB."""
    bent = bass_biquad(audio.double(), RATE, low, central_freq=LOW)
    out: Tensor = treble_biquad(bent, RATE, high, central_freq=HIGH)
    return out.float()


def faster(audio: Tensor, thousandths: int) -> Tensor:
    """Audio [T] played faster by that many thousandths, and higher by as much; slower below 0."""
    return resample(audio, 1000 + thousandths, 1000)


def _sign(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1


DISTURBANCES: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "noise at 20 dB": lambda audio, rng: with_noise(audio, 20.0, rng),
    "gain": lambda audio, rng: audio * 10 ** (rng.uniform(-12, 12) / 20),
    "time shift": lambda audio, rng: later(audio, rng.uniform(0.05, LATE)),
    "shelves of 6 dB": lambda audio, rng: with_shelves(audio, 6.0 * _sign(rng), 6.0 * _sign(rng)),
    "speed by 2 %": lambda audio, rng: faster(audio, 20 * _sign(rng)),
}


def random_copy(audio: Tensor, rng: np.random.Generator) -> Tensor:
    """A copy of audio [T], disturbed in all ways at once, each by a random amount."""
    if rng.random() < 0.5:
        audio = faster(audio, int(rng.integers(-30, 31)))
    if rng.random() < 0.6:
        audio = with_shelves(audio, *rng.uniform(-8.0, 8.0, 2))
    if rng.random() < 0.6:
        audio = later(audio, rng.uniform(0.0, LATE))
    if rng.random() < 0.6:
        audio = with_noise(audio, rng.uniform(15.0, 45.0), rng)
    return audio * 10 ** (rng.uniform(-6.0, 6.0) / 20)


def everything(audio: Tensor, rng: np.random.Generator) -> Tensor:
    """A copy of audio [T], disturbed in each way of `DISTURBANCES`, noise last."""
    for name in ("speed by 2 %", "shelves of 6 dB", "time shift", "gain", "noise at 20 dB"):
        audio = DISTURBANCES[name](audio, rng)
    return audio
