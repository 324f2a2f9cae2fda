"""Partial generation: tracks that go with given ones, by replacement or by a noise level for each
track.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from sds.samplers.churned_steps import churned_steps, level_of, lowered, noise_like, raised
from sds.samplers.denoiser import TrackDenoiser


def replace_stepwise(
    denoise: TrackDenoiser,
    given: Tensor,
    known: Tensor,
    sigmas: Tensor,
    *,
    churn: float = 0.0,
    resamples: int = 1,
    generator: torch.Generator,
) -> Generator[tuple[int, Tensor], None, Tensor]:
    """Generate what is not known of tracks `given` [B, N, ...], down `sigmas` [T + 1] to 0.

    Imputation of multi-source diffusion (Mariani et al. 2023, arXiv 2302.02257, section 4.1): what
    is known is replaced by itself plus noise of the level, drawn once a level, and put back clean
    at the end. `known` is bool and broadcasts to [B, N, ...]: whole tracks, or parts of them; what
    is not known of `given` is ignored. The denoiser has one level for all tracks. Their settings:
    `karras(256, 1e-4, 20)`, churn 10.

    Replacement is biased: the denoiser hears the given tracks through noise and nothing takes back
    what it did before they were clear (Lugmayr et al. 2022, arXiv 2201.09865). Correctors, at
    `resamples` > 1, make the bias less. Yields, returns and raises as `generate_stepwise`.
    """
    everything = torch.ones(given.shape[:2], dtype=torch.bool, device=given.device)
    return _impute(denoise, given, known, everything, sigmas, churn, resamples, generator)


def track_noise_stepwise(
    denoise: TrackDenoiser,
    given: Tensor,
    known: Tensor,
    sigmas: Tensor,
    *,
    churn: float = 0.0,
    resamples: int = 1,
    generator: torch.Generator,
) -> Generator[tuple[int, Tensor], None, Tensor]:
    """Generate what is not known of tracks `given` [B, N, ...], the known tracks clean at sigma 0.

    Track-wise noise levels of MGE-LDM (2025, arXiv 2505.23305, section 3.3): for a denoiser trained
    with a level for each track this is the conditional distribution, without the bias of
    replacement. `known` is bool and broadcasts to [B, N, ...]; a track that is known in parts only
    (an overlap with what came before) has the level of the others, and its parts are replaced.
    Yields, returns and raises as `replace_stepwise`.
    """
    whole = known.expand(given.shape).flatten(2).all(-1)  # [B, N]
    return _impute(denoise, given, known, ~whole, sigmas, churn, resamples, generator)


def _impute(
    denoise: TrackDenoiser,
    given: Tensor,
    known: Tensor,
    noisy: Tensor,
    sigmas: Tensor,
    churn: float,
    resamples: int,
    generator: torch.Generator,
) -> Generator[tuple[int, Tensor], None, Tensor]:
    """Impute with noise on the tracks `noisy` [B, N]; the others stay as given."""
    wide = noisy.reshape(*noisy.shape, *[1] * (given.ndim - 2))  # [B, N, 1, ...]
    noise = noise_like(given, generator)
    x = noise * float(sigmas[0])
    for step in churned_steps(sigmas, churn=churn, resamples=resamples):
        x = raised(x, step, generator)
        if step.first:
            noise = noise_like(given, generator)
        x = torch.where(known, given + step.hat * noise * wide, x)
        with torch.no_grad():
            x0 = denoise(x, level_of(x, step.hat) * noisy)
        x0 = torch.where(known, given, x0)
        yield step.done, x0
        x = lowered(x, (x - x0) / step.hat, step, generator)
    return torch.where(known, given, x)
