"""Schedules and solvers of the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma.

One function a solver, each readable beside its paper; duplication between them is deliberate.
`sigmas` is [N + 1], or [N + 1, B] with a schedule for each item, falling, and may end in zero.
The random start is the caller's: x = x0 + sigmas[0] * noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from sds.prior import Denoiser

Sampler: TypeAlias = Callable[[Denoiser, Tensor, Tensor], Tensor]
"""(denoise, x [B, D, L], sigmas) -> x at the last noise level."""


def sigma_of(t: Tensor) -> Tensor:
    """Noise level of v-diffusion's time: alpha = cos(pi t/2), sigma/alpha = tan(pi t/2), t < 1."""
    return torch.tan(t * (math.pi / 2))


def t_of(sigma: Tensor) -> Tensor:
    """The inverse of `sigma_of`."""
    return torch.atan(sigma) * (2 / math.pi)


def karras(n: int, low: float, high: float, *, rho: float = 7.0) -> Tensor:
    """Karras et al. 2022, eq. 5: n levels from `high` to `low`, then zero; [n + 1]."""
    ramp = torch.linspace(0, 1, n, dtype=torch.float64)
    a, b = high ** (1 / rho), low ** (1 / rho)
    return torch.cat([(a + ramp * (b - a)) ** rho, torch.zeros(1, dtype=torch.float64)]).float()


def cosine(n: int, t: Tensor) -> Tensor:
    """DDIM levels t_j = t (1 - j/n), j = 0..n, as sigmas [n + 1, B] for starting times t [B]."""
    return sigma_of(t[None] * (1 - torch.arange(n + 1, device=t.device)[:, None] / n))


def euler(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Karras et al. 2022, algorithm 1 without the correction: first order, and DDIM at eta 0.

    A last level of zero returns the last D: z_{j+1} = alpha_{j+1} x0 + sigma_{j+1} eps divided by
    alpha_{j+1} is x0 + sigma_{j+1} d.
    """
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d = (x - denoise(x, sigma)) / _wide(sigma, x)
        x = x + _wide(after - sigma, x) * d
    return x


def heun(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Karras et al. 2022, algorithm 1: second order, two evaluations a step (one for the last)."""
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d = (x - denoise(x, sigma)) / _wide(sigma, x)
        ahead = x + _wide(after - sigma, x) * d
        if torch.all(after == 0):
            x = ahead
        else:
            d_ahead = (ahead - denoise(ahead, after)) / _wide(after, x)
            x = x + _wide(after - sigma, x) * (d + d_ahead) / 2
    return x


def dpmpp_2m(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """DPM-Solver++(2M), Lu et al. 2022 (arXiv 2211.01095), algorithm 2: one evaluation a step.

    With lambda = -log sigma and h the step in lambda: x <- (sigma'/sigma) x + (1 - e^-h) D', where
    D' extrapolates the last two D linearly in lambda.
    """
    older: tuple[Tensor, Tensor] | None = None  # D and h of the step before
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d0 = denoise(x, sigma)
        if torch.all(after == 0):
            return d0
        h = (sigma / after).log()
        extrapolated = d0
        if older is not None:
            extrapolated = d0 + _wide(h / (2 * older[1]), x) * (d0 - older[0])
        x = _wide(after / sigma, x) * x + _wide(-torch.expm1(-h), x) * extrapolated
        older = d0, h
    return x


def tab3(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """DEIS tAB3, Zhang & Chen 2022 (arXiv 2204.13902), eq. 15: one evaluation a step.

    x_{i+1} = x_i + sum_j C_ij eps_{i-j}, C_ij the integral over [sigma_i, sigma_{i+1}] of the
    Lagrange basis through the last three levels, taken in sigma^(1/7) (section 7 of the notes: the
    best of seven solvers at 8 to 50 evaluations). One schedule [N + 1] for all items.
    """
    if sigmas.ndim != 1:
        raise ValueError(f"tab3 takes one schedule [N + 1] for all items, got {sigmas.ndim} axes")
    levels = [float(sigma) for sigma in sigmas]
    eps: list[Tensor] = []
    for i, (sigma, after) in enumerate(pairwise(levels)):
        eps = [(x - denoise(x, x.new_full((len(x),), sigma))) / sigma, *eps[:2]]
        for c, e in zip(_lagrange(levels[max(0, i - 2) : i + 1][::-1], after), eps, strict=True):
            x = x + c * e
    return x


def _lagrange(known: list[float], after: float, power: float = 1 / 7) -> list[float]:
    """Integrals over sigma from known[0] to `after` of the Lagrange bases in sigma^power."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half = (after - known[0]) / 2
    p = (known[0] + half * (1 + nodes)) ** power
    at = [sigma**power for sigma in known]
    out = []
    for j, here in enumerate(at):
        others = [(p - other) / (here - other) for k, other in enumerate(at) if k != j]
        out.append(float(half * np.sum(weights * np.prod(others, axis=0))))
    return out


def _per_item(sigmas: Tensor, x: Tensor) -> list[Tensor]:
    """Rows of [N] or [N, B] as N tensors [B]."""
    rows = sigmas if sigmas.ndim == 2 else sigmas[:, None]
    return list(rows.to(x.device, x.dtype).expand(-1, len(x)))


def _wide(sigma: Tensor, x: Tensor) -> Tensor:
    """[B] as [B, 1, ...], to multiply x."""
    return sigma.reshape(-1, *[1] * (x.ndim - 1))
