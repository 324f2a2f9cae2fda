"""Prompt to patch: search, fit and distill the knobs of a renderer towards a prompt."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.files import atomic_output, names
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.jobs import AUTO, DesignPatch
from bridge.worker.initial_patches import (
    Attempt,
    attempt,
    best_attempts,
    note_of,
    rank_algorithms,
    render_function,
)
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.saved_patches import SearchFiles, begin_search, file_names, similarity_function
from presets import Preset, Provenance, load
from renderers import Renderer, to_values
from renderers.algorithms import DIFFERENT, Found
from sds.distillation.distill import Step, distill
from sds.distillation.recipes import RECIPES, PatchRecipe
from sds.priors.base import Prior

RANKING = 0.25  # of a job's time, about, in which algorithms are compared
CURVES = "curves.json"
COLUMNS = ("step", "stage", "t", "loss", "score")


@dataclass(frozen=True, slots=True)
class _Search:
    """What all stages of one job share.

    `search_score` and `evaluation_score` map audio [B, 1, T] to cosines [B] with the prompt; None
    without that scorer. `start` is the preset to begin around, None for the bank's.
    """

    job: DesignPatch
    prior: Prior
    recipe: PatchRecipe
    start: Preset | None
    search_score: Callable[[Tensor], Tensor] | None
    evaluation_score: Callable[[Tensor], Tensor] | None
    generator: torch.Generator


def design_patch(job: DesignPatch, models: Models) -> worker_loop.Events:
    """Search patches near the prompt or the start, refine the best, keep the highest score.

    The search scorer (`sds.similarity.two_tower.SEARCH_SCORER`) chooses; the evaluation scorer,
    which the search never asks, scores the first patch and the last. curves.json has one entry a
    step in each of step, stage, t, loss (null where there is none) and score, which never falls.
    Raises `ValueError` for a duration above the prior's, in seconds.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    search = _search(job, models)
    with atomic_output.folder(Path(job.out), job.terms, stale=[atomic_output.RESULT]) as out:
        name = names.slug(job.prompt, otherwise="preset")
        out.expect(*file_names(name), CURVES)
        yield clock.progress(0.0, "search")
        attempts, begun = yield from _attempts(search, models, clock)
        patch = _preset(search, attempts[0].renderer, attempts[0].u0[0])
        files = begin_search(
            out, name, patch, rate=search.prior.sample_rate, match=search.evaluation_score
        )
        curves: dict[str, list[Any]] = {key: [] for key in COLUMNS}
        patch = yield from _refine(search, attempts, patch, files, curves, clock, begun)
        result = files.finish(patch, search.recipe.distillation.steps)
        path = out.partial / CURVES
        atomic_output.write_json(path, {"kind": job.kind, "prompt": job.prompt} | curves)
        result["curves"] = out.final(path)
    yield clock.done(result)


def _search(job: DesignPatch, models: Models) -> _Search:
    """Load what the job names; `ValueError` when its sound is longer than the prior's."""
    prior, evaluation_scorer = models.prior(job.model, [job.prompt]), models.evaluation_scorer()
    if job.duration > prior.max_seconds:
        limit = f"at most {prior.max_seconds:g} with the model {prior.name}"
        raise ValueError(f"duration must be {limit}, got {job.duration:g}")
    recipe = RECIPES[job.recipe]
    steps = job.steps or recipe.distillation.steps
    search_score, evaluation_score = (
        similarity_function(scorer, job.prompt, prior.sample_rate) if scorer else None
        for scorer in (models.search_scorer(), evaluation_scorer)
    )
    return _Search(
        job=job,
        prior=prior,
        recipe=replace(recipe, distillation=replace(recipe.distillation, steps=steps)),
        start=load(job.start) if job.start else None,
        search_score=search_score,
        evaluation_score=evaluation_score,
        generator=torch.Generator().manual_seed(job.seed),
    )


def _attempts(
    search: _Search, models: Models, clock: worker_loop.Clock
) -> Generator[Event, None, tuple[list[Attempt], float]]:
    """Where the search begins, and the fraction of the job that choosing it took, 0..1."""
    job, generator = search.job, search.generator
    more = max(search.recipe.candidates, search.recipe.starts) - 1
    if job.matrix != AUTO:
        return [attempt(job, models, search.start, more, generator)], 0.0
    ranked: list[Found] = []
    for algorithm in rank_algorithms(job, models, search.prior.sample_rate, generator):
        ranked.append(algorithm)
        fraction = RANKING * len(ranked) / len(DIFFERENT)
        yield clock.progress(fraction, f"algorithm {algorithm.number}")
    return best_attempts(ranked, more, generator), RANKING * len(ranked) / len(DIFFERENT)


def _refine(
    search: _Search,
    attempts: Sequence[Attempt],
    patch: Preset,
    files: SearchFiles,
    curves: dict[str, list[Any]],
    clock: worker_loop.Clock,
    begun: float,
) -> Generator[Event, None, Preset]:
    """Distill every attempt; return the patch of the highest search score, `patch` at worst.

    Progress runs from `begun` to 1; each step appends a row to `curves`.
    """
    job, score = search.job, -math.inf
    for k, (renderer, u0) in enumerate(attempts):
        highest = score  # of the attempts before
        for step in distill(
            render_function(job, renderer, search.start, search.prior.sample_rate),
            search.prior,
            job.prompt,
            u0,
            recipe=search.recipe,
            generator=search.generator,
            score=search.search_score,
        ):
            figures = _figures(step)
            if better := step.improved and step.score > score:
                score = step.score
                patch = _preset(search, renderer, step.best_u)
            index = k * step.of + step.index
            row = (index, step.stage, step.t, figures.get("loss"), max(highest, step.score))
            for key, value in zip(curves, row, strict=True):
                curves[key].append(value)
            fraction = begun + (1 - begun) * index / (len(attempts) * step.of)
            yield clock.progress(fraction, step.stage, figures)
            if better and (best := files.preview(job.id, patch, step=index, score=score)):
                yield best
    return patch


def _preset(search: _Search, renderer: Renderer, u: Tensor) -> Preset:
    """The knobs u [P] of a renderer as a preset that says where it comes from."""
    job, start, prior = search.job, search.start, search.prior
    return Preset(
        name=job.prompt[:200],
        renderer=renderer.name,
        renderer_version=renderer.version,
        values=to_values(renderer, u),
        note=note_of(job, start).number,
        seconds=job.duration,
        effects=start.effects if start else (),
        prompt=job.prompt,
        seed=job.seed,
        provenance=Provenance(
            code=VERSION,
            model=prior.name,
            model_hash=model_hash(prior),
            method=f"distill/{job.recipe}",
        ),
    )


def _figures(step: Step) -> dict[str, float]:
    falls = step.stage in ("fit", "distill")
    return ({"loss": float(step.loss.min())} if falls else {}) | {"score": step.score}
