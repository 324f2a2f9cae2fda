"""Noise levels: the rectified-flow map of t and sigma, and schedules."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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


def cosine(n: int, t: Tensor) -> Tensor:
    """Noise levels [n + 1, B] of DDIM from times t [B] in [0, 1) down to zero: sigma of t_j = t (1
    - j/n), j = 0..n.
    """
    return sigma_of(t[None] * (1 - torch.arange(n + 1, device=t.device)[:, None] / n))
