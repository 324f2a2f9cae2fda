"""Score distillation with a known answer: eight partials, and a prior that is one Gaussian.

    python examples/distill_gaussian.py

The prior's mean is the sound with amplitudes TRUE. The SDS gradient in the latent z is then
sigma^2 (z - m) / (s^2 + sigma^2) on average, which vanishes only at z = m: so the amplitudes found
must be TRUE, and the largest error is printed. No weights are needed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sds.distillation.distill import distill
from sds.distillation.recipes import PatchRecipe, Recipe
from sds.priors.gaussian import GaussianPrior

RATE, SECONDS, HZ = 44100, 0.05, 220.0
TRUE = torch.tensor([0.9, 0.1, 0.7, 0.3, 0.5, 0.2, 0.6, 0.4])


def render(u: Tensor) -> Tensor:
    """Amplitudes u [B, 8] in [0, 1] -> harmonics of 220 Hz [B, 1, T]."""
    t = torch.arange(round(RATE * SECONDS)) / RATE
    k = torch.arange(1, 1 + u.shape[1])
    tones = torch.sin(2 * math.pi * HZ * k[:, None] * t)  # [8, T]
    return (u @ tones)[:, None]


def main() -> None:
    """Print the error as it falls."""
    codec = GaussianPrior({"": 0.0}, {"": 1.0})  # for its encoder only: frames through a DCT
    mean = codec.encode(render(TRUE[None]))[0]  # [D, L]
    prior = GaussianPrior({"": 0.0 * mean, "chord": mean}, {"": 1.0, "chord": 0.05})
    recipe = PatchRecipe(Recipe(steps=60, lr=0.1, guidance=1.0, anneal=True, domain="encoder"))
    start = torch.full((1, len(TRUE)), 0.5)
    generator = torch.Generator().manual_seed(0)
    for step in distill(render, prior, "chord", start, recipe=recipe, generator=generator):
        if step.improved:
            error = float((step.best_u - TRUE).abs().max())
            print(f"step {step.index:3d} of {step.of}: largest error {error:.4f}")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
