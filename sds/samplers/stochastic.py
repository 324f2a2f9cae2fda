"""Stochastic samplers: fresh noise in every step, from a generator of the caller's.

Each function here builds a `Sampler` that takes its random numbers from `generator`, on the CPU:
a seed means the same noise on every machine. Each call of the sampler takes new numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser
from sds.samplers.dpm_solver import exponential_rk2s
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
    ImageNet-64 (Table 5).
    """

    def sample(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
        gamma = min(amount / (len(sigmas) - 1), math.sqrt(2) - 1)
        for level, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
            within = (level >= low) & (level <= high)
            sigma = torch.where(within, level * (1 + gamma), level)
            fresh = _noise(x, generator)
            x = x + _wide((sigma**2 - level**2).sqrt() * noise, x) * fresh
            d = (x - denoise(x, sigma)) / _wide(sigma, x)
            ahead = x + _wide(after - sigma, x) * d
            if torch.all(after == 0):
                return ahead
            d_ahead = (ahead - denoise(ahead, after)) / _wide(after, x)
            x = x + _wide(after - sigma, x) * (d + d_ahead) / 2
        return x

    return sample


def ping_pong(generator: torch.Generator) -> Sampler:
    """Build the ping-pong sampler, (denoise, x [B, D, L], sigmas [N + 1] or [N + 1, B]) -> x.

    Novack et al. 2025 (arXiv 2505.08175, section 3.3), the multistep sampling of consistency models
    (Song et al. 2023, arXiv 2303.01469, algorithm 1): x <- D(x; sigma) + sigma' n with fresh noise
    n, one evaluation a step. For models whose D is a sample that sounds real, as post-trained ones
    have; of a plain denoiser, whose D is a mean, it makes sounds that are too smooth. That of
    stable-audio-tools 0.0.19 for the same noise: (1 - t') D + t' n is x divided by 1 + sigma'.
    """

    def sample(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
        for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
            x = denoise(x, sigma)
            if torch.all(after == 0):
                return x
            x = x + _wide(after, x) * _noise(x, generator)
        return x

    return sample


def repaint(
    generator: torch.Generator, *, repeats: int = 8, low: float = 0.1, high: float = 3.0
) -> Sampler:
    """Build second-order steps that are repeated, (denoise, x [B, D, L], sigmas) -> x.

    The resampling of RePaint (Lugmayr et al. 2022, arXiv 2201.09865, algorithm 1, jumps of one
    step) with `exponential_rk2s`, two evaluations a step: after a step from sigma to sigma' noise
    of variance sigma^2 - sigma'^2 brings x back up and the step is made again, `repeats` times in
    all, from levels in [`low`, `high`], where latents of unit variance settle what goes with what.
    Each repetition lets what is filled in answer to what is kept (`sds.priors.inpainting`).
    `sigmas` is [N + 1] or [N + 1, B]; the step to zero is made once and returns D. Raises
    `ValueError` for fewer than one repetition.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")

    def sample(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
        for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
            if torch.all(after == 0):
                return denoise(x, sigma)
            back = _wide((sigma**2 - after**2).sqrt(), x)
            within = bool(((sigma >= low) & (sigma <= high)).all())
            for again in reversed(range(repeats if within else 1)):
                x = exponential_rk2s(denoise, x, torch.stack([sigma, after]))
                if again:
                    x = x + back * _noise(x, generator)
        return x

    return sample


def dpmpp_3m_sde(generator: torch.Generator, *, eta: float = 1.0) -> Sampler:
    """Build DPM-Solver++(3M) SDE, (denoise, x [B, D, L], sigmas [N + 1] or [N + 1, B]) -> x.

    One evaluation a step. Lu et al. 2022 (arXiv 2211.01095, section 4.2 and appendix B, SDE
    variant) as k-diffusion has it, with three values of D: with lambda = -log sigma, h the step in
    lambda and h_eta = (1 + `eta`) h,

        x <- e^-h_eta x + (1 - e^-h_eta) D + phi_2 d_1 - phi_3 d_2 + sigma' sqrt(1 - e^(-2 eta h)) n

    where d_1, d_2 are divided differences of the last D, phi_2 = (e^-h_eta - 1) / h_eta + 1 and
    phi_3 = phi_2 / h_eta - 1/2. n are fresh standard normal numbers, as the increments of
    k-diffusion's Brownian tree are. `eta` 0 adds none and solves the ODE. The last term takes half
    of what the parabola through D has, so `eta` 0 is of order 2 (`dpmpp_3m` is of order 3).
    """

    def sample(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
        older: list[tuple[Tensor, Tensor]] = []  # D and h [B] of the steps before, the newest first
        for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
            d = denoise(x, sigma)
            if torch.all(after == 0):
                return d
            h = (sigma / after).log()
            h_eta = h * (eta + 1)
            x = _wide(torch.exp(-h_eta), x) * x + _wide(-torch.expm1(-h_eta), x) * d
            x = x + _correction(d, h, h_eta, older)
            if eta:
                spread = after * (-torch.expm1(-2 * h * eta)).sqrt()
                x = x + _wide(spread, x) * _noise(x, generator)
            older = [(d, h), *older[:1]]
        return x

    return sample


def _correction(d: Tensor, h: Tensor, h_eta: Tensor, older: list[tuple[Tensor, Tensor]]) -> Tensor:
    """What D of earlier steps adds to a step h [B] of `dpmpp_3m_sde`, [B, D, L] as d."""
    if not older:
        return torch.zeros_like(d)
    d_1, h_1 = older[0]
    phi_2 = torch.expm1(-h_eta) / h_eta + 1
    r_0 = h_1 / h
    slope = (d - d_1) / _wide(r_0, d)
    if len(older) == 1:
        return _wide(phi_2, d) * slope
    d_2, h_2 = older[1]
    r_1 = h_2 / h
    change = slope - (d_1 - d_2) / _wide(r_1, d)
    bend = change / _wide(r_0 + r_1, d)
    slope = slope + change * _wide(r_0 / (r_0 + r_1), d)
    return _wide(phi_2, d) * slope - _wide(phi_2 / h_eta - 0.5, d) * bend


def _noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers [B, D, L] from a generator on the CPU."""
    return torch.randn(x.shape, generator=generator).to(x)
