"""Priors: functions that say what audio should have been.

Everything is written on the denoiser D(x; sigma) -> x0 with x = x0 + sigma n (Karras et al. 2022,
arXiv 2206.00364, section 2), whatever a checkpoint predicts inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

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
