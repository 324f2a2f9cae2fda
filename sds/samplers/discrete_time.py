"""The denoiser of a network that says the noise of z at discrete times (DDPM), as of MT-MusicLDM.

Such a network was trained on z_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) n, t = 0..T-1. Divided by
sqrt(abar_t) this is x = x0 + sigma n with

    sigma(t) = sqrt((1 - abar_t) / abar_t),  z = x / sqrt(1 + sigma^2),  D(x; sigma) = x - sigma eps

so that DDIM is an Euler step on dx = eps dsigma (Song et al. 2021, arXiv 2010.02502, eq. 14), and
every sampler here can have the network. sigma is no straight line of t: with MT-MusicLDM's betas
it is 83.8 at t = 999 and 1 near t = 255.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser

EpsNetwork: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(z [B, ...], t [B], which may lie between two times) -> the noise in z [B, ...]."""


def scaled_linear_betas(low: float, high: float, *, times: int = 1000) -> Tensor:
    """Variances beta [T] that a step of diffusion adds, linear in their roots: latent diffusion's
    schedule (Rombach et al. 2022). MT-MusicLDM and AudioLDM: `low` 0.0015, `high` 0.0195.
    """
    return torch.linspace(low**0.5, high**0.5, times, dtype=torch.float64).square()


def sigmas_of_betas(betas: Tensor) -> Tensor:
    """Noise levels sigma(t) = sqrt((1 - abar) / abar) [T], rising, of `betas` [T]; abar_t is the
    product of 1 - beta up to t.

    >>> sigma = sigmas_of_betas(scaled_linear_betas(0.0015, 0.0195))
    >>> round(float(sigma[999]), 1), round(float(sigma[255]), 2), round(float(sigma[99]), 2)
    (83.8, 1.0, 0.46)
    """
    abar = torch.cumprod(1 - betas.double(), 0)
    return ((1 - abar) / abar).sqrt()


def time_of(sigma: Tensor, sigmas: Tensor) -> Tensor:
    """Time t [B] from 0 to T - 1 at which the noise level is `sigma` [B], by straight lines in log
    sigma between the levels `sigmas` [T]; 0 below the first.

    Raises ValueError above the last level, which the network never heard.
    """
    if float(sigma.max()) > float(sigmas[-1]) * 1.001:
        raise ValueError(f"sigma must be at most {float(sigmas[-1]):.4g}, got {sigma.max():.4g}")
    logs = sigmas.to(sigma.device).log()
    wanted = sigma.double().clamp(min=float(sigmas[0])).log()
    after = torch.searchsorted(logs, wanted.contiguous()).clamp(1, len(logs) - 1)
    low, high = logs[after - 1], logs[after]
    return (after - 1 + (wanted - low) / (high - low)).clamp(0, len(logs) - 1)


def eps_denoiser(network: EpsNetwork, sigmas: Tensor) -> Denoiser:
    """Build D(x [B, ...]; sigma [B]) of a network of noise; `sigmas` [T] are its times' levels."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        wide = sigma.reshape(-1, *[1] * (x.ndim - 1))
        z = x / (1 + wide.square()).sqrt()
        return x - wide * network(z, time_of(sigma, sigmas).to(x.dtype))

    return denoise
