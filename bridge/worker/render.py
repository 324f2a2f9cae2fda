"""Render a preset to a sound file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bridge.files import atomic_output
from bridge.protocol import worker_loop
from bridge.protocol.patch_jobs import RenderPreset
from presets import load
from renderers import effects


def render_preset(job: RenderPreset) -> worker_loop.Events:
    """Preset file to WAV file, through the preset's effects.

    One of another length than the preset's holds its key for the same part of it.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "render")
    target = Path(job.out)
    if target.suffix.lower() != ".wav":
        raise ValueError(f"out must end in .wav, got {target.name!r}")
    patch = load(job.preset)
    if job.duration is not None:
        patch = patch.lasting(job.duration)
    play = partial(
        effects.render_file, patch, note=job.note, velocity=job.velocity, plugin=job.plugin
    )
    if job.fleeting:
        job.terms.check(target)
        play(target)
    else:
        with atomic_output.folder(target.parent, job.terms) as out:
            play(out.partial / target.name)
    yield clock.done({"wav": job.out})
