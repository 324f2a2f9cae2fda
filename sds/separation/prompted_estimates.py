"""Estimates of each prompt's part of a mixture by a prior, as powers on the bins of the masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sds.priors.base import Prior, classifier_free_guidance, device_of
from sds.samplers.denoiser import Denoiser
from sds.samplers.inversion import estimate_x0
from sds.separation.base import N
from sds.signal.spectrogram import stft


def noised_estimate(
    prior: Prior, prompts: Sequence[str], audio: Tensor, *, t: float, generator: torch.Generator
) -> Iterator[Tensor]:
    """Estimate powers [F, N] of each prompt's part of audio [1, C', T'] from noise of time t, in
    one step; a `PromptedEstimate`.
    """
    cond = prior.embed(prompts, audio.shape[-1] / prior.sample_rate)
    denoise = classifier_free_guidance(prior, cond, cond, 1.0)
    sources = audio.expand(len(prompts), -1, -1)
    yield from prompted_powers(prior, denoise, sources, t=t, generator=generator)


@torch.no_grad()
def prompted_powers(
    prior: Prior,
    denoise: Denoiser,
    sources: Tensor,
    *,
    t: float,
    steps: int = 1,
    generator: torch.Generator,
) -> Tensor:
    """Power |T_k|^2 [K, F, N] of each source [K, C', T'] denoised from time t for its prompt.

    The noise is the same for all k. For Gaussian sources the ODE (many steps) from z + sigma n
    scales it by s_k / sqrt(s_k^2 + sigma^2): the ratios of powers tend to s_j^2 / s_k^2 as sigma
    grows, Wiener's. One step squares them.
    """
    here = sources.to(device_of(prior))
    z = prior.encode(here)
    noise = torch.randn(z.shape[1:], generator=generator).to(z).expand_as(z)
    z_hat = estimate_x0(denoise, z, noise, torch.full((len(z),), t).to(z), steps=steps)
    return stft(prior.decode(z_hat, like=here), N).abs().square().mean(1).to(sources.device)
