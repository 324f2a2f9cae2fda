"""Check the files and folders of a job before it is queued.

What is written is checked again at that moment, under the job's terms (`bridge.files.write_terms`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar, cast

from bridge.files import write_terms
from bridge.files.atomic_output import RESULT
from bridge.protocol.base import SHIPPED_MODELS, WritingJob
from bridge.protocol.jobs import Job
from bridge.protocol.kinds import JobKind, files_read, kind_of, out_folder
from bridge.protocol.patch_jobs import Export
from bridge.service.config import Config
from presets import vst3
from presets.export import EXPORTERS

MAX_PATH = 2000  # bytes of UTF-8: two of them, and what is in them, fit into one OSC datagram
_SUFFIXES = {exporter.suffix for exporter in EXPORTERS.values()}


J = TypeVar("J", bound=Job)


class NeedsKey(ValueError):
    """A request that needs the token or the key."""


def bound(job: J, config: Config, *, trusted: bool) -> J:
    """The job with the terms that this server sets: the folders it may write to.

    Without trust only new files are written, into `Config.open_writable`, and only installed models
    are used. Raises `NeedsKey` for a job that asks for more.
    """
    terms: dict[str, object] = {"within": tuple(map(str, config.writable))}
    if not trusted:
        if getattr(job, "replace", False):
            raise NeedsKey("replace needs the key: without it only new files are written")
        installed = dict.fromkeys((config.model, *SHIPPED_MODELS))
        asked = (getattr(job, "model", "default"), *getattr(job, "models", ()))
        if not installed.keys() >= set(asked):
            names = " or ".join(map(repr, installed))
            raise NeedsKey(f"without the key the model must be {names}")
        if getattr(job, "stem_model", "default") != "default":
            raise NeedsKey("without the key the stem_model must be 'default'")
        if getattr(job, "scorer", "default") != "default":
            raise NeedsKey("without the key the scorer must be 'default'")
        terms = {"within": tuple(map(str, config.open_writable)), "new": True}
    return cast(J, job.model_copy(update=terms if isinstance(job, WritingJob) else {}))


def check(job: Job, *, read: Sequence[Path] = (), write: Sequence[Path] = ()) -> None:
    """Raise `ValueError` with a sentence when a file of `job` cannot be read or written.

    Which fields name files says its row of `bridge.protocol.kinds`. `read` and `write` are the
    folders allowed, with all below them; empty allows any.
    """
    kind = kind_of(job)
    for name, path_text in files_read(job):
        check_input(name, path_text, read)
    for name in kind.reads_folder:
        path = _absolute(name, getattr(job, name))
        write_terms.inside(name, path, read)
        if not path.is_dir():
            raise ValueError(f"{name} {path} is not a folder")
    if plugin := getattr(job, "plugin", None):
        _plugin(plugin)
    if isinstance(job, WritingJob):
        _check_out(job, kind, write)


def _check_out(job: WritingJob, kind: JobKind, write: Sequence[Path]) -> None:
    """Check what `out` names, and the terms under which it is written."""
    path = _absolute("out", job.out)
    if kind.writes == "file" and path.is_dir():
        raise ValueError(f"out must be a file, and {path} is a folder")
    if kind.writes == "new file" and os.path.lexists(path):  # a link would be written through
        raise ValueError(f"out {path} exists already: nothing is recorded over")
    if isinstance(job, Export):
        _check_export(job, path)
    folder = out_folder(cast(Job, job))
    assert folder is not None, kind.name  # noqa: S101, a row that writes has a folder
    _folder(str(folder), write)
    if kind.writes == "file" or (isinstance(job, Export) and job.named):
        job.terms.check(path)
    job.terms.check_folder(folder)
    if kind.result:
        job.terms.check(folder / RESULT)


def _check_export(job: Export, path: Path) -> None:
    """One format may name its file; several, or a bundle, need a folder."""
    if path.is_dir() and job.named:
        raise ValueError(f"out {path} has the name of a file, and is a folder")
    if not job.named and path.suffix.lower() in _SUFFIXES and not path.exists():
        wanted = (
            "a folder" if job.bundle else f"a folder or a {EXPORTERS[job.names[0]].suffix} file"
        )
        raise ValueError(f"out must be {wanted} for this export, got {path.name}")


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
