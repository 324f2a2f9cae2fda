"""The room of the impact voice "audio-sds": noise in bands whose centres are knobs, on two sides.

    room_c[t] = sum_m b_m exp(-c_m t) (h_m * n_c)[t]        c: left, right
n_c is white noise, one a side; h_m is the band-pass with the gain cos^2(pi/2 x), x = ln(f / f_m) /
width held in -1..1: smooth in its centre f_m. The width is the distance of neighbours that are
log-spaced from 40 Hz to 16 kHz: so spaced, bands cross-fade, and but for the outer two, which there
reach to the ends, are those of `renderers.noise.noise_bands`. The noise is frozen and repeats after
`PERIOD` samples, so a patch sounds the same every time.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor

from renderers import kernels
from renderers.base import each_patch
from renderers.noise import HIGHEST_BAND, LOWEST_BAND, PERIOD, SEED

SEEDS = (SEED, SEED + 2)  # left, which is the noise of all others, and right

Bands: TypeAlias = NDArray[np.floating[Any]]
"""The noise of both sides in bands, [2, M, PERIOD]."""


def width(bands: int) -> float:
    """How far from its centre a band reaches, in nepers of frequency."""
    return math.log(HIGHEST_BAND / LOWEST_BAND) / max(1, bands - 1)


def centres(bands: int) -> Tensor:
    """Centres [M] in Hz, float64, from which neighbours cross-fade."""
    steps = torch.arange(bands, dtype=torch.float64) * width(bands)
    return LOWEST_BAND * steps.exp()


def stereo_room(
    gain: Tensor, decay: Tensor, hz: Tensor, rate: int, samples: int, dtype: torch.dtype
) -> Tensor:
    """The room [B, 2, samples] of bands [B, M]: gains, decays per sample, centres in Hz.

    Differentiable in all three.
    """
    audio: Tensor = _Room.apply(  # type: ignore[no-untyped-call]
        gain, decay, hz, rate, samples, dtype
    )
    return audio


def noise_around(
    hz: NDArray[np.float64],
    rate: int,
    dtype: torch.dtype,
    *,
    slope: bool = False,
    threads: int = 1,
) -> Bands:
    """Noise through the band-passes at centres `hz` [M]; or its slope in ln `hz`."""
    M, precision = len(hz), np.complex128 if dtype == torch.float64 else np.complex64
    noise = _noise_spectra(rate).astype(precision, copy=False)
    spectra = np.zeros((2, M, PERIOD // 2 + 1), precision)
    reach = math.exp(width(M))
    for m, f in enumerate(hz):
        first = max(1, math.ceil(f / reach * PERIOD / rate))  # no constant
        last = min(PERIOD // 2, math.floor(f * reach * PERIOD / rate))
        if last < first:
            continue
        bins, here = np.arange(first, last + 1), slice(first, last + 1)
        turn = np.pi * (np.log(bins * (rate / PERIOD)) - math.log(f)) / width(M)
        gain = np.sin(turn) * (0.5 * np.pi / width(M)) if slope else 0.5 + 0.5 * np.cos(turn)
        spectra[:, m, here] = noise[:, here] * gain.astype(spectra.real.dtype)
    bands: Bands = fft.irfft(spectra, PERIOD, workers=threads)
    return bands


def _threads(patches: int) -> int:
    """How many each patch has of torch's threads, which `each_patch` shares among them."""
    return max(1, torch.get_num_threads() // patches)


@lru_cache(maxsize=2)
def _noise_spectra(rate: int) -> NDArray[np.complex128]:
    """The spectra [2, PERIOD / 2 + 1] of both noises, of power 10 / rate a sample."""
    scale = math.sqrt(10.0 / rate)
    white = [np.random.RandomState(seed).standard_normal(PERIOD) * scale for seed in SEEDS]
    return np.fft.rfft(np.stack(white))


# With G[t] the gradient of the loss with respect to the room of a side, summed over both sides:
#     dL/db_m = sum_t G[t] exp(-c_m t) n_m[t],    dL/dc_m = -b_m sum_t t G[t] exp(-c_m t) n_m[t]
#     dL/d ln f_m = b_m sum_t G[t] exp(-c_m t) dn_m[t]/d ln f_m
# The last is the first of other noise: the same kernel.
class _Room(torch.autograd.Function):
    """`kernels.tail` and its adjoint on noise around centres, one patch a thread."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        gain, decay, hz, rate, samples, dtype = arguments
        g, d, f = (t.detach().contiguous().numpy() for t in (gain, decay, hz))
        audio = torch.empty(len(g), 2, samples, dtype=dtype)
        kept: list[Bands | None] = [None] * len(g)

        def one(b: int) -> None:
            bands = noise_around(f[b], rate, dtype, threads=_threads(len(g)))
            for side in range(2):
                kernels.tail(bands[side], g[b], d[b], audio[b, side].numpy())
            if any(ctx.needs_input_grad):
                kept[b] = bands

        each_patch(one, len(g))
        ctx.save_for_backward(gain, decay, hz)
        ctx.kept, ctx.rate = kept, rate
        return audio

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        g, d, f = (t.detach().contiguous().numpy() for t in ctx.saved_tensors)
        G = gradients[0].contiguous().numpy()
        slopes = np.zeros((3, *g.shape))

        def one(b: int) -> None:
            moved = noise_around(
                f[b], ctx.rate, gradients[0].dtype, slope=True, threads=_threads(len(g))
            )
            here, unused = np.empty((2, g.shape[1])), np.empty(g.shape[1])
            for side in range(2):
                kernels.tail_adjoint(ctx.kept[b][side], g[b], d[b], G[b, side], here[0], here[1])
                slopes[:2, b] += here
                kernels.tail_adjoint(moved[side], g[b], d[b], G[b, side], here[0], unused)
                slopes[2, b] += g[b] * here[0] / f[b]

        each_patch(one, len(g))
        return (*torch.from_numpy(slopes), None, None, None)
