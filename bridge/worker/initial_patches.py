"""Choose where a search for a patch begins: the renderer, and candidates for its knobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from bridge.protocol.jobs import DesignPatch
from bridge.worker.models import Models
from bridge.worker.saved_patches import similarity_function
from presets import Note, Preset
from renderers import RENDERERS, Renderer, fm, for_preset, from_values, random_patches
from renderers.algorithms import Found, algorithms, best
from renderers.variations import around
from sds.distillation.distill import RenderFn

SIBLING, FAMILY = 0.3, 1.0  # how far from a start its candidates are (`renderers.variations`)
PLACED = 4  # of the bank's nearest patches that are placed into each algorithm
TRIED = 2  # algorithms searched to the end


class Attempt(NamedTuple):
    """A renderer and candidates u0 [M, P] for it, the first of which is to be beaten."""

    renderer: Renderer
    u0: Tensor


def note_of(job: DesignPatch, start: Preset | None) -> Note:
    """The note that is asked for, else the start's, else middle C."""
    if job.note is not None:
        return Note(job.note)
    return Note(start.note) if start else Note()


def render_function(
    job: DesignPatch, renderer: Renderer, start: Preset | None, rate: int
) -> RenderFn:
    """Patches to sound, as long as the job says."""
    note, samples = note_of(job, start), round(job.duration * rate)
    return lambda u: renderer.render(u, note, rate, samples).float()


def attempt(
    job: DesignPatch, models: Models, start: Preset | None, more: int, generator: torch.Generator
) -> Attempt:
    """One patch to be beaten and `more`: around the start, or near the prompt."""
    renderer = _renderer(job, start)
    if start is not None:
        return Attempt(renderer, _around(renderer, start, more, generator))
    u0 = random_patches(renderer, 1, generator=generator).float()
    if more > 0:
        u0 = torch.cat([u0, models.near(renderer, job.prompt, more, generator)])
    return Attempt(renderer, u0)


def rank_algorithms(
    job: DesignPatch, models: Models, rate: int, generator: torch.Generator
) -> Iterator[Found]:
    """Candidates in every algorithm of the DX7, those of the bank that fit among them."""
    _renderer(job, None)
    if job.start is not None:
        raise ValueError("the matrix is that of the start, so it cannot be dx7:auto")
    search_scorer = models.search_scorer()
    if search_scorer is None:
        raise ValueError(
            "there is no search scorer here to tell algorithms apart: name one, as dx7:5"
        )
    listed = RENDERERS["fm"]
    return algorithms(
        similarity_function(search_scorer, job.prompt, rate),
        note=note_of(job, None),
        rate=rate,
        samples=round(job.duration * rate),
        generator=generator,
        near=(listed, models.near(listed, job.prompt, PLACED, generator).double()),
    )


def best_attempts(ranked: list[Found], more: int, generator: torch.Generator) -> list[Attempt]:
    """The algorithms that suit best, each with its best candidates and random ones."""
    attempts = []
    for algorithm in best(ranked, TRIED):
        known = algorithm.u[: max(1, more)]
        rows = [
            random_patches(
                algorithm.renderer, max(1, 1 + more - len(known)), generator=generator
            ).float()
        ]
        attempts.append(Attempt(algorithm.renderer, torch.cat([*rows, known])))
    return attempts


def _renderer(job: DesignPatch, start: Preset | None) -> Renderer:
    if job.renderer != "fm" and (job.matrix or job.operators):
        raise ValueError(f"only fm has a matrix and operators, and renderer is {job.renderer}")
    if start is None:
        if job.matrix is None and job.operators is None:
            return RENDERERS[job.renderer]
        matrix = (job.matrix or "acyclic").replace("auto", "1")
        return fm.renderer(operators=job.operators, matrix=matrix)
    if start.renderer != job.renderer:
        raise ValueError(f"renderer must be that of the start, {start.renderer}: {job.renderer}")
    if job.matrix or job.operators:
        raise ValueError("matrix and operators are those of the start, so neither can be given")
    return for_preset(start)


def _around(renderer: Renderer, start: Preset, more: int, generator: torch.Generator) -> Tensor:
    """The start and patches around it, u0 [1 + more, P]: siblings first, then the family."""
    u = from_values(renderer, start.values)
    rows = [u[None]]
    for count, amount in ((more // 2, SIBLING), (more - more // 2, FAMILY)):
        if count > 0:
            rows.append(around(renderer, u, count, amount=amount, generator=generator))
    return torch.cat(rows).float()
