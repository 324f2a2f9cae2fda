"""New clips of a prompt, by any prior: noise, guidance, a sampler, and the length asked for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sds.priors.base import Prior, classifier_free_guidance
from sds.samplers.denoiser import Denoiser
from sds.samplers.exponential import tab3
from sds.samplers.ode import Sampler
from sds.samplers.schedules import karras
from sds.samplers.stepwise import stepwise

STEPS = 20
GUIDANCE = 3.0


def generate(
    prior: Prior,
    prompts: Sequence[str],
    seconds: float,
    *,
    steps: int,
    scale: float,
    generator: torch.Generator,
    sampler: Sampler = tab3,
) -> Tensor:
    """Generate audio [B, C, T] by `sampler` from noise: a clip of `seconds` for each of B prompts.

    `steps` noise levels of `karras` over the prior's sigmas, the conditional and unconditional
    branch mixed by `classifier_free_guidance` with `scale`. T is round(seconds * sample_rate).
    `generator` lives on the CPU, so a seed means the same noise on every machine. Raises
    `ValueError` for fewer than one step.
    """
    task = _begin(prior, prompts, seconds, steps, scale, generator)
    with torch.no_grad():
        return task.heard(sampler(task.denoise, task.x, task.sigmas))


def generate_stepwise(
    prior: Prior,
    prompts: Sequence[str],
    seconds: float,
    *,
    steps: int,
    scale: float,
    generator: torch.Generator,
    sampler: Sampler = tab3,
) -> Generator[int, None, Tensor]:
    """`generate`, which yields after each evaluation how many of its `steps` are done, 1..steps.

    Returns the same audio [B, C, T] for B prompts. Closing it stops before the next evaluation.
    """
    task = _begin(prior, prompts, seconds, steps, scale, generator)
    solving = stepwise(sampler, task.denoise, task.x, task.sigmas)
    try:
        while True:
            step, _ = next(solving)
            yield step
    except StopIteration as end:
        latent: Tensor = end.value
    finally:
        solving.close()
    with torch.no_grad():
        return task.heard(latent)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a sampler takes, and how many samples of audio are wanted."""

    prior: Prior
    denoise: Denoiser
    x: Tensor
    sigmas: Tensor
    samples: int

    def heard(self, latent: Tensor) -> Tensor:
        """The audio [B, C, T] of a latent [B, D, L]."""
        return self.prior.decode(latent)[..., : self.samples]


def _begin(
    prior: Prior,
    prompts: Sequence[str],
    seconds: float,
    steps: int,
    scale: float,
    generator: torch.Generator,
) -> _Task:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    samples = round(seconds * prior.sample_rate)
    sigmas = karras(steps, *prior.sigmas)
    with torch.no_grad():
        cond, uncond = prior.embed(prompts, seconds), prior.embed([""], seconds)
        shape = prior.encode(torch.zeros(1, prior.channels, samples)).shape[1:]
    x = torch.randn(len(prompts), *shape, generator=generator) * sigmas[0]
    denoise = classifier_free_guidance(prior, cond, uncond, scale)
    return _Task(prior, denoise, x, sigmas, samples)
