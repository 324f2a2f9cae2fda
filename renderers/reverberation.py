"""Decaying noise in bands: what a room answers, and what a scraped object is struck with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderers import kernels
from renderers.base import each_patch

T60 = math.log(1000.0)  # exp(-d t) has fallen by 60 dB at t = T60 / d


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
