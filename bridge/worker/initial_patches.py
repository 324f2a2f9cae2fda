"""Choose where a search for a patch begins: the renderer, and candidates for its knobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from bridge.protocol.patch_jobs import DesignPatch
from bridge.worker.models import Models
from presets import Note, Preset, load
from presets.prompt_words import wishes
from renderers import RENDERERS, Renderer, fm, for_preset, from_values, impact, random_patches
from renderers.algorithms import Found, algorithms, best
from renderers.lift import full, voice_of
from renderers.variations import around

SIBLING, FAMILY = 0.3, 1.0  # how far from a start its candidates are (`renderers.variations`)
PLACED = 4  # of the bank's nearest patches that are placed into each algorithm
PAPER_MODES = 2048  # of the recipe paper, by a digest (docs/paper.md)
TRIED = 2  # algorithms searched to the end


class Attempt(NamedTuple):
    """A renderer and candidates u0 [M, P] for it, the first of which is to be beaten."""

    renderer: Renderer
    u0: Tensor


def note_of(job: DesignPatch, start: Preset | None) -> Note:
    """The note that is asked for, else the start's, else the one for the words, else middle C."""
    if job.note is not None:
        return Note(job.note)
    if start is not None:
        return Note(start.note)
    asked = None if job.recipe == "paper" else wishes(job.prompt).note
    return Note() if asked is None else Note(asked)


def start_of(job: DesignPatch) -> Preset | None:
    """The preset to begin around, in the voice that searches use, where it sounds the same."""
    if job.start is None:
        return None
    start = load(job.start)
    if _voice(job, start.renderer) == "full":
        start = start.model_copy(update={"values": full(start.values)})
    return start


def _voice(job: DesignPatch, renderer: str) -> str:
    """ "paper" for the paper's recipe, else the voice of `RENDERERS`."""
    return "paper" if job.recipe == "paper" else voice_of(RENDERERS[renderer])


def attempts(
    job: DesignPatch,
    models: Models,
    start: Preset | None,
    more: int,
    generator: torch.Generator,
    like: Tensor | None = None,
    family: str = "free",
) -> list[Attempt]:
    """For each renderer that the job allows one patch to be beaten and `more`: around the start,
    near the embedding `like` [D] of a recording, or near the prompt, in tune as `family` has it.
    """
    found = []
    for renderer in _renderers(job, start):
        if start is not None:
            found.append(Attempt(renderer, _around(renderer, start, more, generator)))
            continue
        u0 = random_patches(renderer, 1, generator=generator).float()
        if more > 0:
            wanted = job.prompt if like is None else like
            u0 = torch.cat([u0, models.near(renderer, wanted, more, generator, family)])
        found.append(Attempt(renderer, u0))
    return found


def rank_algorithms(
    job: DesignPatch,
    models: Models,
    score: Callable[[Tensor], Tensor] | None,
    samples: int,
    rate: int,
    generator: torch.Generator,
) -> Iterator[Found]:
    """Candidates in every algorithm of the DX7, those of the bank that fit among them."""
    _renderers(job, None)
    if job.start is not None:
        raise ValueError("the matrix is that of the start, so it cannot be dx7:auto")
    if score is None:
        raise ValueError(
            "there is no search scorer here to tell algorithms apart: name one, as dx7:5"
        )
    listed = RENDERERS["fm"]
    return algorithms(
        score,
        note=note_of(job, None),
        rate=rate,
        samples=samples,
        generator=generator,
        near=(listed, models.near(listed, job.prompt, PLACED, generator).double()),
        voice=_voice(job, "fm"),
    )


def best_attempts(ranked: list[Found], more: int, generator: torch.Generator) -> list[Attempt]:
    """The algorithms that suit best, each with its best candidates and random ones."""
    found = []
    for algorithm in best(ranked, TRIED):
        known = algorithm.u[: max(1, more)]
        rows = [
            random_patches(
                algorithm.renderer, max(1, 1 + more - len(known)), generator=generator
            ).float()
        ]
        found.append(Attempt(algorithm.renderer, torch.cat([*rows, known])))
    return found


def _renderers(job: DesignPatch, start: Preset | None) -> list[Renderer]:
    """The renderers that a job allows: the start's, those named, or all."""
    if job.renderer == "impact" and (job.matrix or job.operators):
        raise ValueError(f"only fm has a matrix and operators, and renderer is {job.renderer}")
    if job.modes is not None:
        _check_modes(job)
    if start is not None:
        if job.renderer not in ("auto", start.renderer):
            raise ValueError(
                f"renderer must be that of the start, {start.renderer}: {job.renderer}"
            )
        if job.matrix or job.operators:
            raise ValueError("matrix and operators are those of the start, so neither can be given")
        return [for_preset(start)]
    if job.matrix or job.operators:
        matrix = (job.matrix or _matrix(job)).replace("auto", "1")
        return [fm.renderer(operators=job.operators, matrix=matrix, voice=_voice(job, "fm"))]
    known = RENDERERS
    if job.recipe == "paper":
        modal = impact.renderer(modes=job.modes or PAPER_MODES, voice="audio-sds")
        known = {"fm": fm.renderer(matrix=_matrix(job)), "impact": modal}
    return list(known.values()) if job.renderer == "auto" else [known[job.renderer]]


def _matrix(job: DesignPatch) -> str:
    """The matrix where none is asked for: the paper's is full."""
    return "free" if job.recipe == "paper" else "acyclic"


def _check_modes(job: DesignPatch) -> None:
    if job.recipe != "paper":
        raise ValueError(f"only the recipe paper has modes to choose, and recipe is {job.recipe}")
    if job.renderer == "fm" or job.matrix or job.operators:
        raise ValueError("only impact has modes, and this asks for fm")
    if job.start is not None:
        raise ValueError("modes are those of the start, so they cannot be given")


def _around(renderer: Renderer, start: Preset, more: int, generator: torch.Generator) -> Tensor:
    """The start and patches around it, u0 [1 + more, P]: siblings first, then the family."""
    u = from_values(renderer, start.values)
    rows = [u[None]]
    for count, amount in ((more // 2, SIBLING), (more - more // 2, FAMILY)):
        if count > 0:
            rows.append(around(renderer, u, count, amount=amount, generator=generator))
    return torch.cat(rows).float()
