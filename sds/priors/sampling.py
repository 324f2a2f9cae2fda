"""New clips of a prompt, by any prior: noise, guidance, a sampler, and the length asked for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sds.priors.base import Prior, classifier_free_guidance, device_of
from sds.priors.families import SHIPPED, family_of
from sds.samplers.denoiser import Denoiser
from sds.samplers.ode import Sampler
from sds.samplers.schedules import SCHEDULES
from sds.samplers.solvers import sampler_of
from sds.samplers.stepwise import step_numbers

STEPS = SHIPPED.steps
GUIDANCE = SHIPPED.guidance


@dataclass(frozen=True, slots=True)
class Sampling:
    """How clips are sampled: values asked for, or else those of the prior's family.

    - `steps`: noise levels above zero, >= 1; `guidance`: scale of classifier-free guidance.
    - `sampler`: a name that `sds.samplers.solvers.sampler_of` knows; `schedule`: a name of
      `sds.samplers.schedules.SCHEDULES`.
    - `bounds`: smallest and largest noise level.
    """

    steps: int
    guidance: float
    sampler: str
    schedule: str
    bounds: tuple[float, float]

    def sigmas(self) -> Tensor:
        """Its noise levels [steps + 1], falling, the last zero."""
        return SCHEDULES[self.schedule](self.steps, *self.bounds)


def sampling_of(
    prior: Prior,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    schedule: str | None = None,
) -> Sampling:
    """How clips of a prior are sampled: what is given, and for None what its family has.

    Noise levels are the family's, or the prior's own where the family has none or another schedule
    is asked for. Raises `ValueError` for fewer than one step, or a name that is not known.
    """
    family = family_of(prior)
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    schedule = schedule or family.schedule
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
    sampler_of(sampler or family.sampler, torch.Generator())  # refuse early
    own = family.sigmas if schedule == family.schedule else None
    return Sampling(
        steps=family.steps if steps is None else steps,
        guidance=family.guidance if guidance is None else guidance,
        sampler=sampler or family.sampler,
        schedule=schedule,
        bounds=own or prior.sigmas,
    )


def generate(
    prior: Prior,
    prompts: Sequence[str],
    seconds: float,
    *,
    generator: torch.Generator,
    steps: int | None = None,
    scale: float | None = None,
    sampler: str | None = None,
    schedule: str | None = None,
) -> Tensor:
    """Generate audio [B, C, T] from noise: a clip of `seconds` for each of B prompts.

    `steps` noise levels, the conditional and unconditional branch mixed by
    `classifier_free_guidance` with `scale`, a sampler and a schedule by name: each None is what the
    prior's family has (`sampling_of`). T is round(seconds * sample_rate). All random numbers come
    from `generator`, on the CPU, so a seed means the same noise on every machine. Raises
    `ValueError` as `sampling_of` does.
    """
    how = sampling_of(prior, steps=steps, guidance=scale, sampler=sampler, schedule=schedule)
    task = _begin(prior, prompts, seconds, how, generator)
    with torch.no_grad():
        return task.heard(task.sampler(task.denoise, task.x, task.sigmas))


def generate_stepwise(
    prior: Prior,
    prompts: Sequence[str],
    seconds: float,
    *,
    generator: torch.Generator,
    steps: int | None = None,
    scale: float | None = None,
    sampler: str | None = None,
    schedule: str | None = None,
) -> Generator[int, None, Tensor]:
    """`generate`, which yields after each evaluation how many of its `steps` are done, 1..steps.

    Returns the same audio [B, C, T] for B prompts. Closing it stops before the next evaluation.
    """
    how = sampling_of(prior, steps=steps, guidance=scale, sampler=sampler, schedule=schedule)
    task = _begin(prior, prompts, seconds, how, generator)
    latent = yield from step_numbers(task.sampler, task.denoise, task.x, task.sigmas)
    with torch.no_grad():
        return task.heard(latent)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a sampler takes, and how many samples of audio are wanted."""

    prior: Prior
    denoise: Denoiser
    sampler: Sampler
    x: Tensor
    sigmas: Tensor
    samples: int

    def heard(self, latent: Tensor) -> Tensor:
        """The audio [B, C, T] of a latent [B, D, L]."""
        return self.prior.decode(latent)[..., : self.samples].cpu()


def _begin(
    prior: Prior,
    prompts: Sequence[str],
    seconds: float,
    how: Sampling,
    generator: torch.Generator,
) -> _Task:
    samples, sigmas = round(seconds * prior.sample_rate), how.sigmas()
    with torch.no_grad():
        cond, uncond = prior.embed(prompts, seconds), prior.embed([""], seconds)
        shape = prior.encode(torch.zeros(1, prior.channels, samples)).shape[1:]
    x = torch.randn(len(prompts), *shape, generator=generator) * sigmas[0]
    x = x.to(device_of(prior))  # where it stays until it is sound
    denoise = classifier_free_guidance(prior, cond, uncond, how.guidance)
    return _Task(prior, denoise, sampler_of(how.sampler, generator), x, sigmas, samples)
