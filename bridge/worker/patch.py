"""Story one: prompt to patch."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.files import atomic_output, names
from bridge.protocol import worker_loop
from bridge.protocol.events import Best
from bridge.protocol.jobs import AUTO, DesignPatch
from bridge.worker.initial_patches import (
    attempt,
    best_attempts,
    note_of,
    rank_algorithms,
    render_function,
)
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.saved_patches import Previews, keep, similarity_function
from presets import Preset, Provenance, load
from renderers import Renderer, to_values
from renderers.algorithms import DIFFERENT
from sds.distillation.distill import Step, distill
from sds.distillation.recipes import RECIPES
from sds.priors.base import Prior

COMPARISON = 0.25  # of a job's time, about, in which algorithms are compared


def design_patch(job: DesignPatch, models: Models) -> worker_loop.Events:
    """Look at patches near the prompt or the start, bring the best nearer, keep the search
    scorer's choice.

    The search scorer (`sds.similarity.two_tower.SEARCH_SCORER`) searches; the evaluation scorer,
    who chose nothing, scores what comes out. curves.json has one entry a step in each of step,
    stage, t, loss (null where there is none) and score, which never falls.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    prior, evaluation_scorer = models.prior(job.model, [job.prompt]), models.evaluation_scorer()
    rate = prior.sample_rate
    if job.duration > prior.max_seconds:
        limit = f"at most {prior.max_seconds:g} with the model {prior.name}"
        raise ValueError(f"duration must be {limit}, got {job.duration:g}")
    recipe = RECIPES[job.recipe]
    steps = job.steps or recipe.distillation.steps
    recipe = replace(recipe, distillation=replace(recipe.distillation, steps=steps))
    generator = torch.Generator().manual_seed(job.seed)
    search_scorer = models.search_scorer()
    like = similarity_function(search_scorer, job.prompt, rate) if search_scorer else None
    match = similarity_function(evaluation_scorer, job.prompt, rate) if evaluation_scorer else None
    start = load(job.start) if job.start else None
    more = max(recipe.candidates, recipe.starts) - 1

    with atomic_output.folder(Path(job.out), job.terms, stale=[atomic_output.RESULT]) as out:
        name = names.slug(job.prompt, otherwise="preset")
        out.expect(f"{name}.json", f"{name}.wav", f"{name}__initial.wav", "curves.json")
        yield clock.progress(0.0, "search")
        compared = 0.0
        if job.matrix == AUTO:
            found = []
            for now in rank_algorithms(job, models, rate, generator):
                found.append(now)
                compared = COMPARISON * len(found) / len(DIFFERENT)
                yield clock.progress(compared, f"algorithm {now.number}")
            attempts = best_attempts(found, more, generator)
        else:
            attempts = [attempt(job, models, start, more, generator)]
        path = out.scratch / "initial"
        first = attempts[0]
        patch = _preset(job, first.renderer, prior, first.u0[0], start)
        before = keep(patch, path, rate=rate, match=match, before=None, steps=0)
        initial = path.with_suffix(".wav").rename(out.partial / f"{name}__initial.wav")

        curves: dict[str, list[Any]] = {key: [] for key in ("step", "stage", "t", "loss", "score")}
        previews = Previews(out.scratch)
        score = -math.inf
        for k, (renderer, u0) in enumerate(attempts):
            best = score
            for step in distill(
                render_function(job, renderer, start, rate),
                prior,
                job.prompt,
                u0,
                recipe=recipe,
                generator=generator,
                score=like,
            ):
                figures = _figures(step)
                if better := step.improved and step.score > score:
                    score = step.score
                    patch = _preset(job, renderer, prior, step.best_u, start)
                index = k * step.of + step.index
                row = (index, step.stage, step.t, figures.get("loss"), max(best, step.score))
                for key, value in zip(curves, row, strict=True):
                    curves[key].append(value)
                fraction = compared + (1 - compared) * index / (len(attempts) * step.of)
                yield clock.progress(fraction, step.stage, figures)
                if better and (preview := previews.next(index)):
                    keep(patch, preview, rate=rate, match=match, before=before, steps=index)
                    yield Best(
                        id=job.id,
                        step=index,
                        score=score,
                        preset=f"{preview}.json",
                        wav=f"{preview}.wav",
                    )
        path = out.partial / name
        after = keep(patch, path, rate=rate, match=match, before=before, steps=steps)
        atomic_output.write_json(
            out.partial / "curves.json", {"kind": job.kind, "prompt": job.prompt} | curves
        )
        result = {
            "preset": out.final(out.partial / f"{name}.json"),
            "wav": out.final(out.partial / f"{name}.wav"),
            "initial_wav": out.final(initial),
            "score_before": before,
            "score_after": after,
            "steps": steps,
            "curves": out.final(out.partial / "curves.json"),
        }
    yield clock.done(result)


def _preset(
    job: DesignPatch,
    renderer: Renderer,
    prior: Prior,
    u: Tensor,
    start: Preset | None,
) -> Preset:
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
