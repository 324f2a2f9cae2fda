"""Euler steps with churn and correctors: the arithmetic that all samplers of tracks share.

A step goes from the level sigma up to sigma_hat = sigma (1 + gamma) (churn), asks the denoiser
there, and goes by dx/dsigma = d down to the next level. A corrector goes up to sigma again and
repeats the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Step(NamedTuple):
    """One evaluation of the denoiser.

    - `done`: evaluations made with this one, from 1.
    - `sigma`, `hat`, `after`: the level, what churn makes of it, and the next level.
    - `first`: whether it is the first of its level.
    - `again`: whether the level is repeated after it, by a corrector.
    """

    done: int
    sigma: float
    hat: float
    after: float
    first: bool
    again: bool


def churned_steps(sigmas: Tensor, *, churn: float, resamples: int) -> Iterator[Step]:
    """List the steps down `sigmas` [T + 1], each level `resamples` times: T * resamples in all.

    gamma = min(`churn` / T, sqrt 2 - 1) at every level (Karras et al. 2022, algorithm 2, with no
    limits of sigma and S_noise = 1, as multi-source diffusion has it). `sigmas` falls and ends in
    zero, `churn` is >= 0, `resamples` >= 1: 1 is no corrector.

    >>> [s.done for s in churned_steps(torch.tensor([1.0, 0.5, 0.0]), churn=0, resamples=2)]
    [1, 2, 3, 4]
    """
    if sigmas.ndim != 1 or len(sigmas) < 2 or float(sigmas[-1]) != 0:
        raise ValueError(f"sigmas must be [T + 1] and end in 0, got {sigmas.tolist()}")
    if churn < 0:
        raise ValueError(f"churn must be at least 0, got {churn}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    levels = sigmas.tolist()
    gamma = min(churn / (len(levels) - 1), math.sqrt(2) - 1)
    for i, sigma in enumerate(levels[:-1]):
        for r in range(resamples):
            done = i * resamples + r + 1
            again = r < resamples - 1
            yield Step(done, sigma, sigma * (1 + gamma), levels[i + 1], r == 0, again)


def raised(x: Tensor, step: Step, generator: torch.Generator) -> Tensor:
    """x [...] of level sigma with noise added to that of level sigma_hat: churn."""
    return _with_noise(x, step.hat**2 - step.sigma**2, generator)


def lowered(x: Tensor, d: Tensor, step: Step, generator: torch.Generator) -> Tensor:
    """x [...] of level sigma_hat by an Euler step along d [...] at the next level; before a
    corrector with noise added to that of level sigma again.
    """
    x = x + d * (step.after - step.hat)
    return _with_noise(x, step.sigma**2 - step.after**2, generator) if step.again else x


def noise_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers [...] of the shape, type and device of x [...]; `generator` is on the
    CPU.
    """
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def level_of(x: Tensor, sigma: float) -> Tensor:
    """One level for all tracks of x [B, N, ...], as [B, N]."""
    return torch.full(x.shape[:2], sigma, dtype=x.dtype, device=x.device)


def _with_noise(x: Tensor, variance: float, generator: torch.Generator) -> Tensor:
    if variance <= 0:
        return x
    return x + math.sqrt(variance) * noise_like(x, generator)
