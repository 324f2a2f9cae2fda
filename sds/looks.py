"""What a prior makes of a mixture for each prompt: a look, as powers on the masks' own bins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from sds.prior import Denoiser, Prior, guided
from sds.spectral import stft
from sds.targets import estimate

N = 2048  # window of the masks at the prior's rate, hop N/4
FLOOR = 1e-3  # of the mixture's power in a bin: what a source may at least have

Look: TypeAlias = Callable[..., Iterator[Tensor]]
"""(prior, prompts, audio [1, C', T'], t=, generator=) -> powers [F, N], one prompt after the other,
of what it makes of the audio, one window of the prior's."""


def noised(
    prior: Prior, prompts: Sequence[str], audio: Tensor, *, t: float, generator: torch.Generator
) -> Iterator[Tensor]:
    """A `Look`: noise of time t, and one step back for each prompt."""
    cond = prior.embed(prompts, audio.shape[-1] / prior.sample_rate)
    denoise = guided(prior, cond, cond, 1.0)
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
    z = prior.encode(sources)
    noise = torch.randn(z.shape[1:], generator=generator).to(z).expand_as(z)
    z_hat = estimate(denoise, z, noise, torch.full((len(z),), t).to(z), steps=steps)
    return stft(prior.decode(z_hat, like=sources), N).abs().square().mean(1)
