"""The files of a job's result: those its result names, below its own folder, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.http.journal import Journal
from bridge.protocol.kinds import out_folder, result_path
from bridge.service.ledger import Entry

FILES = frozenset(
    "preset wav initial_wav residual mix manifest curves file files page figures".split()
)  # the keys of results under which files are named


def files_of_job(entry: Entry, journal: Journal) -> dict[str, Path]:
    """Files by name: paths from the job's folder, and of a running job the newest preview, and
    what it began with.
    """
    if entry.result is not None:
        named = [*_paths(entry.result), result_path(entry.job, entry.result)]
        return dict(_below(out_folder(entry.job), named))
    best = journal.best(entry.job.id)
    if best is None:
        return {}
    folder = out_folder(entry.job)
    paths = {f"best{path.suffix}": path for _, path in _below(folder, [best.preset, best.wav])}
    began = _below(folder, [best.initial] if best.initial else [])
    return paths | {f"initial{path.suffix}": path for _, path in began}


def list_files(entry: Entry, journal: Journal) -> list[dict[str, Any]]:
    """Name, bytes and address of each file."""
    place = f"/v1/jobs/{entry.job.id}/files/"
    sizes = ((name, _size(path)) for name, path in files_of_job(entry, journal).items())
    return [
        {"name": name, "bytes": size, "url": place + quote(name)}
        for name, size in sizes
        if size is not None
    ]


def _below(folder: Path | None, named: list[str]) -> Iterator[tuple[str, Path]]:
    """Existing files below `folder`, links followed first, with their paths from there."""
    for text in named if folder else ():
        path = Path(text)
        if (
            folder
            and path.is_absolute()
            and path.is_relative_to(folder)
            and _size(path) is not None
        ):
            if path.resolve().is_relative_to(folder.resolve()):
                yield path.relative_to(folder).as_posix(), path


def _size(path: Path) -> int | None:
    """Bytes of a file; None when there is none (any more), or none that we may look at."""
    try:
        return path.stat().st_size if path.is_file() else None
    except (OSError, ValueError):
        return None


def _paths(value: Any, name: str = "") -> Iterator[str]:
    """What a result names as files, and not its prompts: they can be made to look like paths."""
    if isinstance(value, str):
        if name in FILES:
            yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, key)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _paths(item, name)
