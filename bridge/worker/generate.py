"""Generate sounds by prompts: one WAV a clip, with all that makes it again and what it is near."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.files import atomic_output, names, wav
from bridge.protocol import worker_loop
from bridge.protocol.events import Event
from bridge.protocol.multitrack_jobs import GenerateClips
from bridge.stems import bwf_metadata
from bridge.stems.bwf_metadata import Origin
from bridge.worker import multitrack
from bridge.worker.changed_part import Original, changed, original
from bridge.worker.made_set import ClipSet
from bridge.worker.mixture import interleave
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.stem_writer import turned_down
from bridge.worker.window_store import digest
from sds.metrics import copy_detection
from sds.priors.base import Prior
from sds.priors.families import SHIPPED
from sds.priors.inpainting import inpainting_of
from sds.priors.sampling import Sampling, generate_stepwise, sampling_of

SEEDS = 2**31
SHIPPED_SAMPLING = (SHIPPED.sampler, SHIPPED.schedule)


@dataclass(frozen=True, slots=True)
class _Task:
    """What all clips of a job share; `source` is the recording that they change, if one is."""

    job: GenerateClips
    prior: Prior
    how: Sampling
    source: Original | None = None

    @property
    def rate(self) -> int:
        """Samples a second of the clips."""
        return self.prior.sample_rate if self.source is None else self.source.rate

    @property
    def start(self) -> int:
        """Where they begin in their session, in samples."""
        return 0 if self.source is None else self.source.start


@dataclass(frozen=True, slots=True)
class _Clip:
    """One clip to make: its file's name, and what its sound depends on."""

    file: str
    prompt: str
    seed: int


def generate(job: GenerateClips, models: Models) -> worker_loop.Events:
    """Clips of the prior, or with `stems` stem sets; `count` of each prompt."""
    if job.stems:
        return multitrack.generate_sets(job, models)
    return generate_clips(job, models)


def generate_clips(job: GenerateClips, models: Models) -> worker_loop.Events:
    """`count` clips of each prompt, made one by one: each is the same whatever is made beside it.

    Clip n of a prompt has the noise of seed `seed` + n - 1, so it can be asked for alone. A clip is
    written as loud as the model made it, but turned down as a whole where its peak is above
    `PEAK_DB`. With a source a clip is that recording with new sound in the parts that are not kept.
    Raises `ValueError` for a duration above the prior's, in seconds.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    prior, clips = models.prior(job.model, job.prompts), _clips(job)
    task = _task(job, prior)
    index = models.copy_index()
    made: list[dict[str, Any]] = []
    side_by_side = ClipSet()
    with atomic_output.folder(Path(job.out), job.terms, stale=[atomic_output.RESULT]) as out:
        out.expect(*(clip.file for clip in clips))
        yield clock.progress(0.0, "generate")
        for clip in clips:
            sound, gain_db = yield from _sound(task, clip, clock, len(made), len(clips))
            facts = _provenance(task, clip) | {"gain_db": round(gain_db, 3), "nearest": None}
            if index is not None:
                (nearest,) = index.nearest(sound, task.rate)
                facts["nearest"] = asdict(nearest)
                if (text := copy_detection.warning(nearest)) is not None:
                    facts["warning"] = text
            _write(out.partial / clip.file, sound, task, facts)
            made.append({"wav": out.final(out.partial / clip.file)} | facts)
            side_by_side.add(clip.prompt, clip.file, sound)
        placed = _set_of_clips(task, side_by_side, out) if job.host else {}
    yield clock.done({"clips": made} | placed | _note(made))


def _task(job: GenerateClips, prior: Prior) -> _Task:
    """How the clips of a job are sampled, and the recording that they change."""
    choose = sampling_of if job.source is None else inpainting_of
    how = choose(
        prior, steps=job.steps, guidance=job.guidance, sampler=job.sampler, schedule=job.schedule
    )
    if job.source is not None:
        return _Task(job, prior, how, original(job, prior))
    if job.seconds > prior.max_seconds:
        limit = f"at most {prior.max_seconds:g} with the model {prior.name}"
        raise ValueError(f"duration must be {limit}, got {job.seconds:g}")
    return _Task(job, prior, how)


def _set_of_clips(task: _Task, clips: ClipSet, out: atomic_output.Output) -> dict[str, Any]:
    """Write a manifest of all clips, a track each, for a host; its fields of the result."""
    job, prior, how, source = task.job, task.prior, task.how, task.source
    values: list[Any] = [job.prompts, job.seconds, job.each, job.steps, job.guidance, job.seed]
    values += [prior.name, model_hash(prior)]
    if (how.sampler, how.schedule) != SHIPPED_SAMPLING or source is not None:
        values += [how.sampler, how.schedule, job.keep, source and source.sha256]
    origin = Origin(
        job=digest(values), source=f"{names.slug(job.prompts[0])}.wav",
        source_sha256="", prompts=job.prompts, negatives=(), method="clips",
        steps=how.steps, seed=job.seed, model=prior.name, model_hash=model_hash(prior),
        code=VERSION, rate=task.rate, channels=clips.channels, start_samples=task.start,
        task="clips", words=", ".join(job.prompts),
    )  # fmt: skip
    tempo = ((0.0, job.tempo),) if job.tempo else ()
    return clips.write(origin, tempo, out)


def _clips(job: GenerateClips) -> list[_Clip]:
    """The clips of a job, prompt by prompt; files are called after prompt and number."""
    taken: dict[str, str] = {}  # name by prompt: two prompts may have one slug
    for prompt in job.prompts:
        slug = names.slug(prompt, otherwise="clip")
        alike = (slug if n == 1 else f"{slug}-{n}" for n in count(1))
        taken[prompt] = next(name for name in alike if name not in taken.values())
    digits = len(str(job.each))
    return [
        _Clip(f"{name}-{number + 1:0{digits}d}.wav", prompt, (job.seed + number) % SEEDS)
        for prompt, name in taken.items()
        for number in range(job.each)
    ]


def _sound(
    task: _Task, clip: _Clip, clock: worker_loop.Clock, done: int, of: int
) -> Generator[Event, None, tuple[Tensor, float]]:
    """The audio [C, T] of one clip, and the gain in dB of what would have clipped.

    Progress comes after each evaluation; `done` of `of` clips are made.
    """
    work = _new(task, clip) if task.source is None else _changed(task, clip, task.source)
    try:
        while True:
            share = next(work)
            yield clock.progress((done + share) / of, f"clip {done + 1} of {of}")
    except StopIteration as end:
        made: tuple[Tensor, float] = end.value
        return made
    finally:
        work.close()


def _new(task: _Task, clip: _Clip) -> Generator[float, None, tuple[Tensor, float]]:
    """A clip of words alone; yields how much is done, 0..1."""
    how = task.how
    sampling = generate_stepwise(
        task.prior, [clip.prompt], task.job.seconds,
        steps=how.steps, scale=how.guidance, sampler=how.sampler, schedule=how.schedule,
        generator=torch.Generator().manual_seed(clip.seed),
    )  # fmt: skip
    try:
        while True:
            yield next(sampling) / (how.steps + 1)
    except StopIteration as end:
        return turned_down(end.value[0])
    finally:
        sampling.close()


def _changed(
    task: _Task, clip: _Clip, source: Original
) -> Generator[float, None, tuple[Tensor, float]]:
    return changed(source, task.job.keep, task.prior, clip.prompt, task.how, clip.seed)


def _provenance(task: _Task, clip: _Clip) -> dict[str, Any]:
    prior, how, source = task.prior, task.how, task.source
    facts: dict[str, Any] = {
        "prompt": clip.prompt,
        "seed": clip.seed,
        "model": prior.name,
        "model_hash": model_hash(prior),
        "steps": how.steps,
        "guidance": how.guidance,
        "duration": task.job.seconds,
        "code": VERSION,
        "sampler": how.sampler,
        "schedule": how.schedule,
    }
    if source is None:
        return facts
    keep = ",".join(f"{begin:g}-{end:g}" for begin, end in task.job.keep)
    seconds = round(source.sound.shape[1] / source.rate, 6)
    own = {"source": source.name, "source_sha256": source.sha256, "keep": keep}
    return facts | own | {"duration": seconds}


def _write(path: Path, sound: Tensor, task: _Task, facts: dict[str, Any]) -> None:
    """Write audio [C, T] as a 32-bit float WAV whose bext and iXML say all of `facts`.

    Nothing else is in it, so that the same clip is the same bytes, whichever job made it. Sampler
    and schedule are left out where they are those of the shipped models, whose files they are not
    to change.
    """
    if (facts["sampler"], facts["schedule"]) == SHIPPED_SAMPLING:
        facts = {key: facts[key] for key in facts if key not in ("sampler", "schedule")}
    prompt, (channels, frames), rate = facts["prompt"], sound.shape, task.rate
    model = bwf_metadata.short_model(facts["model"], facts["model_hash"])
    about = (
        f"seed {facts['seed']}; steps {facts['steps']}; guidance {facts['guidance']:g}; "
        f"model {model}"
    )
    bext = bwf_metadata.bext(
        prompt,
        about,
        rate=rate,
        channels=channels,
        code=facts["code"],
        reference=f"{facts['seed']}/{facts['model']}",
        start_samples=task.start,
    )
    nearest = {f"nearest_{key}": value for key, value in (facts["nearest"] or {}).items()}
    own = {key: value for key, value in facts.items() if key != "nearest"} | nearest
    ixml = bwf_metadata.ixml(
        prompt,
        rate=rate,
        channels=bwf_metadata.channel_names(prompt, channels),
        start_samples=task.start,
        project="generate",
        scene=facts["model"],
        take=facts["seed"],
        own=own,
    )
    block = interleave(sound)
    wav.write(path, [block], rate=rate, channels=channels, frames=frames, bext=bext, ixml=ixml)


def _note(made: list[dict[str, Any]]) -> dict[str, str]:
    """A sentence on the clips that may be copies; nothing without any."""
    near = [Path(clip["wav"]).name for clip in made if "warning" in clip]
    if not near:
        return {}
    return {"note": f"{', '.join(near)} may be a copy of a training recording: see warning"}
