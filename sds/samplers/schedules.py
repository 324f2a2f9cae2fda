"""Noise levels: the rectified-flow map of t and sigma, and schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

Schedule: TypeAlias = Callable[[int, float, float], Tensor]
"""(n, lowest, highest noise level above zero) -> levels [n + 1], falling from the highest to 0."""

NOISY = -6.0
"""log SNR at which the library's grid of a rectified flow begins, below pure noise."""


def sigma_of(t: Tensor) -> Tensor:
    """Noise level sigma [...] of v-diffusion's time t [...] in [0, 1): alpha = cos(pi t/2),
    sigma/alpha = tan(pi t/2).
    """
    return torch.tan(t * (math.pi / 2))


def t_of(sigma: Tensor) -> Tensor:
    """Time t [...] in [0, 1) of noise level sigma [...] >= 0. The inverse of `sigma_of`."""
    return torch.atan(sigma) * (2 / math.pi)


def karras(n: int, low: float, high: float, *, rho: float = 7.0) -> Tensor:
    """Noise levels [n + 1] falling from `high` to `low`, then zero: Karras et al. 2022, eq. 5."""
    ramp = torch.linspace(0, 1, n, dtype=torch.float64)
    a, b = high ** (1 / rho), low ** (1 / rho)
    return torch.cat([(a + ramp * (b - a)) ** rho, torch.zeros(1, dtype=torch.float64)]).float()


def polyexponential(n: int, low: float, high: float, *, rho: float = 1.0) -> Tensor:
    """Noise levels [n + 1] falling from `high` to `low`, then zero, polynomial in log sigma.

    That of k-diffusion (`get_sigmas_polyexponential`), with which stable-audio-tools samples
    v-prediction: log sigma = log low + (1 - i/(n - 1))^rho (log high - log low); `rho` 1 makes them
    even in log sigma.
    """
    ramp = torch.linspace(1, 0, n, dtype=torch.float64) ** rho
    sigmas = torch.exp(math.log(low) + ramp * (math.log(high) - math.log(low)))
    return torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)]).float()


def rf_logsnr(n: int, low: float, high: float, *, noisy: float = NOISY) -> Tensor:
    """Noise levels [n + 1] of a rectified flow, even in log SNR = -log sigma, then zero.

    That of stable-audio-tools 0.0.19 (`sample_rf`), whose time is t = sigma / (1 + sigma): n + 1
    values of log SNR from `noisy` to -log `low`, of which the first is set to pure noise and the
    last to no noise. Pure noise has no finite sigma: it is `high` here, and where `high` is less
    than e^-noisy the levels begin at it, as the library's do for sigma_max below 1. The library's
    own end is log SNR 2, so `low` is e^-2; it is not a level, zero stands in its place. Stable
    Audio 3 in diffusers begins at log SNR -6.2.
    """
    first = max(noisy, -math.log(high))
    sigmas = torch.exp(-torch.linspace(first, -math.log(low), n + 1, dtype=torch.float64))
    sigmas[0], sigmas[-1] = high, 0.0
    return sigmas.float()


SCHEDULES: dict[str, Schedule] = {
    "karras": karras,
    "polyexponential": polyexponential,
    "rf_logsnr": rf_logsnr,
    "sa3_logsnr": partial(rf_logsnr, noisy=-6.2),
}
"""Schedules of a whole sampling, by name."""


def cosine(n: int, t: Tensor) -> Tensor:
    """Noise levels [n + 1, B] of DDIM from times t [B] in [0, 1) down to zero: sigma of t_j = t (1
    - j/n), j = 0..n.
    """
    return sigma_of(t[None] * (1 - torch.arange(n + 1, device=t.device)[:, None] / n))
