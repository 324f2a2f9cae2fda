"""How an object is struck: the force of the full impact voice, and how often it falls.

    force[t] = pulse[t] + burst[t]              hits[t] = sum_k g_k delta[t - t_k]
    out      = struck * force * hits            *: convolution; struck: the object hit by a delta
- pulse: the contact of a mallet, a raised cosine of unit area, `strike_seconds` long beyond the
  shortest there is, which is the delta.
- burst: decaying low-passed noise, for what scrapes: `burst_level` 1 gives every frequency below
  `burst_hz` the power that the delta gives it; `burst_seconds` to -60 dB.
- hits: t_k = (k + hit_jitter r_k) / hit_hz, the first at 0. With jitter 0 they are regular, with 1
  they fall like rain (a Poisson process). The k-th, from 0, has the gain clamp(hits - k, 0, 1) and
  is up to 24 `hit_spread` dB softer than the first.
All random numbers are frozen, and so belong to the renderer's version.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from presets.ranges import STRIKE
from renderers.base import fft_size
from renderers.newest import newest
from renderers.noise import HIGHEST_BAND, LOWEST_BAND, PERIOD, SEED, noise_bands
from renderers.reverberation import T60, reverberation

SHORTEST, LONGEST = STRIKE[0].low, STRIKE[0].high  # seconds
MOST_HITS = int(STRIKE[4].high)
SPREAD_DB = 24.0
BURST_BANDS = 8


def strike(struck: Tensor, knobs: Tensor, rate: int) -> Tensor:
    """The sound [B, T] of an object that a delta struck, struck as `knobs` [B, 8] say instead.

    They are those of `presets.ranges.STRIKE`, in their units and order. Differentiable in both.
    """
    samples, dtype = struck.shape[1], struck.dtype
    size = fft_size(3 * samples)  # three of this length: none comes round
    spectrum = torch.fft.rfft(struck, size)
    for part in _blows(knobs, rate, samples, size, dtype):
        spectrum = spectrum * part
    audio: Tensor = torch.fft.irfft(spectrum, size)[:, :samples]
    return audio


@newest
def _blows(
    knobs: Tensor, rate: int, samples: int, size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The spectra of the force and of the hits."""
    seconds, level, fading, low_pass, hits, hz, jitter, spread = knobs.unbind(1)
    force = burst(level, fading, low_pass, rate, samples, dtype)
    pulse = contact(seconds, rate)[:, :samples].to(dtype)
    force = force + torch.nn.functional.pad(pulse, (0, samples - pulse.shape[1]))
    pattern = hit_pattern(hits, hz, jitter, spread, rate, samples).to(dtype)
    return torch.fft.rfft(force, size), torch.fft.rfft(pattern, size)


# The pulse p(t) = (1 - cos(2 pi t / T)) / T, 0 <= t <= T, is put on the samples by linear
# interpolation, as the hits are. That makes sample n the second difference of its second integral,
# which with x = t / T held in 0..1 is
#     G(t) = T (x^2 / 2 + (cos(2 pi x) - 1) / (4 pi^2)) + max(t - T, 0)
# It has unit area for every T, and is the unit sample for T = 0.
def contact(seconds: Tensor, rate: int) -> Tensor:
    """The force [B, K] of a mallet that touches for `seconds` [B]: sums to 1, float64."""
    T = ((seconds - SHORTEST).double() * rate)[:, None]  # samples
    t = torch.arange(-1.0, math.ceil(LONGEST * rate) + 2, dtype=torch.float64)
    x = (t / T.clamp_min(1e-6)).clamp(0.0, 1.0)
    turn = 2.0 * math.pi
    G = T * (0.5 * x.square() + (torch.cos(turn * x) - 1.0) / turn**2) + torch.relu(t - T)
    return G.diff(n=2, dim=1)


def burst(
    level: Tensor, seconds: Tensor, hz: Tensor, rate: int, samples: int, dtype: torch.dtype
) -> Tensor:
    """Decaying noise [B, samples]: all arguments [B]; its low-pass falls by 12 dB an octave.

    At level 1 its spectrum has the mean power of a unit sample below `hz`.
    """
    decay = (T60 / (seconds * rate))[:, None]
    # noise_bands has power 10 / rate; sum_n exp(-2 d n) = 1 / (1 - exp(-2 d))
    unit = torch.sqrt(-torch.expm1(-2.0 * decay) * rate / 10.0)
    steps = np.linspace(0.0, 1.0, BURST_BANDS)
    centre = torch.from_numpy(LOWEST_BAND * (HIGHEST_BAND / LOWEST_BAND) ** steps)
    gain = level[:, None] * unit / torch.sqrt(1.0 + (centre / hz[:, None]) ** 4)
    noise = _other_noise(rate)
    return reverberation(gain, decay.expand_as(gain), noise, samples, dtype)


@lru_cache(maxsize=2)
def _other_noise(rate: int) -> NDArray[np.float32]:
    """Noise in bands that is not that of the room, which it is going to meet."""
    return np.roll(noise_bands(BURST_BANDS, rate), PERIOD // 2, axis=1)


def hit_pattern(
    hits: Tensor, hz: Tensor, jitter: Tensor, spread: Tensor, rate: int, samples: int
) -> Tensor:
    """Impulses [B, samples] at the times of the hits, linear between samples: arguments [B].

    The slope in `hits` at a whole number is the mean of those on both sides.
    """
    late, soft = (torch.from_numpy(chance) for chance in _chances())
    k = torch.arange(MOST_HITS, dtype=torch.float64)
    one = torch.ones_like(k)
    there = torch.minimum(torch.maximum(hits[:, None] - k, 0.0 * one), one)
    there = torch.cat([torch.ones_like(hits)[:, None], there[:, 1:]], dim=1)  # the first always
    gain = there * torch.exp(-math.log(10.0) / 20.0 * SPREAD_DB * spread[:, None] * soft)
    at = rate * (k + jitter[:, None] * late) / hz[:, None]
    before = at.detach().floor()
    part = at - before
    place = before.long().clamp_max(samples)  # what is later is dropped
    pattern = torch.zeros(len(hits), samples + 2, dtype=torch.float64)
    pattern = pattern.scatter_add(1, place, gain * (1.0 - part))
    return pattern.scatter_add(1, place + 1, gain * part)[:, :samples]


@lru_cache(maxsize=1)
def _chances() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How late each hit is against the regular one at jitter 1, in steps; how soft, in 0..1."""
    random = np.random.RandomState(SEED + 1)
    gaps = random.exponential(size=MOST_HITS - 1)
    late = np.concatenate([[0.0], np.cumsum(gaps / gaps.mean() - 1.0)])
    soft = random.uniform(size=MOST_HITS)
    soft[0] = 0.0
    return late, soft  # a tensor kept from inference mode would have no gradient later
