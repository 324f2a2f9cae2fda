"""Diffusion priors as this package sees them: a denoiser with text conditions and a codec.

Everything is written on the denoiser D(x; sigma) -> x0 with x = x0 + sigma n (Karras et al. 2022,
arXiv 2206.00364, section 2), whatever a checkpoint predicts inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser

Cond: TypeAlias = dict[str, Tensor]
"""What `embed` returns and `denoise` takes: named tensors whose first axis is the prompt."""


class Prior(Protocol):
    """A text-conditioned diffusion model over latents, with its codec.

    `sigmas` is (smallest, largest) noise level worth asking for. All audio is [B, C, T] float32 at
    `sample_rate` with `channels` channels; latents are [B, D, L]. A prior may have a `device`
    (`device_of`), where its questions are answered without a way across; answers come back on the
    device that the question was on.
    """

    name: str
    sample_rate: int
    channels: int
    max_seconds: float
    sigmas: tuple[float, float]

    def embed(self, prompts: Sequence[str], seconds: float) -> Cond:
        """Conditioning of each of B prompts, tensors [B, ...] by name, for clips of `seconds`; ""
        is the unconditional one.
        """

    def encode(self, audio: Tensor) -> Tensor:
        """Audio [B, C, T] -> latent [B, D, L], deterministic."""

    def decode(self, latent: Tensor, *, like: Tensor | None = None) -> Tensor:
        """Latent [B, D, L] -> audio [B, C, T]. `like` [B, C, T]: take its length, and its phase
        where the codec has magnitudes only."""

    def denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """Denoise x [B, D, L] at noise levels sigma [B] for `cond`: D(x; sigma, cond) [B, D, L]. A
        `cond` of batch 1 is shared by all.
        """


def device_of(prior: Prior) -> torch.device:
    """The device where a prior's answers are made, its `device`; the CPU when it has none.

    Who asks often sends the sound there once, keeps all that follows there, and brings back what is
    small.
    """
    return torch.device(getattr(prior, "device", "cpu"))


def repeat(cond: Cond, count: int) -> Cond:
    """Repeat each row of tensors [B, ...] `count` times in a row, [B count, ...]: prompts a, b ->
    a, a, ..., b, b, ...
    """
    return {name: value.repeat_interleave(count, 0) for name, value in cond.items()}


def classifier_free_guidance(
    prior: Prior, cond: Cond, uncond: Cond, scale: float, *, phi: float = 0.0
) -> Denoiser:
    """Classifier-free guidance (Ho & Salimans 2022, eq. 6): D_u + scale (D_c - D_u).

    Scale 0 ignores the prompt, 1 follows it; the (1 + tau) of the score-distillation papers is this
    scale. Both branches go through one batched call; scales 0 and 1 need one branch only.
    `cond` and `uncond` have batch 1 or the batch of x. `phi` in [0, 1] pulls the result's standard
    deviation over latent channels back to the conditional one (Lin et al. 2023, eq. 15-16). Every
    D is looked at: `ValueError` with one sentence for one with numbers that are not finite.
    """
    if not 0.0 <= phi <= 1.0:
        raise ValueError(f"phi must be in 0..1, got {phi}")

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        if scale == 1.0:
            return finite(prior, prior.denoise(x, sigma, cond), x, sigma)
        if scale == 0.0:
            return finite(prior, prior.denoise(x, sigma, uncond), x, sigma)
        both = {
            name: torch.cat([_rows(value, len(x)), _rows(uncond[name], len(x))])
            for name, value in cond.items()
        }
        answers = prior.denoise(torch.cat([x, x]), torch.cat([sigma, sigma]), both)
        d_c, d_u = finite(prior, answers, x, sigma).chunk(2)
        d = d_u + scale * (d_c - d_u)
        if phi > 0.0:
            std_c, std = d_c.std(1, keepdim=True), d.std(1, keepdim=True).clamp_min(1e-8)
            d = phi * d * (std_c / std) + (1.0 - phi) * d
        return d

    return denoise


def finite(prior: Prior, d: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
    """Return D(x; sigma) [B, D, L] as it is.

    Raises `ValueError` with one sentence when it is not all finite and x is: what a search that
    diverged makes of itself is no fault of the model.
    """
    bad = int((~torch.isfinite(d)).sum())
    if bad and bool(torch.isfinite(x).all()):
        raise ValueError(
            f"the model {prior.name} answered with {bad} of {d.numel()} numbers that are not "
            f"finite at noise level {float(sigma.max()):.3g}: it is broken, or not made for this "
            "sound; another can be named with --model"
        )
    return d


def _rows(value: Tensor, count: int) -> Tensor:
    return value if len(value) == count else value.expand(count, *value.shape[1:])
