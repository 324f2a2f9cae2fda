"""Karras' stochastic sampler: Heun steps with noise added before each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser
from sds.samplers.ode import Sampler, _per_item, _wide


def churn(
    generator: torch.Generator,
    *,
    amount: float = 40.0,
    low: float = 0.05,
    high: float = 50.0,
    noise: float = 1.003,
) -> Sampler:
    """Build the stochastic sampler, (denoise, x [B, D, L], sigmas [N + 1] or [N + 1, B]) -> x.

    Karras et al. 2022, algorithm 2: two evaluations a step, one for a step to zero. Before each of
    N steps from a level in [`low`, `high`] (S_tmin, S_tmax) the noise is raised from sigma to sigma
    (1 + gamma), gamma = min(`amount` / N, sqrt 2 - 1) (S_churn), with fresh noise of standard
    deviation `noise` (S_noise). An `amount` of 0 is `heun`. The defaults are the paper's for
    ImageNet-64 (Table 5). `generator` is on the CPU; each call takes new numbers from it.
    """

    def sample(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
        gamma = min(amount / (len(sigmas) - 1), math.sqrt(2) - 1)
        for level, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
            within = (level >= low) & (level <= high)
            sigma = torch.where(within, level * (1 + gamma), level)
            fresh = torch.randn(x.shape, generator=generator).to(x)
            x = x + _wide((sigma**2 - level**2).sqrt() * noise, x) * fresh
            d = (x - denoise(x, sigma)) / _wide(sigma, x)
            ahead = x + _wide(after - sigma, x) * d
            if torch.all(after == 0):
                return ahead
            d_ahead = (ahead - denoise(ahead, after)) / _wide(after, x)
            x = x + _wide(after - sigma, x) * (d + d_ahead) / 2
        return x

    return sample
