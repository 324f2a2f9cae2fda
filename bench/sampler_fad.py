"""FAD of a model's clips against evaluations, taken as in suite `prior` of the scoreboard."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bench.sampler_errors import SHIPPED, latents
from bench.sampler_figures import Figure, Kept, missing
from sds.datasets.reference_statistics import CLASSES
from sds.metrics.spectral_statistics import SECONDS
from sds.scoreboard.board import Setting
from sds.scoreboard.prior_figures import (
    RealSet,
    embed,
    fad,
    fad_of_statistics,
    standard_statistics,
    unheard_recordings,
)

HEARD = ("tab3",)  # solvers whose clips are listened to


def fad_figures(setting: Setting, kept: Kept, model: str, count: int) -> Iterator[Figure]:
    """FAD in every embedding, of `count` clips of each class."""
    weights = str(getattr(setting.prior, "model_hash", ""))
    real = unheard_recordings(setting, CLASSES).whole
    for solver in HEARD:
        for evaluations in SHIPPED:
            figure = Figure("fad", model, weights, solver, evaluations, count, {})
            if missing(kept, figure):
                figure.values.update(_fad(setting, real(), figure))
                yield figure


def _fad(setting: Setting, real: RealSet | None, asked: Figure) -> dict[str, float]:
    prior, statistics, embedded = setting.prior, [], []
    samples = round(min(SECONDS, prior.max_seconds) * prior.sample_rate)
    for seed, label in enumerate(CLASSES):
        z = latents(prior, [label] * asked.count, asked.solver, asked.evaluations, seed=seed)
        with torch.no_grad():
            clips = prior.decode(z)[..., :samples]
        statistics.append(standard_statistics(setting, clips))
        if real is not None:
            embedded.append(embed(setting, clips))
    values = {"fad_statistics": fad_of_statistics(statistics, CLASSES)}
    return values | dict(fad(embedded, real, CLASSES)) if real is not None else values
