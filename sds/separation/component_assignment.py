"""Component assignment: which prompts get how much of each component of a mixture.

Three kinds of evidence count: the prior's estimates of the mixture for each prompt, the shares of
the network that was trained to separate by prompts (`sds.separation.query_network`), and the search
scorer's embeddings of the stems (`sds.separation.clap_assignment`).
"""

from __future__ import annotations

import math
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
from sds.signal.audio_files import mono
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
    """Logits [K + 1, F, N] of masks from components of mid [1, C', T], assigned to prompts.

    `spectrum` [1, C', F, N] is that of mid. The logits are the last it yields; before them it
    yields an empty tensor [0] whenever it has worked for less than a second or so.

    An estimate denoises the mixture itself for each prompt, from the same noise. Its single bins
    mean little: the level of a prompt's whole estimate is arbitrary and its grain is the noise's.
    What counts is how well each component of the mixture fits the estimates. A lone prompt's rival
    is the prior without a prompt. Of the query network's shares it is their mean over the energy of
    a component.
    """
    magnitude = spectrum.abs().square().mean(1)[0].sqrt()  # [F, N]
    shares: Tensor | None = None  # [K + 1, F, N]
    if networks.query is not None:
        shares = yield from _silent_last(
            query_shares(networks.query, prompts, mid, prior.sample_rate)
        )
    several, rivals = len(prompts) > 1, _rivals(prompts)
    weight = 1.0 if several else method.lone
    estimates: list[Tensor] = []
    for _ in range(method.estimates if weight else 0):
        estimator = prompted_levels(prior, rivals, mid, method=method, generator=generator)
        estimates.append((yield from _silent_last(estimator)))
    logits = single_bins(estimates, shares, method.power, weight)
    scorer = networks.search_scorer if several and (method.listen or method.kept) else None
    candidates: list[tuple[float, Tensor]] = []
    for _ in range(method.candidates):
        w, h = yield from _silent_last(
            nmf_steps(magnitude, method.components, steps=method.factor_steps, generator=generator)
        )
        likes = _component_likes(w, h, magnitude, estimates, shares, method)
        given, score = likes.softmax(0), 0.0
        if scorer is not None:
            bands = component_bands(scorer.towers, w, h, magnitude, prior.sample_rate)
            words, named = scorer.read(prompts), likes[: len(prompts)]
            named = named - named.mean(0)
            score = contrastive_score(scorer.towers, bands, words, named)
            if method.listen:  # both count: they err in different places
                moved = yield from _silent_last(
                    optimise_shares(scorer.towers, bands, words, named, steps=method.listen)
                )
                rest = given[len(prompts) :]  # of which the scorer knows nothing
                given = (given + torch.cat([moved.softmax(0) * (1 - rest.sum(0)), rest])) / 2
        candidates.append((score, masks_from_shares(w, h, given)))
    if candidates:
        candidates.sort(key=lambda candidate: -candidate[0])
        masks = torch.stack([masks for _, masks in candidates[: method.kept or None]]).mean(0)
        logits = (1 - method.grain) * masks.log() + method.grain * logits
    if shares is None:  # the prompts are taken to leave nothing over: the rest gets e^-30
        logits = torch.cat([logits, torch.full((1, *magnitude.shape), -30.0)])
    yield logits


def _rivals(prompts: Sequence[str]) -> list[str]:
    """The prompts that the prior tells apart: a lone one competes with the unprompted model, whose
    estimate, for everything, stands for the rest.
    """
    return [*prompts] if len(prompts) > 1 else [*prompts, ""]


def _component_likes(
    w: Tensor,
    h: Tensor,
    magnitude: Tensor,
    estimates: Sequence[Tensor],
    shares: Tensor | None,
    method: Masks,
) -> Tensor:
    """Log-likelihoods [K, R] that components W [F, R], H [R, N] belong to each prompt, [K + 1, R]
    with the rest where the query network was asked.

    By estimates of magnitudes [K, F, N], of a lone prompt [2, F, N] with the rest's, and the query
    network's shares [K + 1, F, N].
    """
    likes = torch.zeros(())
    for levels in estimates:
        like = affinity(w, h, levels).clamp_min(1e-6).log()  # [K, R]
        likes = likes + method.sharpness / len(estimates) * like
    if shares is None:
        return likes
    like = component_shares(w, h, magnitude, shares).clamp_min(1e-4).log()
    if len(shares) == 2:
        return method.query * like + method.lone * likes
    return method.query * like + (beside_rest(likes) if estimates else 0.0)


def beside_rest(logs: Tensor) -> Tensor:
    """Log-likelihoods [K + 1, ...] of what has none for the rest, from those of K prompts [K, ...].

    They only tell prompts apart: equal ones leave what the rest has by other evidence as it is.
    """
    several = logs.log_softmax(0) + math.log(len(logs))
    return torch.cat([several, torch.zeros_like(several[:1])])


def count_steps(prior: Prior, sources: int, samples: int, networks: Networks, method: Masks) -> int:
    """How often `assign_components` yields for so many prompts and samples."""
    several = sources > 1
    scored = several and method.listen and networks.search_scorer is not None
    listened = method.listen + 1 if scored else 0
    factorings = -(-method.factor_steps // AT_ONCE) + 1
    count = method.candidates * (factorings + listened) + 1
    if networks.query is not None:
        count += len(networks.query.windows(samples, prior.sample_rate)) + 1
    if several or method.lone:
        count += method.estimates * (max(2, sources) * len(_windows(prior, samples)) + 1)
    return count


def query_shares(
    network: Query, prompts: Sequence[str], mid: Tensor, rate: int
) -> Iterator[Tensor]:
    """Shares [K + 1, F, N] of prompts and the rest in mid [1, C', T] at `rate` Hz by the query
    network.

    They are the last it yields; before them it yields an empty tensor [0] after each window.
    """
    yield from network.shares_by_window(mono(mid)[None], rate, prompts)


def single_bins(
    estimates: Sequence[Tensor],
    network_shares: Tensor | None,
    power: float,
    weight: float = 1.0,
) -> Tensor:
    """Log-shares of each source in single bins, from all evidence there is: [K + 1, F, N] with the
    rest where the query network was asked, else [K, F, N].

    `estimates` are magnitudes [K, F, N] denoised for the prompts, each of its own level, of a lone
    prompt [2, F, N] with that for none; `network_shares` the query network's shares [K + 1, F, N]
    or None; `power` is that of the masks; `weight`, >= 0, that of the estimates; 1.
    """
    logs = torch.zeros(())
    if estimates:
        powers = sum(
            (e.square() / e.square().sum((1, 2), keepdim=True).clamp_min(1e-30) for e in estimates),
            torch.zeros(()),
        )
        shares = powers / powers.sum(0).clamp_min(1e-30)
        logs = logs + weight * power / 2 * shares.clamp_min(FLOOR).log()
    if network_shares is None:
        return logs
    if estimates and len(logs) < len(network_shares):
        logs = beside_rest(logs)
    return network_shares.clamp_min(FLOOR).log() + logs


def prompted_levels(
    prior: Prior,
    prompts: Sequence[str],
    mid: Tensor,
    *,
    method: Masks,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Estimate magnitudes [K, F, N] of each prompt's part of mid [1, C', T], denoised from time
    `method.at`.

    Sounds longer than the prior takes are denoised in windows, whose powers are cross-faded. The
    result is the last it yields; before it an empty tensor [0] after each prompt in each window.
    """
    hop, total = N // 4, mid.shape[-1]
    windows = _windows(prior, total)
    powers = torch.zeros(len(prompts), N // 2 + 1, windows[-1][1])
    for (begin, end), fade in zip(windows, fades(windows), strict=True):
        part = mid[..., begin * hop : min(total, end * hop)]
        estimates = method.estimator(prior, prompts, part, t=method.at, generator=generator)
        for power, estimate in zip(powers, estimates, strict=True):
            power[..., begin:end] += estimate[..., : end - begin] * fade
            yield NOTHING
    yield powers.sqrt()


def _silent_last(work: Iterator[T]) -> Generator[Tensor, None, T]:
    """The last of what some work yields; for each of it nothing is yielded, [0]."""
    last = next(work)
    yield NOTHING
    for value in work:
        last = value
        yield NOTHING
    return last


def _windows(prior: Prior, samples: int) -> list[Span]:
    """(begin, end) in frames of the masks of each of the prior's windows."""
    hop = N // 4
    size = max(2, int(prior.max_seconds * prior.sample_rate) // hop)
    return spans(samples // hop + 1, size)
