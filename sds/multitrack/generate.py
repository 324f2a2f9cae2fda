"""Total generation: all tracks from noise."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from sds.samplers.churned_steps import churned_steps, level_of, lowered, noise_like, raised
from sds.samplers.denoiser import TrackDenoiser


def generate_stepwise(
    denoise: TrackDenoiser,
    shape: Sequence[int],
    sigmas: Tensor,
    *,
    churn: float = 0.0,
    resamples: int = 1,
    generator: torch.Generator,
    like: Tensor | None = None,
) -> Generator[tuple[int, Tensor], None, Tensor]:
    """Generate tracks x [B, N, ...] of `shape` from noise down `sigmas` [T + 1], which end in 0.

    Multi-source diffusion (Mariani et al. 2023, arXiv 2302.02257, section 4.1): dx/dsigma = (x -
    D(x; sigma)) / sigma by Euler steps with churn (their notebook: sigmas `karras(150, 1e-4, 20)`,
    churn 20) and `resamples` - 1 correctors a level. Yields (evaluations made, x0 [B, N, ...])
    after each of T * resamples; closing the generator stops it. Returns x. `generator` is on the
    CPU; type and device are those of `like`, float32 on the CPU by default. Raises ValueError for
    sigmas that do not end in 0 and numbers below their range.
    """
    at = torch.empty(0) if like is None else like
    noise = noise_like(at.new_empty(tuple(shape)), generator)
    x = noise * float(sigmas[0])
    for step in churned_steps(sigmas, churn=churn, resamples=resamples):
        x = raised(x, step, generator)
        with torch.no_grad():
            x0 = denoise(x, level_of(x, step.hat))
        yield step.done, x0
        x = lowered(x, (x - x0) / step.hat, step, generator)
    return x
