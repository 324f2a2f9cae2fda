"""Separate a track of any length into stems; a killed job goes on at its last finished window."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from bridge.files import atomic_output
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.jobs import Part, Separate
from bridge.stems import excerpt, manifest
from bridge.stems.bwf_metadata import Origin, tags
from bridge.worker import mixture, stem_writer, suggest, take_apart
from bridge.worker.mixture import Mixture
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.window_store import FinishedWindows, Row, check_space, code, digest
from sds.multitrack.base import MultiTrackModel
from sds.priors.base import Prior
from sds.priors.families import require_posterior_mean
from sds.separation.base import WindowProgress
from sds.separation.networks import NO_NETWORKS, Networks
from sds.separation.separate import (
    METHODS,
    Plan,
    Separation,
    draw_seed,
    network_hashes,
    part_window,
    plan,
    with_steps,
)
from sds.separation.unasked import Unasked
from sds.signal.audio_files import Recording
from sds.signal.overlap_add import fades, overlap_add
from sds.similarity import base

LOW_STEPS = 20  # at most, of an excerpt
SCORED_SECONDS = 30.0  # the busiest stretch stands for all of a long file
READ, TAGGED = 0.01, 0.03  # fractions of the job: reading, tagging ...
SEPARATED, WRITTEN = 0.94, 0.98  # ... windows, files; scores
CURVES = "curves.json"


@dataclass(frozen=True)
class _Task:
    """A separation with all that it needs.

    `job` has the prompts that get a stem, `presence` what the tagger says of them; frames `begin`
    to `end` of `source` are separated, in `steps` steps of the job's method. `prior` is the model
    of stems where classes are taken apart, and `Unasked` where the method asks none.
    """

    job: Separate
    source: Mixture
    begin: int
    end: int
    presence: suggest.StemPrompts
    prior: Prior | MultiTrackModel
    networks: Networks
    evaluation_scorer: base.TextAudioSimilarity | None
    steps: int

    @property
    def copied(self) -> bool:
        """Whether the set has a copy of its source: of an excerpt, and of what is no plain WAV."""
        return self.source.header is None or self.job.excerpt is not None

    @property
    def helpers(self) -> dict[str, str]:
        """The hashes of the networks asked beside the model, by name."""
        everyone = [*self.job.prompts, *self.job.negatives]
        if self.job.stems:
            return {}
        return network_hashes(METHODS[self.job.method], len(everyone), self.networks)

    @cached_property
    def origin(self) -> Origin:
        """What is asked; its `job` is a digest of it, which file names carry."""
        job, source, name = self.job, self.source, self.source.file.name
        values = [source.sha256, name, job.prompts, job.negatives, job.method, self.steps]
        values += [job.seed, self.prior.name, model_hash(self.prior), VERSION]
        values += [job.start_samples, job.tempo, self.helpers, self.begin, self.end]
        values += [job.stems] if job.stems else []
        start = source.start if job.start_samples is None else job.start_samples
        return Origin(
            task="stems" if job.stems else "",
            job=digest(values), source=name, source_sha256=source.sha256, prompts=job.prompts,
            negatives=job.negatives, method=job.method, steps=self.steps, seed=job.seed,
            model=self.prior.name, model_hash=model_hash(self.prior), code=VERSION,
            rate=source.rate, channels=source.channels, start_samples=start + self.begin,
        )  # fmt: skip

    @property
    def key(self) -> str:
        """A digest of all that the windows depend on: under it a later run finds them."""
        o = self.origin
        values = [o.source_sha256, o.prompts, o.negatives, o.method, o.steps, o.seed, o.model]
        return digest([*values, o.task, o.model_hash, self.begin, self.end, code()])


def separate_track(job: Separate, models: Models) -> worker_loop.Events:
    """Separate a file into stems and a residual at its rate, and measure that they add up to it.

    Memory is bounded by a window: the file is read in pieces, and windows wait on disk until all
    are done. curves.json has one entry a step in each of fraction, stage and figures. Raises
    `ValueError` with one sentence for a file that cannot be separated and for a full disk.
    """
    clock = worker_loop.Clock(job.id)
    task = yield from _prepare(job, models, clock)
    with _output(task) as out:
        out.expect(manifest.MANIFEST, CURVES, *stem_writer.names(task.origin))
        path = _copy(task, out) if task.copied else task.source.file
        finished, levels = yield from _write_stems(task, path, out, clock)
        yield clock.progress(WRITTEN, "scoring the stems")
        stem_set = _manifest(task, path, out, levels)
        manifest.save(stem_set, out.partial / manifest.MANIFEST)
        atomic_output.write_json(out.partial / CURVES, {"kind": job.kind} | finished.curves())
        result = _result(task, stem_set, out)
    yield clock.done(result)


def separate_part(part: Part, models: Models) -> worker_loop.Events:
    """Separate a share of the windows of a file into the folder of the job, and no more.

    Raises `ValueError` as `separate_track` does.
    """
    clock = worker_loop.Clock(part.id)
    task = yield from _prepare(cast(Separate, part.job), models, clock)
    with suppress(atomic_output.Interrupted), _output(task) as out:
        path = _copy(task, out) if task.copied else task.source.file
        with mixture.open_recording(path) as recording:
            yield from _separate_windows(task, recording, out, clock, part)
        raise atomic_output.Interrupted  # what is done stays
    yield clock.done({})


def _prepare(
    job: Separate, models: Models, clock: worker_loop.Clock
) -> Generator[Event, None, _Task]:
    """Read the file, hear which prompts are in it, load the models."""
    source = yield from mixture.measure(Path(job.file), clock, READ)
    presence = suggest.StemPrompts(prompts=job.stems)
    if not job.stems:
        presence = yield from suggest.presence_check(job, models, clock, READ, TAGGED)
    yield clock.progress(TAGGED, "loading the model")
    task = _task(job, source, presence, models)
    _check_space(task)
    return task


def _output(task: _Task) -> AbstractContextManager[atomic_output.Output]:
    """The folder of the stems, with the windows that were finished before."""
    folder, terms = Path(task.job.folder), task.job.terms
    return atomic_output.resumable(folder, task.key, terms, stale=[atomic_output.RESULT])


def _task(job: Separate, source: Mixture, presence: suggest.StemPrompts, models: Models) -> _Task:
    """Load what the job names, and choose its stretch of the file and its steps."""
    job = job.model_copy(update={"prompts": presence.prompts})
    begin, end = 0, source.frames
    if job.excerpt:
        begin, end = source.stretch(job.excerpt, job.excerpt_begin)
    prior: Prior | MultiTrackModel
    if job.stems:
        prior, networks, steps = models.multi_track(job.stem_model), NO_NETWORKS, job.steps or 0
    else:
        networks = models.networks()
        steps = METHODS[job.method].recipe.steps if job.steps is None else job.steps
    if job.excerpt and job.steps is None:
        steps = min(steps, LOW_STEPS)
    if not job.stems:
        prior = Unasked()
        if suggest.asks_model(job, networks):
            prior = models.prior(job.model, [*job.prompts, *job.negatives])
            instead = "use --method fast, which asks no model, or the base model"
            require_posterior_mean(prior, f"separate --method {job.method}", instead)
    return _Task(
        job=job,
        source=source,
        begin=begin,
        end=end,
        presence=presence,
        prior=prior,
        networks=networks,
        evaluation_scorer=models.evaluation_scorer(),
        steps=steps,
    )


def _write_stems(
    task: _Task, path: Path, out: atomic_output.Output, clock: worker_loop.Clock
) -> Generator[Event, None, tuple[FinishedWindows, stem_writer.Levels]]:
    """Separate all windows of the WAV at `path`, and add them up into the files of the set."""
    levels = stem_writer.Levels()
    with mixture.open_recording(path) as recording:
        finished = yield from _separate_windows(task, recording, out, clock)
        blocks = overlap_add(finished.windows, finished.pieces())
        for share in stem_writer.write(task.origin, recording, blocks, out, levels):
            done = SEPARATED + (WRITTEN - SEPARATED) * share
            yield clock.progress(done, "writing the stems")
    return finished, levels


def _separate_windows(
    task: _Task,
    recording: Recording,
    out: atomic_output.Output,
    clock: worker_loop.Clock,
    part: Part | None = None,
) -> Generator[Event, None, FinishedWindows]:
    """Separate every window, or those of a part, to disk; those that are there stay."""
    origin = task.origin
    cut, separate_window = _plan(task, recording)
    finished = FinishedWindows(out.scratch, cut.windows, len(origin.prompts), recording.channels)
    windows = range(len(cut.windows)) if part is None else part.share(len(cut.windows))
    todo = [i for i in windows if i not in finished]
    share = (SEPARATED - TAGGED) / max(1, len(windows))
    clock.resume(SEPARATED - share * len(todo))
    yield clock.progress(SEPARATED - share * len(todo), "separate")
    for i, fade in enumerate(fades(cut.windows)):
        if i not in todo:
            continue
        rows: list[Row] = []
        for step in separate_window(i):
            fraction = round((i + step.fraction) / len(cut.windows), 6)
            rows.append((fraction, step.stage, step.figures))
            if step.stems is not None:
                finished.put(i, step.stems * fade, rows)
            done = SEPARATED - share * (len(todo) - todo.index(i) - step.fraction)
            yield clock.progress(done, step.stage, step.figures)
    return finished


def _plan(
    task: _Task, recording: Recording
) -> tuple[Plan, Callable[[int], Iterator[WindowProgress]]]:
    """The windows of a recording, and what separates one of them."""
    origin, prior = task.origin, task.prior
    seed = draw_seed(torch.Generator().manual_seed(origin.seed))
    if task.job.stems:
        model = cast(MultiTrackModel, prior)
        apart = take_apart.TakingApart(
            model, task.job.stems, recording.rate, origin.method, task.job.steps, seed
        )
        cut = apart.plan(recording.frames)
        return cut, lambda index: apart.part_window(cut, recording.read, index)
    separation = Separation(
        cast(Prior, prior), origin.prompts, recording.rate,
        with_steps(METHODS[origin.method], origin.steps), seed, origin.negatives, task.networks,
    )  # fmt: skip
    cut = plan(separation, recording.frames)
    return cut, lambda index: part_window(separation, cut, recording.read, index)


def _manifest(
    task: _Task, path: Path, out: atomic_output.Output, levels: stem_writer.Levels
) -> manifest.Manifest:
    """What was made, of what and by what; `path` is the WAV that the set adds up to."""
    job, source, origin = task.job, task.source, task.origin
    wav = str(path.relative_to(out.partial)) if task.copied else os.path.relpath(path, out.folder)
    made = manifest.Manifest(
        job=origin.job,
        task="stems" if job.stems else "prompts",
        source=origin.source,
        source_sha256=origin.source_sha256,
        source_wav=wav,
        rate=source.rate,
        frames=task.end - task.begin,
        channels=source.channels,
        start_samples=origin.start_samples,
        tempo=job.tempo,
        stems=suggest.present_stems(_stems(task, path, out, levels), task.presence.measured),
        absent=suggest.absent_prompts(task.presence.absent),
        residual=stem_writer.names(origin)[-1],
        residual_rms_db=levels.rms_db[-1],
        null_db=levels.null_db,
        negatives=job.negatives,
        method=job.method,
        steps=task.steps,
        seed=job.seed,
        model=origin.model,
        model_hash=origin.model_hash,
        helpers=task.helpers,
        code=VERSION,
    )
    if job.excerpt:
        return made
    return made.model_copy(update={"auditioned": excerpt.excerpt_job(out.folder, made)})


def _result(task: _Task, stem_set: manifest.Manifest, out: atomic_output.Output) -> dict[str, Any]:
    """The result of the job: the places of all files, and what was left out."""
    job, absent = task.job, task.presence.absent
    result: dict[str, Any] = {
        "stems": [
            {"prompt": stem.prompt, "wav": out.final(out.partial / stem.wav)}
            for stem in stem_set.stems
        ],
        "residual": out.final(out.partial / stem_writer.names(task.origin)[-1]),
        "manifest": out.final(out.partial / manifest.MANIFEST),
        "null_db": stem_set.null_db,
        "model": stem_set.model,
        "curves": out.final(out.partial / CURVES),
    }
    if absent:
        missing = [{"prompt": sound.prompt, "presence": sound.score} for sound in absent]
        result |= {"absent": missing}
    if task.presence.note:
        result |= {"note": task.presence.note}
    if job.excerpt:
        rate = task.source.rate
        result["excerpt"] = {"begin": task.begin / rate, "end": task.end / rate}
    return result


def _check_space(task: _Task) -> None:
    """Refuse early what would fill the disk: windows, stems, residual and a copy."""
    count, frames = len(task.job.prompts), task.end - task.begin
    needed = 4 * task.source.channels * frames * (5 * count // 2 + 2)
    what = f"{count} stems of {frames / task.source.rate:.0f} seconds"
    check_space(Path(task.job.folder), needed, what)


def _copy(task: _Task, out: atomic_output.Output) -> Path:
    """Copy the mixture to a float WAV under `source/`, out of the way of a folder import."""
    origin = task.origin
    path = out.partial / "source" / manifest.stem_name(origin.source, 0, "source", origin.job)
    path.parent.mkdir()
    chunks = tags(origin, 0, f"source: {origin.source}")
    mixture.copy(task.source, task.begin, task.end, path, *chunks)
    return path


def _stems(
    task: _Task, path: Path, out: atomic_output.Output, levels: stem_writer.Levels
) -> tuple[manifest.Stem, ...]:
    """The stems with their levels; the evaluation scorer scores the busiest stretch of each, and
    of the mixture at `path`.
    """
    begin = task.source.busiest(SCORED_SECONDS)[0] if task.job.excerpt is None else 0

    def score(file: Path, prompt: str) -> float | None:
        if task.evaluation_scorer is None:
            return None
        sound = stem_writer.read_samples(file, begin, SCORED_SECONDS)
        return float(task.evaluation_scorer.similarity(sound, task.source.rate, [prompt])[0, 0])

    return tuple(
        manifest.Stem(
            prompt=prompt,
            wav=name,
            rms_db=level,
            score_before=score(path, prompt),
            score_after=score(out.partial / name, prompt),
        )
        for prompt, name, level in zip(
            task.origin.prompts, stem_writer.names(task.origin), levels.rms_db, strict=False
        )
    )
