"""Write variations of a preset, and morphs between two, each with its sound.

What is new is made softer where its peak would be above -1 dBFS; the ends of a morph stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bridge.files import atomic_output, names
from bridge.protocol import worker_loop
from bridge.protocol.patch_jobs import Morph, Vary
from bridge.worker.delivery import softened
from presets import Preset, load, save
from renderers import effects
from renderers.morph import morph
from renderers.variations import vary

RATE = 44100
FILES = (("preset", "json"), ("wav", "wav"))


def vary_preset(job: Vary) -> worker_loop.Events:
    """`count` presets near one, numbered from 1."""
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "vary")
    preset = load(job.preset)
    found = vary(preset, job.count, amount=job.amount, seed=job.seed)
    near = (softened(one, rate=RATE) for one in found)
    yield from _write_presets(near, job.count, _slug(preset), job, clock)


def morph_presets(job: Morph) -> worker_loop.Events:
    """`steps` presets from one to another, evenly apart, both ends among them."""
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "morph")
    a, b = load(job.preset), load(job.other)
    last = job.steps - 1
    way = (morph(a, b, i / last) for i in range(job.steps))
    way = (one if i in (0, last) else softened(one, rate=RATE) for i, one in enumerate(way))
    name = f"{_slug(a)}-to-{_slug(b)}"
    yield from _write_presets(way, job.steps, name, job, clock)


def _write_presets(
    presets: Iterable[Preset], count: int, name: str, job: Vary | Morph, clock: worker_loop.Clock
) -> worker_loop.Events:
    made = []
    with atomic_output.folder(Path(job.out), job.terms, stale=[atomic_output.RESULT]) as out:
        for number, preset in enumerate(presets, start=1):
            path = out.partial / f"{name}-{number:0{len(str(count))}d}"
            out.expect(*(f"{path.name}.{suffix}" for _, suffix in FILES))
            sound = effects.render(preset, rate=RATE)
            effects.write(sound, path.with_suffix(".wav"), rate=RATE)
            save(preset, path.with_suffix(".json"))
            made.append({k: out.final(path.with_suffix(f".{s}")) for k, s in FILES})
            yield clock.progress(number / count, "render")
    yield clock.done({"presets": made})


def _slug(preset: Preset) -> str:
    return names.slug(preset.name, otherwise="preset")
