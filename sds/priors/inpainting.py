"""New sound in a part of a recording: what is kept stays, a prior fills in the rest.

Any prior can do it by replacement: D answers with the recording's own latents where frames are
kept, so that there x is always the recording with noise of the level, as the model was trained. The
conditional distribution it is not: what is filled in is drawn before what is kept has become clear.
So steps are repeated (`sds.samplers.stochastic.repaint`), which makes the error less and does not
take it away. Measured on an exact Gaussian whose neighbours correlate by 0.9
(tests/test_inpainting.py), relative errors of mean and covariance of what is filled in: `tab3` in
20 evaluations 0.74 and 0.42, `repaint` of 12 levels in 79 evaluations 0.41 and 0.08.

Ping-pong noises each answer anew and needs no repeats. A prior that was trained to fill in has a
method `inpaint_cond`, which tells the model what is kept; then its own sampler is used.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sds.priors.base import Cond, Prior, classifier_free_guidance, device_of
from sds.priors.families import family_of
from sds.priors.sampling import Sampling, sampling_of
from sds.samplers.denoiser import Denoiser
from sds.samplers.solvers import sampler_of
from sds.samplers.stepwise import step_numbers

LEVELS = 12
"""Noise levels at most, where no number is given and steps are repeated."""


@runtime_checkable
class InpaintingPrior(Protocol):
    """A prior that was trained to fill in."""

    def inpaint_cond(self, cond: Cond, latent: Tensor, keep: Tensor) -> Cond:
        """`cond` with what is kept: latent [1, D, L] at the frames where `keep` [L] is 1."""


def inpainting_of(
    prior: Prior,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    schedule: str | None = None,
) -> Sampling:
    """How parts of a recording are filled in: what is given, and for None what suits the prior.

    A family that is sampled by ping-pong, and a prior that was trained to fill in, have their own
    sampler; others `repaint` and at most `LEVELS` levels. Raises `ValueError` as `sampling_of`.
    """
    own = family_of(prior).sampler == "ping_pong" or isinstance(prior, InpaintingPrior)
    how = sampling_of(prior, steps=steps, guidance=guidance, sampler=sampler, schedule=schedule)
    if own or sampler is not None:
        return how
    return replace(how, sampler="repaint", steps=min(how.steps, LEVELS) if steps is None else steps)


def inpaint_stepwise(
    prior: Prior,
    prompt: str,
    audio: Tensor,
    keep: Tensor,
    *,
    how: Sampling,
    generator: torch.Generator,
) -> Generator[int, None, Tensor]:
    """Fill in audio [1, C, T], at the prior's rate, where `keep` [T] (bool) is false.

    Yields after each evaluation how many of the levels of `how` are done; returns audio [1, C, T],
    all of it decoded: `join` puts back what is kept. A latent frame is kept where all its samples
    are. All random numbers come from `generator`, on the CPU. Raises `ValueError` for shapes that
    do not fit, and where no frame is kept, or none is not.
    """
    if audio.ndim != 3 or len(audio) != 1 or keep.shape != audio.shape[-1:]:
        raise ValueError(
            f"audio must be [1, C, T] and keep [T], got {list(audio.shape)} and {list(keep.shape)}"
        )
    seconds, sigmas = audio.shape[-1] / prior.sample_rate, how.sigmas()
    with torch.no_grad():
        given = prior.encode(audio.to(device_of(prior)))
        kept = kept_frames(keep, given.shape[-1], prior.decode(given).shape[-1]).to(given.device)
        cond, uncond = prior.embed([prompt], seconds), prior.embed([""], seconds)
        if isinstance(prior, InpaintingPrior):
            cond, uncond = (prior.inpaint_cond(c, given, kept) for c in (cond, uncond))
    if not bool(kept.any()) or bool(kept.all()):
        frame = seconds / given.shape[-1]
        least = "too little" if not bool(kept.any()) else "too much"
        raise ValueError(
            f"keep leaves {least}: at least one frame of the model, {frame:.3g} seconds, must be "
            "kept and one changed"
        )
    x = torch.randn(given.shape, generator=generator).to(given) * sigmas[0]
    x = torch.where(kept, given + x, x)
    denoise = keeping(classifier_free_guidance(prior, cond, uncond, how.guidance), given, kept)
    latent = yield from step_numbers(sampler_of(how.sampler, generator), denoise, x, sigmas)
    with torch.no_grad():
        return prior.decode(torch.where(kept, given, latent))[..., : audio.shape[-1]].to(
            audio.device
        )


def keeping(denoise: Denoiser, given: Tensor, kept: Tensor) -> Denoiser:
    """D that answers with the latents `given` [1, D, L] at the frames `kept` [L] (bool)."""

    def replaced(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.where(kept, given, denoise(x, sigma))

    return replaced


def kept_frames(keep: Tensor, frames: int, samples: int) -> Tensor:
    """The latent frames [L] whose samples are all kept, of `keep` [T] (bool).

    The L = `frames` cover `samples` >= T; what is behind the end is kept where the last sample is.
    """
    behind = keep[-1:].expand(max(0, samples - len(keep)))
    lost = torch.cat([torch.zeros(1), (~torch.cat([keep, behind])).double().cumsum(0)])
    edges = torch.arange(frames + 1, dtype=torch.float64) * samples / frames
    first, last = edges[:-1].floor().long(), edges[1:].ceil().long().clamp(max=len(lost) - 1)
    return lost[last] == lost[first]


def join(recording: Tensor, filled: Tensor, keep: Tensor, fade: int) -> Tensor:
    """What is kept of a recording [C, T] where `keep` [T] is true, and what was filled in [C, T].

    Kept samples are the very numbers of the recording. Beside them, over `fade` samples that are
    not kept, the recording fades out and what was filled in fades in (a raised cosine).
    """
    at = torch.arange(len(keep))
    far = len(keep) + fade + 1
    before = torch.where(keep, at, -far).cummax(0).values
    after = torch.where(keep, at, 2 * far).flip(0).cummin(0).values.flip(0)
    distance = torch.minimum(at - before, after - at).clamp(max=fade + 1).float()
    share = 0.5 + 0.5 * torch.cos(torch.pi * distance / (fade + 1))
    return torch.where(keep, recording, share * recording + (1 - share) * filled)
