"""Export a preset to files of other synths, each played in its real engine where installed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.files import atomic_output, export_report
from bridge.files.names import slug
from bridge.protocol import worker_loop
from bridge.protocol.patch_jobs import Export
from presets import Note, Preset, load, save
from presets.export import EXPORTERS, Exported
from renderers import fidelity
from renderers.engines import ENGINES
from renderers.source import RenderedSource

COMPARED = 4.0  # seconds of the note, at most


def export_preset(job: Export) -> worker_loop.Events:
    """Write each format, and say what it lost and how near its engine's sound is to ours.

    A format that cannot carry the preset fails a job of one format; in a bundle it is said so.
    """
    clock = worker_loop.Clock(job.id)
    yield clock.progress(0.0, "render")
    preset = load(job.preset)
    source = RenderedSource(preset, job.rate)
    stem = Path(job.out).stem if job.named else slug(preset.name, otherwise="preset")
    entries: dict[str, dict[str, Any]] = {}
    with atomic_output.folder(job.folder, job.terms) as out:
        for index, name in enumerate(job.names):
            yield clock.progress(index / len(job.names), f"write {name}")
            place = out.partial
            if job.bundle:
                place /= EXPORTERS[name].folder or name
            try:
                exported = _export_format(name, preset, source, stem)
            except ValueError as error:
                if not job.bundle:
                    raise
                entries[name] = {"title": EXPORTERS[name].title, "refused": str(error)}
                continue
            if not job.bundle:
                _keep_preview(Path(job.preset), job.folder, exported)
            files = _write(exported, place, first=Path(job.out).name if job.named else None)
            yield clock.progress((index + 0.5) / len(job.names), f"listen to {name}")
            entries[name] = {
                "title": EXPORTERS[name].title,
                "file": out.final(files[0]),
                "files": [out.final(path) for path in files],
                "lost": list(exported.lost),
            } | _engine_distance(name, files[0], preset, source)
        if job.bundle:
            save(preset, out.partial / f"{stem}.json")
            report = out.partial / export_report.REPORT
            report.write_text(export_report.report(preset, entries, out.folder), encoding="utf-8")
            result = {"file": out.final(report), "formats": entries}
        else:
            result = entries[job.names[0]] | {"formats": entries}
    yield clock.done(result)


def _export_format(name: str, preset: Preset, source: RenderedSource, stem: str) -> Exported:
    exporter = EXPORTERS[name]
    if preset.renderer not in exporter.renderers:
        carried = ", ".join(sorted(exporter.renderers))
        raise ValueError(f"{name} carries {carried} presets, and this one is {preset.renderer}")
    return exporter.export(preset, source, stem)


def _keep_preview(preset: Path, folder: Path, exported: Exported) -> None:
    """Raise `ValueError` when the sound beside the preset would be replaced by a file of ours."""
    preview = preset.with_suffix(".wav").name
    if preview in exported.files and folder.resolve() == preset.parent.resolve():
        raise ValueError(
            f"out is the folder of the preset, whose own sound is {preview}: name another folder"
        )


def _write(exported: Exported, folder: Path, *, first: str | None) -> list[Path]:
    """The files written below `folder`; the first one is called `first`, if that is given."""
    names = list(exported.files)
    paths = [folder / (first or names[0]), *(folder / name for name in names[1:])]
    for path, data in zip(paths, exported.files.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return paths


def _engine_distance(
    name: str, file: Path, preset: Preset, source: RenderedSource
) -> dict[str, Any]:
    """How near the first engine that is here comes to our sound of the same note."""
    entry: dict[str, Any] = {"engine": "", "fidelity_db": None, "rms": None, "unchecked": ""}
    engines = ENGINES.get(name, ())
    engine = next((engine for engine in engines if not engine.missing()), None)
    if engine is None:
        reasons = [engine.missing() for engine in engines] or [
            "Scorewire starts no program that plays this format"
        ]
        return entry | {"unchecked": "; ".join(reasons)}
    note = Note(round(preset.note), held=math.inf if preset.held is None else preset.held)
    seconds = min(source.seconds, preset.seconds, COMPARED)
    ours = _reference_sound(name, source, note, seconds)
    try:
        theirs = engine.render(file, note, seconds, source.rate).mean(0)
        far = fidelity.lsd(ours.astype(float), theirs.astype(float), source.rate)
        rms = fidelity.rms_error(ours.astype(float), theirs.astype(float), source.rate)
    except (ValueError, RuntimeError, OSError) as error:
        return entry | {"unchecked": f"{engine.name} could not play it: {error}"}
    return entry | {"engine": engine.name, "fidelity_db": round(far, 3), "rms": round(rms, 5)}


def _reference_sound(
    name: str, source: RenderedSource, note: Note, seconds: float
) -> NDArray[np.float32]:
    """What the exported file should sound like, mono: the note, or of a room its response."""
    if name == "ir":
        return np.frombuffer(source.impulse(source.rate), "<f4")[: round(seconds * source.rate)]
    sound = np.frombuffer(source.floats(note, seconds), "<f4")
    mono: NDArray[np.float32] = sound.reshape(-1, source.channels).mean(1)
    return mono
