"""Solvers of the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma.

One function a solver, each readable beside its paper; duplication between them is deliberate.
`sigmas` is [N + 1], or [N + 1, B] with a schedule for each item, falling, and may end in zero. The
random start is the caller's: x = x0 + sigmas[0] * noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser

Sampler: TypeAlias = Callable[[Denoiser, Tensor, Tensor], Tensor]
"""(denoise, x [B, D, L], sigmas) -> x at the last noise level."""


def euler(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] or [N + 1, B] by Euler steps; x at the
    last.

    Karras et al. 2022, algorithm 1 without the correction: first order, and DDIM at eta 0. A last
    level of zero returns the last D: z_{j+1} = alpha_{j+1} x0 + sigma_{j+1} eps divided by
    alpha_{j+1} is x0 + sigma_{j+1} d.
    """
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d = (x - denoise(x, sigma)) / _wide(sigma, x)
        x = x + _wide(after - sigma, x) * d
    return x


def heun(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] or [N + 1, B] by Heun steps; x at the
    last.

    Karras et al. 2022, algorithm 1: second order, two evaluations a step (one for the last).
    """
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d = (x - denoise(x, sigma)) / _wide(sigma, x)
        ahead = x + _wide(after - sigma, x) * d
        if torch.all(after == 0):
            x = ahead
        else:
            d_ahead = (ahead - denoise(ahead, after)) / _wide(after, x)
            x = x + _wide(after - sigma, x) * (d + d_ahead) / 2
    return x


def _per_item(sigmas: Tensor, x: Tensor) -> list[Tensor]:
    """Rows of [N] or [N, B] as N tensors [B]."""
    rows = sigmas if sigmas.ndim == 2 else sigmas[:, None]
    return list(rows.to(x.device, x.dtype).expand(-1, len(x)))


def _wide(sigma: Tensor, x: Tensor) -> Tensor:
    """[B] as [B, 1, ...], to multiply x."""
    return sigma.reshape(-1, *[1] * (x.ndim - 1))
