"""Priors: functions that say what audio should have been.

Everything is written on the denoiser D(x; sigma) -> x0 with x = x0 + sigma n (Karras et al. 2022,
arXiv 2206.00364, section 2), whatever a checkpoint predicts inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

Denoiser: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""D(x [B, D, L]; sigma [B]) -> x0 [B, D, L]."""

Cond: TypeAlias = dict[str, Tensor]
"""What `embed` returns and `denoise` takes: named tensors whose first axis is the prompt."""


class Prior(Protocol):
    """A text-conditioned diffusion model over latents, with its codec.

    `sigmas` is (smallest, largest) noise level worth asking for. All audio is [B, C, T] float32 at
    `sample_rate` with `channels` channels; latents are [B, D, L].
    """

    name: str
    sample_rate: int
    channels: int
    max_seconds: float
    sigmas: tuple[float, float]

    def embed(self, prompts: Sequence[str], seconds: float) -> Cond:
        """Conditioning for each prompt (batch = len(prompts)); "" is the unconditional one."""

    def encode(self, audio: Tensor) -> Tensor:
        """Audio [B, C, T] -> latent [B, D, L], deterministic."""

    def decode(self, latent: Tensor, *, like: Tensor | None = None) -> Tensor:
        """Latent [B, D, L] -> audio [B, C, T]. `like` [B, C, T]: take its length, and its phase
        where the codec has magnitudes only."""

    def denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """D(x; sigma, cond), x [B, D, L], sigma [B]; cond of batch 1 is shared by all."""


def repeat(cond: Cond, count: int) -> Cond:
    """Each row of `cond` `count` times in a row: prompts a, b -> a, a, ..., b, b, ..."""
    return {name: value.repeat_interleave(count, 0) for name, value in cond.items()}


def guided(prior: Prior, cond: Cond, uncond: Cond, scale: float, *, phi: float = 0.0) -> Denoiser:
    """Classifier-free guidance (Ho & Salimans 2022, eq. 6): D_u + scale (D_c - D_u).

    Scale 0 ignores the prompt, 1 follows it; the (1 + tau) of the score-distillation papers is this
    scale. Both branches go through one batched call; scales 0 and 1 need one branch only.
    `cond` and `uncond` have batch 1 or the batch of x. `phi` in [0, 1] pulls the result's standard
    deviation over latent channels back to the conditional one (Lin et al. 2023, eq. 15-16).
    """
    if not 0.0 <= phi <= 1.0:
        raise ValueError(f"phi must be in 0..1, got {phi}")

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        if scale == 1.0:
            return prior.denoise(x, sigma, cond)
        if scale == 0.0:
            return prior.denoise(x, sigma, uncond)
        both = {
            name: torch.cat([_rows(value, len(x)), _rows(uncond[name], len(x))])
            for name, value in cond.items()
        }
        d_c, d_u = prior.denoise(torch.cat([x, x]), torch.cat([sigma, sigma]), both).chunk(2)
        d = d_u + scale * (d_c - d_u)
        if phi > 0.0:
            std_c, std = d_c.std(1, keepdim=True), d.std(1, keepdim=True).clamp_min(1e-8)
            d = phi * d * (std_c / std) + (1.0 - phi) * d
        return d

    return denoise


def _rows(value: Tensor, count: int) -> Tensor:
    return value if len(value) == count else value.expand(count, *value.shape[1:])


class GaussianPrior:
    """A prior whose answers are exact: each prompt is one Gaussian N(mean, std^2) over latents.

    The codec is orthogonal: frames of `hop` samples, each through an orthonormal DCT, so latent
    channel d is the frequency (d + 1/2) rate / (2 hop) and a std over channels is a spectrum.
    `means` and `stds` map a prompt to a number, [D] or [D, L] with D = channels * hop; the prompt
    "" is the unconditional Gaussian.
    """

    def __init__(
        self,
        means: Mapping[str, Tensor | float],
        stds: Mapping[str, Tensor | float],
        *,
        sample_rate: int = 44100,
        channels: int = 1,
        hop: int = 256,
        max_seconds: float = 10.0,
        sigmas: tuple[float, float] = (1e-3, 100.0),
    ) -> None:
        if "" not in means or means.keys() != stds.keys():
            raise ValueError('means and stds must name the same prompts, "" among them')
        self.name = "gaussian"
        self.sample_rate, self.channels = sample_rate, channels
        self.max_seconds, self.sigmas = max_seconds, sigmas
        self.hop = hop
        self.means = {prompt: self._field(value) for prompt, value in means.items()}
        self.stds = {prompt: self._field(value) for prompt, value in stds.items()}
        # DCT-II, orthonormal: c_k(n) = sqrt(2/N) cos(pi (n + 1/2) k / N), c_0 scaled by 1/sqrt(2)
        n = torch.arange(hop, dtype=torch.float64)
        basis = math.sqrt(2.0 / hop) * torch.cos(math.pi / hop * (n[None] + 0.5) * n[:, None])
        basis[0] /= math.sqrt(2.0)
        self._basis = basis.float()  # [hop, hop]

    def _field(self, value: Tensor | float) -> Tensor:
        field = torch.as_tensor(value, dtype=torch.float32)
        field = field if field.ndim == 2 else field.reshape(-1, 1)
        return field.expand(self.channels * self.hop, -1)  # [D, 1 or L]

    def embed(self, prompts: Sequence[str], seconds: float) -> Cond:
        """Mean and standard deviation of each prompt, [B, D, 1 or L]."""
        for prompt in prompts:
            if prompt not in self.means:
                known = ", ".join(repr(name) for name in self.means)
                raise ValueError(f"prompt must be one of {known}, got {prompt!r}")
        return {
            "mean": torch.stack([self.means[prompt] for prompt in prompts]),
            "std": torch.stack([self.stds[prompt] for prompt in prompts]),
        }

    def encode(self, audio: Tensor) -> Tensor:
        """Audio [B, C, T] -> latent [B, C * hop, L]; T is padded with zeros to whole frames."""
        if audio.shape[1] != self.channels:
            raise ValueError(f"audio must have {self.channels} channels, got {audio.shape[1]}")
        audio = torch.nn.functional.pad(audio, (0, -audio.shape[-1] % self.hop))
        frames = audio.reshape(*audio.shape[:2], -1, self.hop)  # [B, C, L, hop]
        return (frames @ self._basis.T).transpose(2, 3).flatten(1, 2)

    def decode(self, latent: Tensor, *, like: Tensor | None = None) -> Tensor:
        """Latent [B, C * hop, L] -> audio [B, C, T]; the inverse of `encode`."""
        frames = latent.reshape(len(latent), self.channels, self.hop, -1).transpose(2, 3)
        audio = (frames @ self._basis).flatten(2, 3)
        return audio if like is None else audio[..., : like.shape[-1]]

    def denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """D = (s^2 x + sigma^2 m) / (s^2 + sigma^2): the posterior mean, exactly."""
        variance, noise = cond["std"] ** 2, (sigma**2)[:, None, None]
        return (variance * x + noise * cond["mean"]) / (variance + noise)
