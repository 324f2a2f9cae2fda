"""Who gets which component of a mixture: all who know what words sound like are asked.

The prior is, by what it makes of the noised mixture for each prompt; so is the network that was
trained to answer prompts (`sds.query`); and the ear hears what the stems would be (`sds.rank`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sds.factors import affinity, held, nmf, shared
from sds.looks import FLOOR, N
from sds.prior import Prior
from sds.query import Query, load_query
from sds.rank import clarity, component_bands, ear, settled
from sds.windows import fades, spans

if TYPE_CHECKING:
    from sds.masks import Masks


def assigned(
    prior: Prior,
    prompts: Sequence[str],
    mid: Tensor,
    spectrum: Tensor,
    asked: Tensor | None,
    method: Masks,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Logits [K + 1, F, N] of components of mid [1, C', T] shared out to prompts, the last of them.

    A look denoises the mixture itself for each prompt, from the same noise. Single bins of that say
    little: the level of a prompt's whole estimate is arbitrary and its grain is the noise's. What
    counts is how well each component of the mixture fits the estimates. `asked` [K or K + 1, F, N]
    are the query network's shares: of a component that is their mean over its energy.
    """
    magnitude = spectrum.abs().square().mean(1)[0].sqrt()  # [F, N]
    several = (
        len(prompts) > 1
    )  # a lone one competes with the rest, of which the prior knows nothing
    estimates: list[Tensor] = []
    for _ in range(method.looks if several else 0):
        estimates.append(prompted_levels(prior, prompts, mid, method=method, generator=generator))
        yield torch.zeros(0)
    bins = single_bins(estimates, asked, method.power)
    listener = ear() if several and (method.listen or method.kept) else None
    made: list[tuple[float, Tensor]] = []
    for i in range(method.candidates):
        if i > 0:
            yield torch.zeros(0)
        w, h = nmf(magnitude, method.components, steps=method.factor_steps, generator=generator)
        likes = torch.zeros(())
        for levels in estimates:
            like = affinity(w, h, levels).clamp_min(1e-6).log()  # [K, R]
            likes = likes + method.sharpness / len(estimates) * like
        if asked is not None:
            likes = likes + method.query * held(w, h, magnitude, asked).clamp_min(1e-4).log()
        masks, score = shared(w, h, likes.softmax(0)), 0.0
        if listener is not None:
            bands = component_bands(listener.towers, w, h, magnitude, prior.sample_rate)
            words, likes = listener.read(prompts), likes - likes.mean(0)
            score = clarity(listener.towers, bands, words, likes)
            if method.listen:  # both count: they err in different places
                moved = settled(listener.towers, bands, words, likes, steps=method.listen)
                masks = (masks + shared(w, h, moved.softmax(0))) / 2
        made.append((score, masks))
    made.sort(key=lambda one: -one[0])
    masks = torch.stack([masks for _, masks in made[: method.kept or None]]).mean(0)
    found = (1 - method.grain) * masks.log() + method.grain * bins
    spent = torch.full((1, *magnitude.shape), -30.0)  # the prompts name all there is
    yield torch.cat([found, spent]) if several else found


def shares_asked(prompts: Sequence[str], mid: Tensor, rate: int) -> Tensor | None:
    """The query network's shares of mid [1, C', T] at `rate`: [K, F, N], a lone prompt's with the
    rest, [2, F, N]; None where there is no such network."""
    network = query()
    if network is None:
        return None
    shares = network.shares(mid.mean(1, keepdim=True), rate, prompts)
    return torch.cat([shares, 1 - shares]) if len(prompts) == 1 else shares


@lru_cache(maxsize=1)
def query() -> Query | None:
    """The shipped query network, loaded once; None where there is none."""
    return load_query()


def single_bins(estimates: Sequence[Tensor], asked: Tensor | None, power: float) -> Tensor:
    """Logarithms of each source's share [K, F, N] of single bins, by all who were asked.

    Of magnitudes denoised for the prompts, each of its own level, and of the network's shares.
    """
    found = torch.zeros(())
    if estimates:
        powers = sum(
            (e.square() / e.square().sum((1, 2), keepdim=True).clamp_min(1e-30) for e in estimates),
            torch.zeros(()),
        )
        shares = powers / powers.sum(0).clamp_min(1e-30)
        found = found + power / 2 * shares.clamp_min(FLOOR).log()
    if asked is not None:
        found = found + asked.clamp_min(FLOOR).log()
    return found


def prompted_levels(
    prior: Prior,
    prompts: Sequence[str],
    mid: Tensor,
    *,
    method: Masks,
    generator: torch.Generator,
) -> Tensor:
    """Magnitudes [K, F, N] of mid [1, C', T] denoised from time `at` for each prompt.

    Longer sounds than the prior takes are denoised in windows, whose powers are cross-faded.
    """
    hop, total = N // 4, mid.shape[-1]
    frames = total // hop + 1
    windows = spans(frames, max(2, int(prior.max_seconds * prior.sample_rate) // hop))
    powers = torch.zeros(len(prompts), N // 2 + 1, frames)
    for (begin, end), fade in zip(windows, fades(windows), strict=True):
        part = mid[..., begin * hop : min(total, end * hop)]
        found = method.look(prior, prompts, part, t=method.at, generator=generator)
        powers[..., begin:end] += found[..., : end - begin] * fade
    return powers.sqrt()
