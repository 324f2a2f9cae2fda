"""Noise in bands that decays: what a room, a burst and a breath are made of."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderers import kernels
from renderers.base import each_patch

PERIOD = 1 << 18  # samples of noise before it repeats, 5.9 s at 44.1 kHz
SEED = 20250504
T60 = math.log(1000.0)  # exp(-d t) has fallen by 60 dB at t = T60 / d
LOWEST_BAND, HIGHEST_BAND = 40.0, 16000.0  # Hz, centres


@lru_cache(maxsize=2)
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


def reverberation(
    gain: Tensor, decay: Tensor, noise: NDArray[np.float32], samples: int, dtype: torch.dtype
) -> Tensor:
    """sum_m gain_m exp(-decay_m t) noise_m[t]: [B, M], decay per sample -> [B, T]."""
    audio: Tensor = _Tail.apply(  # type: ignore[no-untyped-call]
        gain, decay, noise, samples, dtype
    )
    return audio


class _Tail(torch.autograd.Function):
    """`kernels.tail` and its adjoint, one patch a thread."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        gain, decay, noise, samples, dtype = arguments
        g, d = gain.detach().contiguous().numpy(), decay.detach().contiguous().numpy()
        audio = torch.empty(g.shape[0], samples, dtype=dtype)
        each_patch(lambda b: kernels.tail(noise, g[b], d[b], audio[b].numpy()), g.shape[0])
        ctx.save_for_backward(gain, decay)
        ctx.noise = noise
        return audio

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        g, d = (t.detach().contiguous().numpy() for t in ctx.saved_tensors)
        G = gradients[0].contiguous().numpy()
        slopes = np.empty((2, *g.shape))

        def one(b: int) -> None:
            kernels.tail_adjoint(ctx.noise, g[b], d[b], G[b], slopes[0, b], slopes[1, b])

        each_patch(one, g.shape[0])
        return torch.from_numpy(slopes[0]), torch.from_numpy(slopes[1]), None, None, None
