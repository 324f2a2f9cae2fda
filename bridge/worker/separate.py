"""Story two: track to stems, of any length; killed, it goes on at the last finished window."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import sds
from bridge.files import atomic_output
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.jobs import Separate
from bridge.stems import excerpt, manifest
from bridge.stems.bwf_metadata import Origin, tags
from bridge.worker import mixture, stem_writer, suggest
from bridge.worker.mixture import Mixture
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.window_store import Finished, Row
from sds.priors.base import Prior
from sds.separation.networks import Networks
from sds.separation.separate import (
    METHODS,
    Separation,
    draw_seed,
    network_hashes,
    part_window,
    plan,
    with_steps,
)
from sds.signal.audio_files import Recording
from sds.signal.overlap_add import fades, overlap_add
from sds.similarity import base

LOW_STEPS = 20  # at most, of an excerpt
JUDGED_SECONDS = 30.0  # the busiest stretch stands for all of a long file
READ, HEARD = 0.01, 0.03  # fractions of the job: reading, listening ...
PARTED, WRITTEN = 0.94, 0.98  # ... windows, files; scores


def separate_track(job: Separate, models: Models) -> worker_loop.Events:
    """Read the mixture, part it, write stems and residual at its rate, check that they add up.

    Memory is bounded by a window: the file is read in pieces, and windows wait on disk until all
    are done. curves.json has one entry a step in each of fraction, stage and figures.
    """
    clock = worker_loop.Clock(job.id)
    source = yield from mixture.measure(Path(job.file), clock, READ)
    heard = yield from suggest.presence_check(job, models, clock, READ, HEARD)
    job = job.model_copy(update={"prompts": heard.prompts})
    begin, end = source.busiest(job.excerpt) if job.excerpt else (0, source.frames)
    yield clock.progress(HEARD, "loading the model")
    prior, evaluation_scorer = (
        models.prior(job.model, [*job.prompts, *job.negatives]),
        models.evaluation_scorer(),
    )
    steps = METHODS[job.method].recipe.steps if job.steps is None else job.steps
    if job.excerpt and job.steps is None:
        steps = min(steps, LOW_STEPS)
    networks = models.networks()
    origin = _origin(job, source, prior, networks, steps, begin, end)
    _check_space(job, source, end - begin)

    key, stale = _key(origin, begin, end), [atomic_output.RESULT]
    with atomic_output.resumable(Path(job.folder), key, job.terms, stale=stale) as out:
        out.expect(manifest.MANIFEST, "curves.json", *stem_writer.names(origin))
        copied = source.header is None or job.excerpt is not None
        path = _copy(origin, source, begin, end, out) if copied else source.file
        with mixture.opened(path) as recording:
            finished = yield from _separate_windows(origin, prior, networks, recording, out, clock)
            levels = stem_writer.Levels()
            blocks = overlap_add(finished.windows, finished.pieces())
            for share in stem_writer.write(origin, recording, blocks, out, levels):
                done = PARTED + (WRITTEN - PARTED) * share
                yield clock.progress(done, "writing the stems")
        yield clock.progress(WRITTEN, "scoring the stems")
        at = source.busiest(JUDGED_SECONDS)[0] if job.excerpt is None else 0
        found = manifest.Manifest(
            job=origin.job,
            source=origin.source,
            source_sha256=origin.source_sha256,
            source_wav=(
                str(path.relative_to(out.partial)) if copied else os.path.relpath(path, out.folder)
            ),
            rate=source.rate,
            frames=end - begin,
            channels=source.channels,
            start_samples=origin.start_samples,
            tempo=job.tempo,
            stems=suggest.present_stems(
                _stems(origin, evaluation_scorer, path, out, levels, at), heard.heard
            ),
            absent=suggest.absent_prompts(heard.absent),
            residual=stem_writer.names(origin)[-1],
            residual_rms_db=levels.rms_db[-1],
            null_db=levels.null_db,
            negatives=job.negatives,
            method=job.method,
            steps=steps,
            seed=job.seed,
            model=prior.name,
            model_hash=model_hash(prior),
            helpers=_helpers(origin.method, [*origin.prompts, *origin.negatives], networks),
            code=VERSION,
        )
        if not job.excerpt:
            first = excerpt.excerpt_job(out.folder, found)
            found = found.model_copy(update={"auditioned": first})
        manifest.save(found, out.partial / manifest.MANIFEST)
        curves = {"kind": job.kind} | finished.curves()
        atomic_output.write_json(out.partial / "curves.json", curves)
        result: dict[str, Any] = {
            "stems": [
                {"prompt": stem.prompt, "wav": out.final(out.partial / stem.wav)}
                for stem in found.stems
            ],
            "residual": out.final(out.partial / found.residual),
            "manifest": out.final(out.partial / manifest.MANIFEST),
            "null_db": found.null_db,
            "curves": out.final(out.partial / "curves.json"),
        }
        if heard.absent:
            missing = [{"prompt": one.prompt, "presence": one.score} for one in heard.absent]
            result |= {"absent": missing, "note": heard.note}
        if job.excerpt:
            result["excerpt"] = {"begin": begin / source.rate, "end": end / source.rate}
    yield clock.done(result)


def _separate_windows(
    origin: Origin,
    prior: Prior,
    networks: Networks,
    recording: Recording,
    out: atomic_output.Output,
    clock: worker_loop.Clock,
) -> Generator[Event, None, Finished]:
    """All windows parted and on disk: those that an earlier run left are not done again."""
    seed = draw_seed(torch.Generator().manual_seed(origin.seed))
    asked = Separation(
        prior, origin.prompts, recording.rate, with_steps(METHODS[origin.method], origin.steps),
        seed, origin.negatives, networks,
    )  # fmt: skip
    cut = plan(asked, recording.frames)
    finished = Finished(out.scratch, cut.windows, len(origin.prompts), recording.channels)
    todo = [i for i in range(len(cut.windows)) if i not in finished]
    share = (PARTED - HEARD) / len(cut.windows)
    clock.resume(PARTED - share * len(todo))
    yield clock.progress(PARTED - share * len(todo), "separate")
    for i, fade in enumerate(fades(cut.windows)):
        if i not in todo:
            continue
        rows: list[Row] = []
        work = part_window(asked, cut, recording.read, i)
        for now in work:
            rows.append((round((i + now.fraction) / len(cut.windows), 6), now.stage, now.figures))
            if now.stems is not None:
                finished.put(i, now.stems * fade, rows)
            done = PARTED - share * (len(todo) - todo.index(i) - now.fraction)
            yield clock.progress(done, now.stage, now.figures)
    return finished


def _origin(
    job: Separate,
    source: Mixture,
    prior: Prior,
    networks: Networks,
    steps: int,
    begin: int,
    end: int,
) -> Origin:
    """What was asked; its `job` is a digest of it, which file names carry."""
    asked = [source.sha256, source.file.name, job.prompts, job.negatives, job.method, steps]
    asked += [job.seed, prior.name, model_hash(prior), VERSION, job.start_samples, job.tempo]
    asked += [_helpers(job.method, [*job.prompts, *job.negatives], networks)]
    digest = hashlib.sha256(json.dumps([*asked, begin, end]).encode()).hexdigest()[:16]
    start = source.start if job.start_samples is None else job.start_samples
    return Origin(
        job=digest, source=source.file.name, source_sha256=source.sha256, prompts=job.prompts,
        negatives=job.negatives, method=job.method, steps=steps, seed=job.seed, model=prior.name,
        model_hash=model_hash(prior), code=VERSION, rate=source.rate, channels=source.channels,
        start_samples=start + begin,
    )  # fmt: skip


def _helpers(method: str, everyone: Sequence[str], networks: Networks) -> dict[str, str]:
    return network_hashes(METHODS[method], len(everyone), networks)


def _key(origin: Origin, begin: int, end: int) -> str:
    """A digest of all that the windows depend on: under it a later run finds them."""
    o = origin
    asked = [o.source_sha256, o.prompts, o.negatives, o.method, o.steps, o.seed, o.model]
    told = json.dumps([*asked, o.model_hash, begin, end, _code()])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _code() -> list[tuple[str, int, int]]:
    """What `sds` is made of, models and all: other code may part windows in another way."""
    folder = Path(sds.__file__).parent
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.suffix != ".pyc")
    return [(str(f.relative_to(folder)), (s := f.stat()).st_size, s.st_mtime_ns) for f in files]


def _check_space(job: Separate, source: Mixture, frames: int) -> None:
    """Refuse now what would fill the disk in an hour: windows, stems, residual and a copy."""
    folder = next(f for f in (Path(job.folder), *Path(job.folder).parents) if f.exists())
    needed = 4 * source.channels * frames * (5 * len(job.prompts) // 2 + 2)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{len(job.prompts)} stems of {frames / source.rate:.0f} seconds need "
            f"{needed / 1e9:.1f} GB while they are made, and {folder} has {free / 1e9:.1f} GB free"
        )


def _copy(origin: Origin, source: Mixture, begin: int, end: int, out: atomic_output.Output) -> Path:
    """The mixture as a float WAV under `source/`, out of the way of a folder import."""
    path = out.partial / "source" / manifest.stem_name(origin.source, 0, "source", origin.job)
    path.parent.mkdir()
    mixture.copy(source, begin, end, path, *tags(origin, 0, f"source: {origin.source}"))
    return path


def _stems(
    origin: Origin,
    evaluation_scorer: base.TextAudioSimilarity | None,
    path: Path,
    out: atomic_output.Output,
    levels: stem_writer.Levels,
    at: int,
) -> tuple[manifest.Stem, ...]:
    """The stems as the manifest tells them; the evaluation scorer hears them, and the mixture,
    from `at` on.
    """

    def score(file: Path, prompt: str) -> float | None:
        if evaluation_scorer is None:
            return None
        sound = stem_writer.read_samples(file, at, JUDGED_SECONDS)
        return float(evaluation_scorer.similarity(sound, origin.rate, [prompt])[0, 0])

    return tuple(
        manifest.Stem(
            prompt=prompt,
            wav=name,
            rms_db=level,
            score_before=score(path, prompt),
            score_after=score(out.partial / name, prompt),
        )
        for prompt, name, level in zip(
            origin.prompts, stem_writer.names(origin), levels.rms_db, strict=False
        )
    )
