"""Masks fitted to generated references (DGMO, 2025, arXiv 2506.02858), on the mixture as it is.

The prior generates each prompt's sound from the mixture (`sds.separation.zerosep`), with more
guidance than separation could bear. The result is only a reference: masks on the mixture are fitted
until what they leave is nearest to it in mel bands. Then the reference is made anew from what they
left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sds.distillation.recipes import Recipe
from sds.priors.base import Prior
from sds.separation.base import N, WindowProgress
from sds.separation.time_frequency_masks import apply, heard_by
from sds.separation.zerosep import prompted_latents
from sds.signal.adam import Adam
from sds.signal.audio_files import peak_gain
from sds.signal.spectrogram import istft, magnitude, stft

MELS = 80


@dataclass(frozen=True, slots=True)
class References:
    """Settings of DGMO.

    - `recipe`: of it `lr`, `guidance`, `inversion` (DDIM steps up), `peak`, `steps` (of Adam on the
      masks' logits in a round) and `t_range[1]` (where inversion ends) are read. No default.
    - `rounds`: of new references, >= 1; 3.
    - `start`: of the logits, nepers; 3.0 lets nearly all of the mixture through.
    """

    recipe: Recipe
    rounds: int = 3
    start: float = 3.0


REFERENCES = References(
    Recipe(steps=60, lr=0.1, guidance=5.0, t_range=(0.0, 0.85), inversion=10, peak=0.5)
)
"""DGMO's rounds and guidance; a tenth of its inversion, a fifth of its steps at ten times lr."""


def reference_stems(
    prior: Prior,
    prompts: Sequence[str],
    mix: Tensor,
    rate: int,
    *,
    method: References,
    generator: torch.Generator,
) -> Iterator[WindowProgress]:
    """Separate one window mix [C, T] at `rate` Hz into stems [K, C, T] by masks fitted to
    references.

    The prior must take the window at once. Draws nothing. Masks are sigmoids, one a prompt; where
    they sum to more than 1 they are scaled down to it.
    """
    recipe = method.recipe
    mid = heard_by(prior, mix, rate)
    mid = mid * peak_gain(mid, recipe.peak)
    spectrum = stft(mid, N)  # [1, C', F, N]
    magnitudes, mel = (
        spectrum.abs().square().mean(1).sqrt(),
        mel_bands(prior.sample_rate),
    )  # [1, F, N]
    logits = torch.full((len(prompts), *spectrum.shape[2:]), method.start)
    masks = torch.ones_like(logits)
    for i in range(method.rounds):
        sources = istft(masks[:, None] * spectrum, N, mid.shape[-1])
        wanted = torch.cat(
            [
                mel @ reference(prior, prompt, source[None], recipe)
                for prompt, source in zip(prompts, sources, strict=True)
            ]
        )
        logits, loss = fit_masks(
            logits, magnitudes, match_levels(wanted, mel @ magnitudes), mel, recipe
        )
        masks = logits.sigmoid()
        yield WindowProgress((i + 1) / (method.rounds + 1), "references", {"loss": loss})
    masks = masks / masks.sum(0).clamp_min(1.0)
    yield WindowProgress(1.0, "stems", {}, apply(masks, mix, rate, prior.sample_rate))


def reference(prior: Prior, prompt: str, source: Tensor, recipe: Recipe) -> Tensor:
    """Magnitudes [1, F, N] that the prior generates from source [1, C', T'] for the prompt."""
    t, steps = recipe.t_range[1], recipe.inversion
    (z,) = prompted_latents(prior, [prompt], source, t=t, steps=steps, guidance=recipe.guidance)
    return magnitude(prior.decode(z, like=source), N).square().mean(1).sqrt().to(source.device)


def match_levels(wanted: Tensor, mixture: Tensor) -> Tensor:
    """Scale references [K, M, N] to the levels at which each fits the mixture [1, M, N] best.

    Denoised estimates are quieter than the truth, each round's more so than the last one's.
    """
    inner = (wanted * mixture).sum((1, 2), keepdim=True)
    return wanted * (inner / wanted.square().sum((1, 2), keepdim=True).clamp_min(1e-12))


def fit_masks(
    logits: Tensor, mixture: Tensor, wanted: Tensor, mel: Tensor, recipe: Recipe
) -> tuple[Tensor, float]:
    """Fit logits [K, F, N] of masks on magnitudes [1, F, N] to mel magnitudes [K, M, N]; logits and
    loss.

    `mel` is [M, F]. The loss is the squared distance in the bands over the reference's own square.
    """
    moved = logits.clone().requires_grad_(True)
    adam = Adam(moved, lr=recipe.lr)
    scale = wanted.square().sum().clamp_min(1e-12)
    loss = torch.zeros(())
    for _ in range(recipe.steps):
        loss = (mel @ (moved.sigmoid() * mixture) - wanted).square().sum() / scale
        adam.zero_grad()
        torch.autograd.backward([loss], inputs=[moved])
        adam.step()
    return moved.detach(), float(loss.detach())


def mel_bands(rate: int) -> Tensor:
    """Mel bands [MELS, F] up to half the rate, triangles, for windows of N samples at `rate` Hz."""
    hertz = torch.arange(N // 2 + 1) * (rate / N)
    mels = 2595 * (1 + hertz / 700).log10()
    centre = torch.linspace(0, float(mels[-1]), MELS + 2)[1:-1, None]
    width = float(mels[-1]) / (MELS + 1)
    return (1 - (mels - centre).abs() / width).clamp_min(0)
