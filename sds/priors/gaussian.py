"""A prior in closed form: each prompt is a Gaussian over latents, so all answers are exact."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sds.priors.base import Cond


class GaussianPrior:
    """A prior in closed form: each prompt is one Gaussian N(mean, std^2) over latents [B, D, L].

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
        """Denoise x [B, D, L] at sigma [B]: the posterior mean (s^2 x + sigma^2 m) / (s^2 +
        sigma^2) [B, D, L], exactly.
        """
        variance, noise = cond["std"] ** 2, (sigma**2)[:, None, None]
        return (variance * x + noise * cond["mean"]) / (variance + noise)
