"""The files of a job, checked before the worker is asked: a sentence now beats a crash later.

What is written is checked again at that moment, under the job's terms (`bridge.files.write_terms`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, cast

from bridge.files import write_terms
from bridge.protocol.jobs import (
    WHOLE,
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
    Writes,
    result_path,
)
from bridge.service.config import Config
from presets import vst3
from presets.export import EXPORTERS

MAX_PATH = 2000  # bytes of UTF-8: two of them, and what is in them, fit into one OSC datagram
_SUFFIXES = {exporter.suffix for exporter in EXPORTERS.values()}


J = TypeVar("J", bound=Job)


class NeedsKey(ValueError):
    """What only those may ask for who know the token."""


def bound(job: J, config: Config, *, trusted: bool) -> J:
    """The job with the terms that this server sets: the folders it may write to.

    Without trust only new files are written, into `Config.open_writable`, and only installed models
    are used. Raises `NeedsKey` for a job that asks for more.
    """
    terms: dict[str, object] = {"within": tuple(map(str, config.writable))}
    if not trusted:
        if getattr(job, "replace", False):
            raise NeedsKey("replace needs the key: without it only new files are written")
        installed = dict.fromkeys((config.model, "default"))
        if getattr(job, "model", "default") not in installed:
            names = " or ".join(map(repr, installed))
            raise NeedsKey(f"without the key the model must be {names}")
        terms = {"within": tuple(map(str, config.open_writable)), "new": True}
    return cast(J, job.model_copy(update=terms if isinstance(job, Writes) else {}))


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
        job.terms.check(path)
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
        if job.named:
            job.terms.check(Path(job.out))
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
        write_terms.inside("data", _absolute("data", job.data), read)
        if not Path(job.data).is_dir():
            raise ValueError(f"data {job.data} is not a folder")
        _folder(job.out, write)
    if isinstance(job, Writes):
        job.terms.check_folder(_written(job))
    if isinstance(job, WHOLE):
        job.terms.check(Path(result_path(job, {})))


def _written(job: Writes) -> Path:
    """The folder that a job writes to."""
    if isinstance(job, Separate | Export):
        return job.folder
    return Path(job.out).parent if isinstance(job, RenderPreset | Record) else Path(job.out)


def check_input(name: str, text: str, allowed: Sequence[Path]) -> None:
    """Raise `ValueError` with a sentence when a file cannot be read; `allowed` as in `check`."""
    path = _absolute(name, text)
    write_terms.inside(name, path, allowed)
    _follow(name, path)
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
    write_terms.inside("out", path, allowed)
    _follow("out", path)
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
    if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_PATH:
        raise ValueError(f"{name} must be at most {MAX_PATH} bytes long, got {size}")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name too long, a loop of links, a folder of somebody else
        raise ValueError(f"{name} {path} cannot be used: {error.strerror}") from error
    return path


def _follow(name: str, path: Path) -> None:
    """Raise `ValueError` when the path, or a folder on its way, is a link to what is not there."""
    for place in (path, *path.parents):
        if place.is_symlink() and not place.exists():
            raise ValueError(
                f"{name} {path} cannot be used: {place} is a link to {os.readlink(place)},"
                " which does not exist"
            )
