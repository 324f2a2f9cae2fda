"""Who gets which component of a mixture: all who know what words sound like are asked.

The prior is, by what it makes of the noised mixture for each prompt; so is the network that was
trained to answer prompts (`sds.separation.query_network`); and the search scorer hears what the
stems would be (`sds.separation.clap_assignment`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from sds.priors.base import Prior
from sds.separation.base import FLOOR, N
from sds.separation.clap_assignment import component_bands, contrastive_score, optimise_shares
from sds.separation.networks import Networks
from sds.separation.nmf import AT_ONCE, affinity, component_shares, masks_from_shares, nmf_steps
from sds.separation.query_network import Query
from sds.signal.overlap_add import Span, fades, spans

if TYPE_CHECKING:
    from sds.separation.mask_settings import Masks

T = TypeVar("T")
NOTHING = torch.zeros(0)  # yielded where there is no result yet


def assign_components(
    prior: Prior,
    prompts: Sequence[str],
    mid: Tensor,
    spectrum: Tensor,
    networks: Networks,
    method: Masks,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Logits [K + 1, F, N] of components of mid [1, C', T] shared out to prompts, the last of them.

    Before that it yields nothing, [0], whenever it has worked for less than a second or so.

    A look denoises the mixture itself for each prompt, from the same noise. Single bins of that say
    little: the level of a prompt's whole estimate is arbitrary and its grain is the noise's. What
    counts is how well each component of the mixture fits the estimates. Of the query network's
    shares it is their mean over the energy of a component.
    """
    magnitude = spectrum.abs().square().mean(1)[0].sqrt()  # [F, N]
    asked: Tensor | None = None  # [K or K + 1, F, N]
    if networks.query is not None:
        asked = yield from _silent_last(
            query_shares(networks.query, prompts, mid, prior.sample_rate)
        )
    # a lone one competes with the rest, of which the prior knows nothing
    several = len(prompts) > 1
    estimates: list[Tensor] = []
    for _ in range(method.estimates if several else 0):
        estimator = prompted_levels(prior, prompts, mid, method=method, generator=generator)
        estimates.append((yield from _silent_last(estimator)))
    bins = single_bins(estimates, asked, method.power)
    scorer = networks.search_scorer if several and (method.listen or method.kept) else None
    made: list[tuple[float, Tensor]] = []
    for _ in range(method.candidates):
        w, h = yield from _silent_last(
            nmf_steps(magnitude, method.components, steps=method.factor_steps, generator=generator)
        )
        likes = torch.zeros(())
        for levels in estimates:
            like = affinity(w, h, levels).clamp_min(1e-6).log()  # [K, R]
            likes = likes + method.sharpness / len(estimates) * like
        if asked is not None:
            likes = (
                likes
                + method.query * component_shares(w, h, magnitude, asked).clamp_min(1e-4).log()
            )
        masks, score = masks_from_shares(w, h, likes.softmax(0)), 0.0
        if scorer is not None:
            bands = component_bands(scorer.towers, w, h, magnitude, prior.sample_rate)
            words, likes = scorer.read(prompts), likes - likes.mean(0)
            score = contrastive_score(scorer.towers, bands, words, likes)
            if method.listen:  # both count: they err in different places
                moved = yield from _silent_last(
                    optimise_shares(scorer.towers, bands, words, likes, steps=method.listen)
                )
                masks = (masks + masks_from_shares(w, h, moved.softmax(0))) / 2
        made.append((score, masks))
    made.sort(key=lambda one: -one[0])
    masks = torch.stack([masks for _, masks in made[: method.kept or None]]).mean(0)
    found = (1 - method.grain) * masks.log() + method.grain * bins
    spent = torch.full((1, *magnitude.shape), -30.0)  # the prompts name all there is
    yield torch.cat([found, spent]) if several else found


def count_steps(prior: Prior, sources: int, samples: int, networks: Networks, method: Masks) -> int:
    """How often `assign_components` yields for so many prompts and samples."""
    several = sources > 1
    scored = several and method.listen and networks.search_scorer is not None
    listened = method.listen + 1 if scored else 0
    factorings = -(-method.factor_steps // AT_ONCE) + 1
    count = method.candidates * (factorings + listened) + 1
    if networks.query is not None:
        count += len(networks.query.windows(samples, prior.sample_rate)) + 1
    if several:
        count += method.estimates * (sources * len(_windows(prior, samples)) + 1)
    return count


def query_shares(
    network: Query, prompts: Sequence[str], mid: Tensor, rate: int
) -> Iterator[Tensor]:
    """The query network's shares of mid [1, C', T] at `rate`: [K, F, N], a lone prompt's with the
    rest, [2, F, N]. They are the last it yields; before them, after each window, nothing, [0]."""
    for shares in network.sharing(mid.mean(1, keepdim=True), rate, prompts):
        lone = len(prompts) == 1 and len(shares) == 1
        yield torch.cat([shares, 1 - shares]) if lone else shares


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
) -> Iterator[Tensor]:
    """Magnitudes [K, F, N] of mid [1, C', T] denoised from time `at` for each prompt, at last.

    Longer sounds than the prior takes are denoised in windows, whose powers are cross-faded. It
    yields nothing, [0], after each prompt in each of them.
    """
    hop, total = N // 4, mid.shape[-1]
    windows = _windows(prior, total)
    powers = torch.zeros(len(prompts), N // 2 + 1, windows[-1][1])
    for (begin, end), fade in zip(windows, fades(windows), strict=True):
        part = mid[..., begin * hop : min(total, end * hop)]
        estimates = method.estimator(prior, prompts, part, t=method.at, generator=generator)
        for power, found in zip(powers, estimates, strict=True):
            power[..., begin:end] += found[..., : end - begin] * fade
            yield NOTHING
    yield powers.sqrt()


def _silent_last(work: Iterator[T]) -> Generator[Tensor, None, T]:
    """The last of what some work yields; for each of it nothing is yielded, [0]."""
    found = next(work)
    yield NOTHING
    for now in work:
        found = now
        yield NOTHING
    return found


def _windows(prior: Prior, samples: int) -> list[Span]:
    """(begin, end) in frames of the masks of each of the prior's windows."""
    hop = N // 4
    size = max(2, int(prior.max_seconds * prior.sample_rate) // hop)
    return spans(samples // hop + 1, size)
