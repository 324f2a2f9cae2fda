"""The exact denoiser of a Gaussian mixture, on which solvers are measured."""

from __future__ import annotations

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser


def gaussian_mixture(means: Tensor, std: float) -> Denoiser:
    """The denoiser of a mixture of equal Gaussians about `means` [K, D], of deviation `std`.

    D(x; sigma) = E[x0 | x] (Karras et al. 2022, eq. 55 for points, here with a deviation): each x
    [D] of x [B, D, L] belongs to component k with probability softmax_k(-|x - m_k|^2 / 2 (s^2 +
    sigma^2)), and its mean there is m_k + s^2 / (s^2 + sigma^2) (x - m_k).
    """
    halves = means.square().sum(1) / 2  # |m|^2 / 2: |x|^2 is the same for all k

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        points = x.mT  # [B, L, D]
        variance = (std**2 + sigma**2)[:, None, None]
        mean = torch.softmax((points @ means.T - halves) / variance, -1) @ means
        return (mean + std**2 / variance * (points - mean)).mT

    return denoise
