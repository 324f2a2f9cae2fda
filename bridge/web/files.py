"""The files of a job's result: those its result names, below its own folder, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bridge import jobs as words
from bridge.store import Entry

if TYPE_CHECKING:
    from bridge.web.events import Journal


def of(entry: Entry, journal: Journal) -> dict[str, Path]:
    """Files by name: paths from the job's folder, and of a running job the newest preview."""
    if entry.result is not None:
        named = [*_texts(entry.result), words.result_path(entry.job, entry.result)]
        return dict(_below(_folder(entry), named))
    best = journal.best(entry.job.id)
    if best is None:
        return {}
    found = _below(_folder(entry), [best.preset, best.wav])
    return {f"best{path.suffix}": path for _, path in found}


def listed(entry: Entry, journal: Journal) -> list[dict[str, Any]]:
    """Name, bytes and address of each file."""
    place = f"/v1/jobs/{entry.job.id}/files/"
    return [
        {"name": name, "bytes": path.stat().st_size, "url": place + quote(name)}
        for name, path in of(entry, journal).items()
    ]


def _folder(entry: Entry) -> Path | None:
    """The folder a job writes to."""
    job = entry.job
    if isinstance(job, words.RenderPreset | words.Record):
        return Path(job.out).parent
    if isinstance(job, words.Export):
        return job.folder
    out = getattr(job, "out", None)  # a probe writes nothing
    return Path(out) if out else None


def _below(folder: Path | None, named: list[str]) -> Iterator[tuple[str, Path]]:
    """Existing files below `folder`, links followed first, with their paths from there."""
    for text in named if folder else ():
        path = Path(text)
        if folder and path.is_absolute() and path.is_relative_to(folder) and path.is_file():
            if path.resolve().is_relative_to(folder.resolve()):
                yield path.relative_to(folder).as_posix(), path


def _texts(value: Any) -> Iterator[str]:
    """Every text in a result."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
