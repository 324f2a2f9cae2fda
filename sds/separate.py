"""Prompt-driven separation: stems and a residual that sum to the mixture.

Two methods. `paper` is Audio-SDS (Richter-Powell et al. 2025, arXiv 2505.04621): one latent a
source, reconstruction plus gamma times Decoder-SDS. `masks` (ours, the default) moves softmax
masks on the complex mixture instead, so the mixture's phase is kept, no codec caps the fidelity and
the reconstruction term is exactly zero; all sources are annealed jointly, as in MSDM (arXiv
2302.02257), and score distillation may refine the result (`steps`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor, zeros

from sds.latents import LATENTS, Latents, latent_stems
from sds.masks import MASKS, Masks, masked_stems
from sds.prior import Prior
from sds.windows import fades, spans

METHODS: dict[str, Masks | Latents] = {"masks": MASKS, "paper": LATENTS}


@dataclass(frozen=True, slots=True)
class Stems:
    """How far, and at the end the result; safe to stop after any.

    `figures` are numbers of the moment by name. The last one has `stems` [K, C, T], in the order of
    the prompts, and `residual` [C, T] = mix - sum of stems; before that both are None.
    """

    fraction: float
    stage: str
    figures: dict[str, float]
    stems: Tensor | None = None
    residual: Tensor | None = None


def separate(
    prior: Prior,
    prompts: Sequence[str],
    mix: Tensor,
    rate: int,
    *,
    method: Masks | Latents,
    generator: Generator,
) -> Iterator[Stems]:
    """Take mix [C, T] at `rate` Hz apart into one stem a prompt and a residual.

    Rate, channels and sample count stay as they came. Files longer than the prior's window are done
    in overlapping windows, one after another, and cross-faded: memory is bounded by one window and
    the stems themselves. Closing the generator stops it within a step. All random numbers come from
    `generator`, on the CPU.
    """
    if mix.ndim != 2 or mix.shape[0] not in (1, 2) or mix.shape[1] == 0:
        raise ValueError(f"mix must be [C, T] with 1 or 2 channels, got {list(mix.shape)}")
    if not prompts:
        raise ValueError("prompts must name at least 1 stem, got none")
    longest = prior.max_seconds
    if isinstance(method, Masks) and len(prompts) > 1 and not method.recipe.steps:
        longest = max(longest, method.block if method.components else 0.0)
    windows = spans(mix.shape[1], int(longest * rate))
    stems = zeros(len(prompts), *mix.shape)
    for i, ((begin, end), fade) in enumerate(zip(windows, fades(windows), strict=True)):
        part = mix[:, begin:end]
        if isinstance(method, Masks):
            work = masked_stems(prior, prompts, part, rate, method=method, generator=generator)
        else:
            work = latent_stems(prior, prompts, part, rate, method=method, generator=generator)
        for now in work:
            yield Stems((i + now.fraction) / len(windows), now.stage, now.figures)
            if now.stems is not None:
                stems[..., begin:end] += now.stems * fade
    yield Stems(1.0, "done", {}, stems, mix - stems.sum(0))
