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
from bridge.worker.made_set import ClipSet
from bridge.worker.mixture import interleave
from bridge.worker.models import VERSION, Models, model_hash
from bridge.worker.stem_writer import turned_down
from bridge.worker.window_store import digest
from sds.metrics import copy_detection
from sds.priors.base import Prior
from sds.priors.sampling import GUIDANCE, STEPS, generate_stepwise

SEEDS = 2**31


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
    `PEAK_DB`. Raises `ValueError` for a duration above the prior's, in seconds.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "loading the model")
    prior, clips = models.prior(job.model, job.prompts), _clips(job)
    if job.seconds > prior.max_seconds:
        limit = f"at most {prior.max_seconds:g} with the model {prior.name}"
        raise ValueError(f"duration must be {limit}, got {job.seconds:g}")
    index = models.copy_index()
    made: list[dict[str, Any]] = []
    side_by_side = ClipSet()
    with atomic_output.folder(Path(job.out), job.terms, stale=[atomic_output.RESULT]) as out:
        out.expect(*(clip.file for clip in clips))
        yield clock.progress(0.0, "generate")
        for clip in clips:
            sound = yield from _sound(job, clip, prior, clock, len(made), len(clips))
            sound, gain_db = turned_down(sound)
            facts = _provenance(job, clip, prior) | {"gain_db": round(gain_db, 3), "nearest": None}
            if index is not None:
                (nearest,) = index.nearest(sound, prior.sample_rate)
                facts["nearest"] = asdict(nearest)
                if (text := copy_detection.warning(nearest)) is not None:
                    facts["warning"] = text
            _write(out.partial / clip.file, sound, prior.sample_rate, facts)
            made.append({"wav": out.final(out.partial / clip.file)} | facts)
            side_by_side.add(clip.prompt, clip.file, sound)
        placed = _set_of_clips(job, prior, side_by_side, out) if job.host else {}
    yield clock.done({"clips": made} | placed | _note(made))


def _set_of_clips(
    job: GenerateClips, prior: Prior, clips: ClipSet, out: atomic_output.Output
) -> dict[str, Any]:
    """Write a manifest of all clips, a track each, for a host; its fields of the result."""
    values = [job.prompts, job.seconds, job.each, job.steps, job.guidance, job.seed, prior.name]
    origin = Origin(
        job=digest([*values, model_hash(prior)]), source=f"{names.slug(job.prompts[0])}.wav",
        source_sha256="", prompts=job.prompts, negatives=(), method="clips",
        steps=job.steps or STEPS, seed=job.seed, model=prior.name, model_hash=model_hash(prior),
        code=VERSION, rate=prior.sample_rate, channels=clips.channels, start_samples=0,
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
    job: GenerateClips,
    clip: _Clip,
    prior: Prior,
    clock: worker_loop.Clock,
    done: int,
    of: int,
) -> Generator[Event, None, Tensor]:
    """The audio [C, T] of one clip, progress after each evaluation; `done` of `of` are made."""
    steps = job.steps or STEPS
    sampling = generate_stepwise(
        prior,
        [clip.prompt],
        job.seconds,
        steps=steps,
        scale=_guidance(job),
        generator=torch.Generator().manual_seed(clip.seed),
    )
    try:
        while True:
            step = next(sampling)
            yield clock.progress((done + step / (steps + 1)) / of, f"clip {done + 1} of {of}")
    except StopIteration as end:
        return end.value[0]  # type: ignore[no-any-return]
    finally:
        sampling.close()


def _guidance(job: GenerateClips) -> float:
    return GUIDANCE if job.guidance is None else job.guidance


def _provenance(job: GenerateClips, clip: _Clip, prior: Prior) -> dict[str, Any]:
    return {
        "prompt": clip.prompt,
        "seed": clip.seed,
        "model": prior.name,
        "model_hash": model_hash(prior),
        "steps": job.steps or STEPS,
        "guidance": _guidance(job),
        "duration": job.seconds,
        "code": VERSION,
    }


def _write(path: Path, sound: Tensor, rate: int, facts: dict[str, Any]) -> None:
    """Write audio [C, T] as a 32-bit float WAV whose bext and iXML say all of `facts`.

    Nothing else is in it, so that the same clip is the same bytes, whichever job made it.
    """
    prompt, (channels, frames) = facts["prompt"], sound.shape
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
    )
    nearest = {f"nearest_{key}": value for key, value in (facts["nearest"] or {}).items()}
    own = {key: value for key, value in facts.items() if key != "nearest"} | nearest
    ixml = bwf_metadata.ixml(
        prompt,
        rate=rate,
        channels=bwf_metadata.channel_names(prompt, channels),
        start_samples=0,
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
