"""Story one: prompt to patch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge import outputs, pipe, stems
from bridge.jobs import Best, DesignPatch
from bridge.worker.models import VERSION, Models, model_hash
from presets import Note, Preset, Provenance, load, save
from renderers import (
    RENDERERS,
    Renderer,
    effects,
    fm,
    for_preset,
    from_values,
    random_patches,
    to_values,
)
from renderers.variations import around
from sds.distill import Step, distill
from sds.prior import Prior
from sds.recipes import RECIPES
from sds.scoreboard import board

PREVIEW_GAP = 3.0  # seconds between two previews
PREVIEWS_KEPT = 3
SIBLING, FAMILY = 0.3, 1.0  # how far from a start its candidates are (`renderers.variations`)


def design_patch(job: DesignPatch, models: Models) -> pipe.Events:
    """Look at patches near the prompt or the start, bring the best nearer, keep the ear's choice.

    The ear (`sds.judge.EAR`) searches; the judge, who chose nothing, scores what comes out.
    curves.json has one entry a step in each of step, stage, t, loss (null where there is none) and
    score, which never falls.
    """
    clock = pipe.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    prior, judge = models.prior(job.model, [job.prompt]), models.judge()
    rate = prior.sample_rate
    renderer, start = _instrument(job)
    note = _note(job, start)
    if job.duration > prior.max_seconds:
        limit = f"at most {prior.max_seconds:g} with the model {prior.name}"
        raise ValueError(f"seconds must be {limit}, got {job.duration:g}")
    recipe = RECIPES[job.recipe]
    recipe = replace(recipe, steps=job.steps or recipe.steps)
    generator = torch.Generator().manual_seed(job.seed)
    ear = models.ear()
    more = max(recipe.candidates, recipe.starts) - 1
    if start is not None:
        u0 = _around(renderer, start, more, generator)
    else:
        u0 = random_patches(renderer, 1, generator=generator).float()  # what is to be beaten
        if more > 0:
            u0 = torch.cat([u0, models.near(renderer, job.prompt, more, generator)])
    samples = round(job.duration * rate)

    def render(u: Tensor) -> Tensor:
        return renderer.render(u, note, rate, samples).float()

    def liking(ear: board.Match) -> Callable[[Tensor], Tensor]:
        return lambda sound: ear.similarity(sound, rate, [job.prompt])[:, 0]

    def keep(u: Tensor, path: Path, *, before: float | None, steps: int) -> float | None:
        """Write a patch as `path`.json and its sound as `path`.wav; match what was written."""
        patch = _preset(job, renderer, prior, u, start)
        heard = effects.render(patch, rate=rate)
        effects.write(heard, path.with_suffix(".wav"), rate=rate)
        after = float(liking(judge)(torch.from_numpy(heard)[None])) if judge else None
        facts = {"steps": steps, "score_before": before, "score_after": after}
        provenance = patch.provenance.model_copy(update=facts)
        save(patch.model_copy(update={"provenance": provenance}), path.with_suffix(".json"))
        return after

    with outputs.folder(Path(job.out)) as out:
        yield clock.progress(0.0, "search")
        name = stems.slug(job.prompt)
        before = keep(u0[0], out.scratch / "initial", before=None, steps=0)
        initial = (out.scratch / "initial.wav").rename(out.partial / f"{name}__initial.wav")

        curves: dict[str, list[Any]] = {key: [] for key in ("step", "stage", "t", "loss", "score")}
        previews = _Previews(out.scratch)
        best = u0[0]
        for step in distill(
            render,
            prior,
            job.prompt,
            u0,
            recipe=recipe,
            generator=generator,
            score=liking(ear) if ear else None,
        ):
            best = step.best_u
            figures = _figures(step)
            for key, value in zip(curves, _row(step, figures), strict=True):
                curves[key].append(value)
            yield clock.progress(step.index / step.of, step.stage, figures)
            if step.improved and (path := previews.next(step.index)):
                keep(step.best_u, path, before=before, steps=step.index)
                yield Best(
                    id=job.id,
                    step=step.index,
                    score=step.score,
                    preset=f"{path}.json",
                    wav=f"{path}.wav",
                )
        after = keep(best, out.partial / name, before=before, steps=recipe.steps)
        outputs.write_json(
            out.partial / "curves.json", {"kind": job.kind, "prompt": job.prompt} | curves
        )
        result = {
            "preset": out.final(out.partial / f"{name}.json"),
            "wav": out.final(out.partial / f"{name}.wav"),
            "initial_wav": out.final(initial),
            "score_before": before,
            "score_after": after,
            "steps": recipe.steps,
            "curves": out.final(out.partial / "curves.json"),
        }
    yield clock.done(result)


def _instrument(job: DesignPatch) -> tuple[Renderer, Preset | None]:
    """The renderer of the job, and the preset that it starts from, if any."""
    if job.renderer != "fm" and (job.matrix or job.operators):
        raise ValueError(f"only fm has a matrix and operators, and renderer is {job.renderer}")
    if job.start is None:
        if job.matrix is None and job.operators is None:
            return RENDERERS[job.renderer], None
        return fm.renderer(operators=job.operators, matrix=job.matrix or "acyclic"), None
    start = load(job.start)
    if start.renderer != job.renderer:
        raise ValueError(f"renderer must be that of the start, {start.renderer}: {job.renderer}")
    if job.matrix or job.operators:
        raise ValueError("matrix and operators are those of the start, so neither can be given")
    return for_preset(start), start


def _note(job: DesignPatch, start: Preset | None) -> Note:
    """The note that is asked for, else the start's, else middle C."""
    if job.note is not None:
        return Note(job.note)
    return Note(start.note) if start else Note()


def _around(renderer: Renderer, start: Preset, more: int, generator: torch.Generator) -> Tensor:
    """The start and patches around it, u0 [1 + more, P]: siblings first, then the family."""
    u = from_values(renderer, start.values)
    rows = [u[None]]
    for count, amount in ((more // 2, SIBLING), (more - more // 2, FAMILY)):
        if count > 0:
            rows.append(around(renderer, u, count, amount=amount, generator=generator))
    return torch.cat(rows).float()


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
        note=_note(job, start).number,
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


def _row(step: Step, figures: dict[str, float]) -> tuple[Any, ...]:
    """A line of curves.json, in the order of its columns."""
    return step.index, step.stage, step.t, figures.get("loss"), step.score


class _Previews:
    """Paths for previews of a running job: one at once, then one every few seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._last, self._paths = folder, -PREVIEW_GAP, list[Path]()

    def next(self, step: int) -> Path | None:
        """Where to write a preview now (add .json and .wav), None when it is too early."""
        now = time.monotonic()
        if now - self._last < PREVIEW_GAP:
            return None
        self._last = now
        self._paths.append(self._folder / f"best-{step:04d}")
        for old in self._paths[:-PREVIEWS_KEPT]:
            for suffix in (".json", ".wav"):
                old.with_suffix(suffix).unlink(missing_ok=True)
        return self._paths[-1]
