"""Prompt to patch: search, fit and distill the knobs of a renderer towards a prompt.

A job has one search or several, each from a seed of its own (`bridge.worker.search`). They know
nothing of one another, so shares of them may be done on several machines; a killed job goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, cast

import torch
from torch.nn.utils.rnn import pad_sequence

import presets
import renderers
import sds
from bridge.files import atomic_output, names
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.jobs import Part
from bridge.protocol.patch_jobs import DesignPatch
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.saved_patches import SearchFiles, begin_search
from bridge.worker.search import Search, Stretch, load_search, run_search
from bridge.worker.search_store import FinishedSearch, Row, SearchStore
from bridge.worker.window_store import code, digest
from presets import Preset
from renderers import effects
from sds.distillation.candidates import APART, difference, sketch

CURVES = "curves.json"
COLUMNS = ("step", "stage", "t", "loss", "score")
PLACES = {"id", "out", "replace", "new", "within", "slot", "start", "like"}
"""Fields that say where files are, and who is told."""
CODE = tuple(
    Path(place).parent for place in (sds.__file__, renderers.__file__, presets.__file__, __file__)
)


def design_patch(job: DesignPatch, models: Models) -> worker_loop.Events:
    """Search patches near the prompt or the start, refine the best, keep those that score highest.

    The search scorer (`sds.similarity.two_tower.SEARCH_SCORER`, or a CLAP) chooses; the evaluation
    scorer, which the search never asks, scores the first patch and the last. curves.json has one
    entry a step in each of step, stage, t, loss and score, which never falls; null where there is
    none.
    Raises `ValueError` for a duration above the prior's, in seconds.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    search = load_search(job, models)
    files: SearchFiles | None = None
    with _output(search, models) as out:
        out.expect(*names.patch_files(job.file_name, job.count), CURVES)
        yield clock.progress(0.0, "search")

        def begin(first: Preset) -> SearchFiles:
            nonlocal files
            files = files or _begin(search, first, out)
            return files

        found = yield from _searches(search, range(job.searches), models, out, clock, begin)
        best = _best(found, job.count, search.prior.sample_rate)
        files = begin(found[0].first)
        patches = [(search.named(patch), score) for _, (patch, score) in best]
        result = files.finish(patches, search.recipe.distillation.steps)
        path = out.partial / CURVES
        curves = _curves([one.rows for one in found])
        atomic_output.write_json(path, {"kind": job.kind, "prompt": job.prompt} | curves)
        first = best[0][0]
        result |= {"renderer": patches[0][0].renderer, "why": first.why, "pitched": first.pitched}
        result |= {"curves": out.final(path)}
    yield clock.done(result)


def design_part(part: Part, models: Models) -> worker_loop.Events:
    """Do a share of the searches of a job, and leave them in its folder.

    Raises `ValueError` as `design_patch` does.
    """
    clock = worker_loop.Clock(part.id)
    yield clock.progress(0.0, "loading the model")
    search = load_search(cast(DesignPatch, part.job), models)
    with suppress(atomic_output.Interrupted), _output(search, models) as out:
        yield from _searches(search, part.share(search.job.searches), models, out, clock)
        raise atomic_output.Interrupted  # what is done stays
    yield clock.done({})


def _output(search: Search, models: Models) -> AbstractContextManager[atomic_output.Output]:
    """The folder of the job, with the searches that were done before."""
    job = search.job
    stale = [atomic_output.RESULT, *job.stale]
    return atomic_output.resumable(Path(job.out), _key(search, models), job.terms, stale=stale)


def _key(search: Search, models: Models) -> str:
    """A digest of all that the searches depend on: under it a later run finds them.

    What only judges the files at the end, the evaluation scorer, is none of it.
    """
    job, prior = search.job, search.prior
    fields = job.model_dump(mode="json", exclude=PLACES)
    read = [None if file is None else names.sha256(Path(file)) for file in (job.start, job.like)]
    scorer = models.chosen_scorer(job.scorer)
    hashes = [prior.name, model_hash(prior), model_hash(scorer), VERSION]
    return digest([fields, read, hashes, *(code(folder) for folder in CODE)])


def _searches(
    search: Search,
    numbers: range,
    models: Models,
    out: atomic_output.Output,
    clock: worker_loop.Clock,
    begin: Callable[[Preset], SearchFiles] | None = None,
) -> Generator[Event, None, list[FinishedSearch]]:
    """Do the searches with these numbers, number k from the kth seed; those that are done stay.

    `begin` is as of `run_search`.
    """
    store, done = SearchStore(out.scratch), list[FinishedSearch]()
    for place, number in enumerate(numbers):
        stretch = Stretch(clock, place / len(numbers), (place + 1) / len(numbers))
        one = search.from_seed(search.seed + number)
        found = store.finished(one.seed)
        if found is None:
            found = yield from run_search(one, models, store, stretch, begin)
            store.finish(found)
        else:
            stretch.resume(1.0)
        if begin is not None:
            begin(found.first).previews.follow(found.rows[-1])
        done.append(found)
    return done


def _begin(search: Search, first: Preset, out: atomic_output.Output) -> SearchFiles:
    """The files of the job, with the patch that is to be beaten."""
    return begin_search(
        out,
        search.job.file_name,
        first,
        prompt=search.job.prompt,
        rate=search.prior.sample_rate,
        match=search.sought.evaluation,
    )


def _best(
    found: Sequence[FinishedSearch], count: int, rate: int
) -> list[tuple[FinishedSearch, tuple[Preset, float]]]:
    """The best patches of all searches by their scores, and which each is of; in tune where one is.

    Of two that sound alike the better stays: every search begins near the same patches of the bank.
    Those of one search differ already.
    """
    fitting = [one for one in found if one.in_tune] or found
    ranked = sorted(
        ((one, patch) for one in fitting for patch in one.patches), key=lambda pair: -pair[1][1]
    )
    best: list[tuple[FinishedSearch, tuple[Preset, float]]] = []
    for one, patch in ranked:
        others = [better for other, (better, _) in best if other is not one]
        if not any(_alike(patch[0], better, rate) for better in others):
            best.append((one, patch))
        if len(best) == count:
            break
    return best


def _alike(a: Preset, b: Preset, rate: int) -> bool:
    """Whether two patches are one to the ear, as `sds.distillation.candidates` has it."""
    heard = [torch.from_numpy(effects.render(one, rate=rate)).mean(0) for one in (a, b)]
    sounds = pad_sequence(heard, batch_first=True)[:, None]
    sketches = sketch(sounds)
    return float(difference(sketches[:1], sketches[1:])) <= APART


def _curves(searches: Sequence[Sequence[Row]]) -> dict[str, list[Any]]:
    """The curves of all searches, one after another; the score is the best so far."""
    curves: dict[str, list[Any]] = {key: [] for key in COLUMNS}
    before, best = 0, None
    for rows in searches:
        for step, stage, t, loss, score in rows:
            best = score if best is None or (score is not None and score > best) else best
            for key, value in zip(COLUMNS, (before + step, stage, t, loss, best), strict=True):
                curves[key].append(value)
        before = curves["step"][-1] if curves["step"] else 0
    return curves
