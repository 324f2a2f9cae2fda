"""Estimates of the clean latent, and DDIM inversion."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from sds.samplers.denoiser import Denoiser
from sds.samplers.ode import euler
from sds.samplers.schedules import cosine


def estimate_x0(denoise: Denoiser, z: Tensor, noise: Tensor, t: Tensor, *, steps: int) -> Tensor:
    """Estimate x0 [B, D, L] of latents z [B, D, L] under noise [B, D, L] at times t [B] by `steps`
    DDIM steps.

    Multi-step denoising (Audio-SDS, section 4). Levels t_j = t (1 - j/n); z_{j+1} = alpha_{j+1}
    x0_j + sigma_{j+1} eps_j is an Euler step on x = z / alpha, and the step to zero returns the
    last x0. One step is ordinary SDS: D(z + sigma n).
    """
    sigmas = cosine(steps, t)  # [n + 1, B]
    return euler(denoise, z + sigmas[0][:, None, None] * noise, sigmas)


def ddim_invert(denoise: Denoiser, z: Tensor, t: Tensor, *, steps: int) -> Tensor:
    """Invert latents z [B, D, L] to x [B, D, L] at the noise level of times t [B]: DDIM inversion.

    Song et al. 2021 (arXiv 2010.02502, section 4.3). The probability-flow ODE upwards in `steps`
    Euler steps, levels t j / n; from x, `euler` goes down again. A step from sigma_j takes D at
    sigma_{j+1}: at level zero there is no direction yet.
    """
    levels = cosine(steps, t).flip(0)  # [n + 1, B], rising from 0
    x = z
    for low, high in pairwise(levels):
        d = (x - denoise(x, high)) / high[:, None, None]
        x = x + (high - low)[:, None, None] * d
    return x
