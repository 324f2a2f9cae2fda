"""Results that appear whole or not at all: written in a hidden folder, then moved to their place.

Standard library only. The partial folder is on the same file system, so moving is renaming; a job
that fails or is cancelled leaves neither it nor folders made for it. Only the partial folder of
`resumable` outlives its process: the same job takes it up again, another one removes it.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTIAL = ".partial-"
UNFINISHED = ".unfinished-"
SCRATCH = "scratch"
LOCK = "lock"
PATIENCE = 8.0  # seconds to wait for a worker whose server has died: it leaves at its next step


class Interrupted(GeneratorExit):
    """Thrown into a job that ends because its process does: what is done is worth keeping."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where to write now (`partial`) and where it will be found (`folder`).

    What lies in `scratch` is for the time of the job only.
    """

    folder: Path
    partial: Path

    @property
    def scratch(self) -> Path:
        """A folder for previews, dropped at the end."""
        return self.partial / SCRATCH

    def final(self, path: Path) -> str:
        """Where the file at `path`, below `partial`, will be found."""
        return str(self.folder / path.relative_to(self.partial))


@contextmanager
def folder(target: Path) -> Iterator[Output]:
    """A partial folder, published into `target` at the end and dropped on any exception.

    Files of an earlier job under other names stay. Raises `ValueError` when `target` cannot be
    made or written.
    """
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        out = Output(target, Path(tempfile.mkdtemp(dir=target, prefix=f"{PARTIAL}{os.getpid()}-")))
        out.scratch.mkdir()
    except OSError as error:
        _unmake(made)
        raise ValueError(f"out {target} cannot be written: {error.strerror}") from error
    try:
        yield out
        shutil.rmtree(out.scratch)
        _publish(out)
    except BaseException:
        shutil.rmtree(out.partial, ignore_errors=True)
        _unmake(made)
        raise
    shutil.rmtree(out.partial, ignore_errors=True)


@contextmanager
def resumable(target: Path, key: str) -> Iterator[Output]:
    """`folder` for long work: `scratch` is as a crashed process with the same `key` left it.

    Of what others left unfinished in `target` nothing stays. `Interrupted` and a killed process
    leave the partial folder, any other exception drops it. Raises `ValueError` when `target` cannot
    be made or written, or another process is at the same work.
    """
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    out = Output(target, target / f"{UNFINISHED}{key}")
    try:
        out.scratch.mkdir(parents=True, exist_ok=True)
        lock = _lock(out.partial, PATIENCE)
    except OSError as error:
        _unmake(made)
        raise ValueError(f"out {target} cannot be written: {error.strerror}") from error
    if lock is None:
        raise ValueError(f"out {target} is being written by another process, with the same work")
    try:
        _sweep(target)
        _drop_unfinished(target, but=out.partial)
        for file in out.partial.iterdir():  # half written: only what is in scratch says it is whole
            if file != out.scratch and file.name != LOCK:
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        yield out
        _publish(out)
    except Interrupted:
        lock.close()
        raise
    except BaseException:
        lock.close()
        shutil.rmtree(out.partial, ignore_errors=True)
        _unmake(made)
        raise
    lock.close()
    shutil.rmtree(out.partial, ignore_errors=True)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """One JSON object in one line, UTF-8."""
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def write_whole(path: Path, data: bytes) -> None:
    """A file that is there whole or not at all, also after the machine lost its power."""
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _publish(out: Output) -> None:
    own = (out.scratch, out.partial / LOCK)
    files = [f for f in sorted(out.partial.rglob("*")) if not any(map(f.is_relative_to, own))]
    for file in files:  # all of them before any is moved
        place = Path(out.final(file))
        if place.exists() and place.is_dir() != file.is_dir():
            kind = "a folder" if place.is_dir() else "a file"
            raise ValueError(f"out {out.folder} cannot be written: {place} is {kind} already")
    for file in files:
        place = Path(out.final(file))
        if file.is_dir():
            place.mkdir(exist_ok=True)
        else:
            file.replace(place)


def _unmake(made: list[Path]) -> None:
    """Remove the folders we made, the deepest first, as far as they are empty."""
    for folder in made:
        with suppress(OSError):
            folder.rmdir()


def _sweep(target: Path) -> None:
    """Remove what a killed worker left: partial folders of processes that are no more."""
    for partial in target.glob(f"{PARTIAL}*"):
        pid = partial.name.removeprefix(PARTIAL).partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(partial, ignore_errors=True)


def _lock(partial: Path, patience: float) -> sqlite3.Connection | None:
    """Be the one process that works in `partial`, None when another is; closing gives it back.

    The system gives an exclusive transaction back when its process ends, however it ends.
    """
    lock = sqlite3.connect(partial / LOCK, timeout=patience, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        return None
    return lock


def _drop_unfinished(target: Path, *, but: Path) -> None:
    """Remove what crashed processes left for work that is not ours."""
    for partial in target.glob(f"{UNFINISHED}*"):
        if partial != but and (lock := _lock(partial, 0.0)) is not None:
            lock.close()
            shutil.rmtree(partial, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
