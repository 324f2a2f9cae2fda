"""The files of a job, checked before the worker is asked: a sentence now beats a crash later."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bridge.protocol.jobs import (
    DesignPatch,
    EditPreset,
    Evaluate,
    Export,
    Job,
    Morph,
    Record,
    RenderPreset,
    Separate,
    Suggest,
    Vary,
)
from presets import vst3
from presets.export import EXPORTERS

MAX_PATH = 500  # bytes of UTF-8: two of them still fit into one OSC datagram of 1400
_SUFFIXES = {exporter.suffix for exporter in EXPORTERS.values()}


def check(job: Job, *, read: Sequence[Path] = (), write: Sequence[Path] = ()) -> None:
    """Raise `ValueError` with a sentence when a file of `job` cannot be read or written.

    `read` and `write` are the folders allowed, with all below them; empty allows any.
    """
    if isinstance(job, DesignPatch):
        if job.start is not None:
            check_input("start", job.start, read)
        _folder(job.out, write)
    elif isinstance(job, Separate):
        check_input("file", job.file, read)
        _folder(str(job.folder), write)
    elif isinstance(job, Suggest):
        check_input("file", job.file, read)
    elif isinstance(job, RenderPreset):
        check_input("preset", job.preset, read)
        path = _absolute("out", job.out)
        if path.is_dir():
            raise ValueError(f"out must be a file, and {path} is a folder")
        if job.plugin is not None:
            _plugin(job.plugin)
        _folder(str(path.parent), write)
    elif isinstance(job, Export):
        check_input("preset", job.preset, read)
        if _absolute("out", job.out).is_dir() and job.named:
            raise ValueError(f"out {job.out} has the name of a file, and is a folder")
        if (
            not job.named
            and Path(job.out).suffix.lower() in _SUFFIXES
            and not Path(job.out).exists()
        ):
            wanted = (
                "a folder" if job.bundle else f"a folder or a {EXPORTERS[job.names[0]].suffix} file"
            )
            raise ValueError(f"out must be {wanted} for this export, got {Path(job.out).name}")
        _folder(str(job.folder), write)
    elif isinstance(job, Vary | Morph | EditPreset):
        check_input("preset", job.preset, read)
        if isinstance(job, Morph):
            check_input("other", job.other, read)
        _folder(job.out, write)
    elif isinstance(job, Record):
        if os.path.lexists(_absolute("out", job.out)):  # a link to nowhere would be written through
            raise ValueError(f"out {job.out} exists already: nothing is recorded over")
        _folder(str(Path(job.out).parent), write)
    elif isinstance(job, Evaluate):
        _inside("data", _absolute("data", job.data), read)
        if not Path(job.data).is_dir():
            raise ValueError(f"data {job.data} is not a folder")
        _folder(job.out, write)


def check_input(name: str, text: str, allowed: Sequence[Path]) -> None:
    """Raise `ValueError` with a sentence when a file cannot be read; `allowed` as in `check`."""
    path = _absolute(name, text)
    _inside(name, path, allowed)
    if not path.exists():
        raise ValueError(f"{name} {path} does not exist")
    if not path.is_file():
        raise ValueError(f"{name} {path} is not a file")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{name} {path} may not be read by this user")
    if path.stat().st_size == 0:
        raise ValueError(f"{name} {path} is empty (0 bytes)")


def _plugin(name: str) -> None:
    try:
        vst3.locate(name)
    except OSError as error:
        raise ValueError(f"plugin {name[:80]} cannot be used: {error.strerror}") from error


def _folder(text: str, allowed: Sequence[Path]) -> None:
    """Check that the folder is there and writable, or can be made; make nothing yet."""
    path = _absolute("out", text)
    _inside("out", path, allowed)
    if path.exists() and not path.is_dir():
        raise ValueError(f"out {path} is not a folder")
    present = next(folder for folder in (path, *path.parents) if folder.exists())
    if not present.is_dir():
        raise ValueError(f"out {path} cannot be made: {present} is not a folder")
    if not os.access(present, os.W_OK | os.X_OK):
        raise ValueError(f"out {path} cannot be written: {present} is not writable by this user")


def _absolute(name: str, text: str) -> Path:
    if "\0" in text:
        raise ValueError(f"{name} must be a path, and a path has no null character")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{name} must be a path in UTF-8, got {text!r}: rename it")
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"{name} must be an absolute path, got {text!r}")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PATH:
        raise ValueError(f"{name} must be at most {MAX_PATH} bytes long, got {len(text)} letters")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name too long, a loop of links, a folder of somebody else
        raise ValueError(f"{name} {path} cannot be used: {error.strerror}") from error
    return path


def _inside(name: str, path: Path, allowed: Sequence[Path]) -> None:
    """Follow links and `..` first, so that neither leads out of the allowed folders."""
    if allowed and not any(path.resolve().is_relative_to(folder.resolve()) for folder in allowed):
        folders = ", ".join(str(folder) for folder in allowed)
        raise ValueError(f"{name} {path} is outside the folders allowed: {folders}")
