"""How well named sounds come out of mixtures, and where what is not named goes.

- `pairs`: pairs as `sds.train.pairs` draws them; `three`, `four`: so many sources, each named;
  `lone`: one of two or three sources named, the others not. Mean SI-SDR improvement of the named
  sources.
- the five of `sds.train.hearing.mixtures.KINDS`: mean SI-SDR of both stems; at equal power that of
  the mixture is 0 dB.
- `rest`: two of three sources named. How much of the third is in the residual
  (`share_in_residual`), the residual's SI-SDR as an estimate of it, and the improvement of the two
  stems.
- `recorded`, `stems`: the mixtures, and the clips of four instruments, of a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from sds.datasets import evaluation_items
from sds.datasets.evaluation_items import Mixture
from sds.metrics.separation import si_sdr
from sds.priors.base import Prior
from sds.scoreboard.separate import harmonic_percussive, ideal_mask
from sds.separation.query_network import N
from sds.separation.separate import METHODS, asks_prior, separate
from sds.train import pairs
from sds.train.hearing.mixtures import (
    KINDS,
    draw_kind,
    draw_mixtures,
    fingerprint,
    half_of_kind,
    held_recordings,
)
from sds.train.hearing.rows import SEED, Row, Setup

DRAWN, OF_A_KIND = 24, 8  # mixtures of a figure
SHUFFLED = ", shuffled prior"

Score: TypeAlias = Callable[[Mixture, Tensor, Tensor], float]
"""(mixture, stems [K, C, T], residual [C, T]) -> a figure."""


def separated(setup: Setup, mixture: Mixture, method: str, prior: Prior) -> tuple[Tensor, Tensor]:
    """Stems [K, C, T] and residual [C, T] of a mixture by a method of the product."""
    *_, last = separate(
        prior,
        mixture.prompts,
        mixture.audio,
        mixture.rate,
        method=METHODS[method],
        generator=torch.Generator().manual_seed(SEED),
        networks=setup.networks,
    )
    if last.stems is None or last.residual is None:
        raise ValueError(f"{method} must end with stems, got none for {mixture.name}")
    return last.stems, last.residual


def masked_by_truth(mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Stems [K, C, T] and residual [C, T] under masks that know the truth."""
    stems = ideal_mask(mixture, N, 0)[: len(mixture.prompts)]
    return stems, mixture.audio - stems.sum(0)


def split_by_medians(mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Two stems [2, C, T] by median filters, in the better order, and no residual [C, T]."""
    return harmonic_percussive(mixture, N, 0), torch.zeros_like(mixture.audio)


def improvement(mixture: Mixture, stems: Tensor, residual: Tensor) -> float:
    """Mean SI-SDR improvement in dB of the stems [K, C, T]; the first K sources are named."""
    return pairs.improvement(replace(mixture, sources=mixture.sources[: len(stems)]), stems)


def mean_si_sdr(mixture: Mixture, stems: Tensor, residual: Tensor) -> float:
    """Mean SI-SDR in dB of the stems [K, C, T]."""
    truth = torch.stack(mixture.sources[: len(stems)])
    return float(si_sdr(stems.flatten(1), truth.flatten(1)).nanmean())


def residual_si_sdr(mixture: Mixture, stems: Tensor, residual: Tensor) -> float:
    """SI-SDR in dB of the residual [C, T] as an estimate of the source behind the K stems
    [K, C, T].
    """
    return float(si_sdr(residual.flatten(), mixture.sources[len(stems)].flatten()))


def share_in_residual(mixture: Mixture, stems: Tensor, residual: Tensor) -> float:
    """How much of the source behind the K stems [K, C, T] is in the residual [C, T], 0..1.

    Of three sources its coefficient c3 in the least-squares fit r = c1 s1 + c2 s2 + c3 s3. For each
    source the coefficients of the residual and of all stems add up to 1, as their sum is the
    mixture. Under masks c3 is nearly the mean of the residual's mask, weighted with the energy of
    s3: under masks of 0 and 1 the share of that energy.
    """
    truth = torch.stack(mixture.sources).flatten(1).double()
    fit = torch.linalg.solve(truth @ truth.T, truth @ residual.flatten().double())
    return float(fit[len(stems)].clamp(0.0, 1.0))


def score_methods(
    setup: Setup, half: str, mixtures: Sequence[Mixture], scores: dict[str, tuple[str, Score]]
) -> Iterator[Row]:
    """A row for each method and each of the scores (name -> unit, function)."""
    ways: dict[str, Callable[[Mixture], tuple[Tensor, Tensor]]] = {
        method: partial(separated, setup, method=method, prior=setup.prior)
        for method in setup.methods
    }
    if setup.null is not None:
        prompts = min(len(mixture.prompts) for mixture in mixtures)
        for method in setup.methods:
            if asks_prior(METHODS[method], prompts, setup.networks):
                null = partial(separated, setup, method=method, prior=setup.null)
                ways[method + SHUFFLED] = null
    if all(len(mixture.sources) == len(mixture.prompts) == 2 for mixture in mixtures):
        ways["median filters"] = split_by_medians
    ways["ideal masks"] = masked_by_truth
    print_of_all = fingerprint(mixtures)
    for method, way in ways.items():
        table = []
        for mixture in mixtures:
            parts = way(mixture)
            table.append([score(mixture, *parts) for _, score in scores.values()])
        for (name, (unit, _)), column in zip(scores.items(), np.array(table).T, strict=True):
            mean, std = float(column.mean()), float(column.std())
            values = tuple(round(float(x), 3) for x in column)
            yield Row(name, method, unit, mean, std, len(column), half, print_of_all, values)


def measure_pairs(setup: Setup) -> Iterator[Row]:
    """`pairs`."""
    found = setup.first(pairs.pairs(pairs.held_back(setup.data, "report")), pairs.PAIRS)
    yield from score_methods(setup, "report", found, {"pairs": ("dB", improvement)})


def measure_kind(setup: Setup, name: str) -> Iterator[Row]:
    """One of `KINDS`."""
    half = half_of_kind(setup.data, KINDS[name])
    source = draw_kind(name, held_recordings(setup.data, half), KINDS[name], seed=SEED)
    found = setup.first(source, OF_A_KIND)
    yield from score_methods(setup, half or "both", found, {name: ("dB", mean_si_sdr)})


def measure_drawn(
    setup: Setup, sources: Sequence[int], named: int, scores: dict[str, tuple[str, Score]]
) -> Iterator[Row]:
    """Mixtures of so many sources in turn, of which the first are named."""
    source = draw_mixtures(held_recordings(setup.data, "report"), sources, seed=SEED + named)
    found = [replace(m, prompts=m.prompts[:named]) for m in setup.first(source, DRAWN)]
    yield from score_methods(setup, "report", found, scores)


def measure_recorded(setup: Setup, name: str) -> Iterator[Row]:
    """`recorded` and `stems`: nothing without a folder to score."""
    if setup.score is None:
        return
    load = evaluation_items.mixtures if name == "recorded" else evaluation_items.stems
    found = load(setup.score, setup.count)
    if found:
        yield from score_methods(setup, "evaluation", found, {name: ("dB", improvement)})


SEPARATION: dict[str, Callable[[Setup], Iterator[Row]]] = {
    "pairs": measure_pairs,
    **{name: partial(measure_kind, name=name) for name in KINDS},
    "three": partial(
        measure_drawn, sources=(3,), named=3, scores={"three sources": ("dB", improvement)}
    ),
    "four": partial(
        measure_drawn, sources=(4,), named=4, scores={"four sources": ("dB", improvement)}
    ),
    "lone": partial(
        measure_drawn, sources=(2, 3), named=1, scores={"one prompt alone": ("dB", improvement)}
    ),
    "rest": partial(
        measure_drawn,
        sources=(3,),
        named=2,
        scores={
            "rest: share of the unnamed": ("", share_in_residual),
            "rest: SI-SDR": ("dB", residual_si_sdr),
            "rest: stems": ("dB", improvement),
        },
    ),
    "recorded": partial(measure_recorded, name="recorded"),
    "stems": partial(measure_recorded, name="stems"),
}
