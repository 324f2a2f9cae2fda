"""Results that appear whole or not at all: written in a hidden folder, then moved to their place.

No array library. The partial folder is on the same file system, so moving is renaming; a job that
fails or is cancelled leaves neither it nor folders made for it. The renames of one job are promised
in a list on disk (`presets.moves`) before the first is made: where a process is killed between two
of them, the next job in the folder, or `sweep`, makes the rest. Only the partial folder of
`resumable` outlives its process: the same job takes it up again, another one removes it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, TypeAlias

from bridge.files import write_terms
from bridge.files.write_terms import ORDINARY, WriteRules
from presets import moves
from presets.moves import Move, Rename
from presets.reading import read_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

PARTIAL = ".partial-"
UNFINISHED = ".unfinished-"
SCRATCH = "scratch"
LOCK = ".lock"
MOVES = ".moves.json"  # what is promised
PLACES = ".places.json"  # what was at the places before, and whether all of it has a second name
REPLACED = ".replaced"  # second names of the files that the moves replace, to bring them back
RESULT = "result.json"  # what the server writes beside the files of a job when it is done
OWN = (SCRATCH, MOVES, PLACES, REPLACED, LOCK, f"{LOCK}-journal")  # what is not published
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL = 13  # SQLITE_FULL
LEAST = 1 << 16  # bytes free, under which a disk is taken to be full
PATIENCE = 8.0  # seconds to wait for a worker whose server has died: it leaves at its next step


Lock: TypeAlias = FileIO | sqlite3.Connection


class Interrupted(GeneratorExit):
    """Thrown into a job that ends because its process does: what is done is worth keeping."""


@dataclass(frozen=True, slots=True)
class Output:
    """Where to write now (`partial`) and where it will be found (`folder`).

    What lies in `scratch` is for the time of the job only. Files are published under `terms`.
    """

    folder: Path
    partial: Path
    terms: WriteRules = ORDINARY

    @property
    def scratch(self) -> Path:
        """A folder for previews, dropped at the end."""
        return self.partial / SCRATCH

    def final(self, path: Path) -> str:
        """Where the file at `path`, below `partial`, will be found."""
        return str(self.folder / path.relative_to(self.partial))

    def expect(self, *names: str) -> None:
        """Raise `ValueError` now, not after the work, when a file of these names must stay."""
        for name in names:
            self.terms.check(self.folder / name)


@contextmanager
def folder(
    target: Path, terms: WriteRules = ORDINARY, *, stale: Iterable[str] = ()
) -> Iterator[Output]:
    """A partial folder, published into `target` at the end and dropped on any exception.

    Files of an earlier job under other names stay, but for those named in `stale`, which go as the
    new ones come. Raises `ValueError` when `target` cannot be made or written,
    or `terms` do not allow it.
    """
    terms.check_folder(target)
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    try:
        target.mkdir(parents=True, exist_ok=True)
        sweep(target)
        hidden = Path(tempfile.mkdtemp(dir=target, prefix=f"{PARTIAL}{os.getpid()}-"))
        out = Output(target, hidden, terms)
        lock = hold(out.partial, PATIENCE)
        out.scratch.mkdir()
    except OSError as error:
        _unmake(made)
        raise cannot_write(f"out {target}", error) from error
    with closing(lock) if lock else nullcontext():
        try:
            yield out
            shutil.rmtree(out.scratch)
            _publish(out, stale)
        except BaseException:
            _give_up(out, made)
            raise
        _drop(out.partial)


@contextmanager
def resumable(
    target: Path, key: str, terms: WriteRules = ORDINARY, *, stale: Iterable[str] = ()
) -> Iterator[Output]:
    """`folder` for long work: `scratch` is as a crashed process with the same `key` left it.

    Of what others left unfinished in `target` nothing stays. `Interrupted` and a killed process
    leave the partial folder, any other exception drops it. Raises `ValueError` when `target` cannot
    be made or written, `terms` do not allow it, or another process is at the same work.
    """
    terms.check_folder(target)
    made = [folder for folder in (target, *target.parents) if not folder.exists()]
    out = Output(target, target / f"{UNFINISHED}{key}", terms)
    try:
        out.scratch.mkdir(parents=True, exist_ok=True)
        lock = hold(out.partial, PATIENCE)
    except OSError as error:
        _unmake(made)
        raise cannot_write(f"out {target}", error) from error
    if lock is None:
        raise ValueError(f"out {target} is being written by another process, with the same work")
    try:
        _settle(out)
        sweep(target, unfinished=True, but=out.partial)
        for file in out.partial.iterdir():  # half written: only what is in scratch says it is whole
            if file != out.scratch and not file.name.startswith(LOCK):
                shutil.rmtree(file) if file.is_dir() else file.unlink()
        yield out
        _publish(out, stale)
    except Interrupted:
        lock.close()
        raise
    except BaseException:
        lock.close()
        _give_up(out, made)
        raise
    lock.close()
    _drop(out.partial)


def sweep(target: Path, *, unfinished: bool = False, but: Path | None = None) -> bool:
    """Finish what dead processes promised in the folder `target`, and drop the rest of their work.

    Unfinished work of `resumable` is dropped only when `unfinished` says so, and `but` is left
    alone. Returns False when a living process still works there.
    """
    idle = True
    for partial in [*target.glob(f"{PARTIAL}*"), *target.glob(f"{UNFINISHED}*")]:
        if partial == but or partial.is_symlink() or not partial.is_dir():
            continue
        pid = partial.name.removeprefix(PARTIAL).partition("-")[0]
        resumable = partial.name.startswith(UNFINISHED)
        others = pid.isdigit() and int(pid) != os.getpid() and alive(int(pid))
        if not resumable and (others or not pid.isdigit()):
            idle = False
            continue
        if (lock := hold(partial, 0.0)) is None:
            idle = False
            continue
        promised = (partial / MOVES).exists()
        _settle(Output(target, partial))
        lock.close()
        if promised or unfinished or not resumable:
            _drop(partial)
    return idle


def no_room(error: BaseException | None, folder: Path | None = None) -> bool:
    """Whether `error`, or what it came of, is that the disk or the user's share of it is full.

    Libraries that do not say why they failed are believed to have found `folder` full when it is.
    """
    seen = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in NO_ROOM:
            return True
        if isinstance(seen, sqlite3.Error) and getattr(seen, "sqlite_errorcode", 0) == FULL:
            return True
        seen = seen.__cause__ or seen.__context__
    if folder is None or isinstance(error, ValueError | OSError):
        return False
    present = next((place for place in (folder, *folder.parents) if place.exists()), None)
    return present is not None and shutil.disk_usage(present).free < LEAST


def code_of(error: BaseException, otherwise: str) -> str:
    """The error code of a failure: "no-room" where the disk is full, else `otherwise`."""
    return "no-room" if no_room(error) else otherwise


def cannot_write(what: str, error: OSError) -> ValueError:
    """The sentence for a file or folder that cannot be written; to be raised."""
    return ValueError(f"{what} cannot be written: {error.strerror or error}")


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


def _publish(out: Output, stale: Iterable[str]) -> None:
    """Move every file to its place, or, when one cannot be moved, none."""
    tops = [file for file in sorted(out.partial.iterdir()) if file.name not in OWN]
    below = [path for top in tops for path in (top, *sorted(top.rglob("*")))]
    for file in below:  # all of them before any is moved
        place = Path(out.final(file))
        if place.exists() and place.is_dir() != file.is_dir():
            kind = "a folder" if place.is_dir() else "a file"
            raise ValueError(f"out {out.folder} cannot be written: {place} is {kind} already")
    for file in below:
        if not file.is_dir():
            out.terms.check(Path(out.final(file)))
    names = [str(file.relative_to(out.partial)) for file in below if not file.is_dir()]
    moved = [(f"{out.partial.name}/{name}", name) for name in names]
    moved += [
        (name, f"{out.partial.name}/{REPLACED}/{name}")
        for name in stale
        if name not in names and out.terms.replaces(out.folder / name)
    ]
    for file in below:
        if file.is_dir():
            Path(out.final(file)).mkdir(exist_ok=True)
        else:
            moves.sync(file)
    (out.partial / REPLACED).mkdir()
    backed = all([_second_name(out, name) for name in names])
    write_terms.note([(out.partial / name, out.folder / name) for name in names])
    seen = {place: _state(out.folder / place) for place in (_place(out, move) for move in moved)}
    write_json(out.partial / PLACES, {"backed": backed, "seen": seen})
    moves.sync(out.partial / PLACES)
    moves.promise(out.partial / MOVES, moved)
    try:
        _make(out, moved, lambda source, target: _move(out, source, target))
    except (OSError, ValueError):
        if backed:
            _undo(out, moved)
            (out.partial / MOVES).unlink()
        raise


def _second_name(out: Output, name: str) -> bool:
    """Keep the file that `name` will replace under a second name, where the disk has such."""
    target, backup = out.folder / name, out.partial / REPLACED / name
    if not target.exists():
        return True
    backup.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(target, backup, follow_symlinks=False)
    except OSError:
        return False
    return True


def _move(out: Output, source: Path, target: Path) -> None:
    """Move one file: to its place under the terms of the job, what is stale out of the way."""
    if source.is_relative_to(out.partial):
        write_terms.move(source, target, out.terms)
    else:
        source.replace(target)


def _make(out: Output, planned: list[Move], move: Rename = Path.replace) -> None:
    moves.make(out.folder, planned, move)
    for folder in {(out.folder / target).parent for _, target in planned}:
        moves.sync(folder)


def _undo(out: Output, planned: list[Move]) -> None:
    """Take moves back: new files out of their places, then the old ones into them."""
    for source, target in reversed(planned):
        if not os.path.lexists(out.folder / source):
            (out.folder / target).replace(out.folder / source)
            if (backup := out.partial / REPLACED / target).exists():
                backup.replace(out.folder / target)


def _settle(out: Output) -> None:
    """Make the moves that the process which worked in `out` had promised, or take them back."""
    path = out.partial / MOVES
    if not path.exists():
        return
    try:
        planned = moves.promised(path)
        _check(out, planned)
    except ValueError as error:
        log.warning("not taken up: %s", error)
        return
    kept, backed = _changed(out, planned)
    try:
        if kept and backed:
            raise FileExistsError(f"{kept[0][1]} was put there or changed meanwhile")
        _make(out, [move for move in planned if move not in kept])
    except OSError as error:
        log.warning("what was begun in %s is taken back: %s", out.folder, error)
        with suppress(OSError):
            _undo(out, planned)
    path.unlink()


def _place(out: Output, move: Move) -> str:
    """The end of a move that is outside of the partial folder."""
    source, target = move
    return target if source.startswith(f"{out.partial.name}/") else source


def _state(place: Path) -> list[int] | None:
    """What tells a file from one that came later: its size and time; None without one."""
    try:
        status = os.lstat(place)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _changed(out: Output, planned: list[Move]) -> tuple[list[Move], bool]:
    """The moves still to be made to whose places somebody came meanwhile, and `PLACES`' word.

    It says whether moves can be taken back. What it does not tell of counts as somebody's.
    """
    try:
        known = read_json(out.partial / PLACES, moves.MAX_MOVES)
        seen, backed = dict(known["seen"]), bool(known["backed"])
    except (OSError, ValueError, TypeError, KeyError):
        seen, backed = {}, False
    left = [move for move in planned if os.path.lexists(out.folder / move[0])]
    states = {move: _state(out.folder / _place(out, move)) for move in left}
    changed = [
        move
        for move, state in states.items()
        if state not in (None, seen.get(_place(out, move)))
        and not write_terms.is_ours(out.folder / _place(out, move))
    ]
    return changed, backed


def _check(out: Output, planned: list[Move]) -> None:
    """Raise `ValueError` unless every move is between `out.partial` and its folder."""
    here = out.folder.resolve()
    for source, target in planned:
        inside = [name.startswith(f"{out.partial.name}/") for name in (source, target)]
        places = [(out.folder / name).parent.resolve() for name in (source, target)]
        if inside.count(True) != 1 or not all(place.is_relative_to(here) for place in places):
            raise ValueError(f"{out.partial / MOVES} moves {source!r} to {target!r}; remove it")


def _give_up(out: Output, made: list[Path]) -> None:
    """Drop a job's files; but moves that were promised and not taken back, `sweep` will make."""
    if not (out.partial / MOVES).exists():
        shutil.rmtree(out.partial, ignore_errors=True)
    _unmake(made)


def _drop(partial: Path) -> None:
    """Remove a partial folder; first the list, whose moves must not be made once more."""
    with suppress(OSError):
        (partial / MOVES).unlink(missing_ok=True)
    shutil.rmtree(partial, ignore_errors=True)


def _unmake(made: list[Path]) -> None:
    """Remove the folders we made, the deepest first, as far as they are empty."""
    for folder in made:
        with suppress(OSError):
            folder.rmdir()


def hold(partial: Path, patience: float) -> Lock | None:
    """Be the one process that works in `partial`, None when another is; closing gives it back.

    The system gives it back when its process ends, however it ends. SQLite, which does the same
    where there is no flock, opens no file whose path has more than 511 bytes.
    """
    if fcntl is None:
        return _transaction(partial, patience)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW  # a stranger's folder may have a link there
    file = os.fdopen(os.open(partial / LOCK, flags, 0o666), "r+b", buffering=0)
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                file.close()
                return None
            time.sleep(0.05)
        except BaseException:
            file.close()
            raise
        else:
            return file


def _transaction(partial: Path, patience: float) -> Lock | None:
    lock = sqlite3.connect(partial / LOCK, timeout=patience, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        lock.close()
        return None
    return lock


def alive(pid: int) -> bool:
    """Whether a process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
