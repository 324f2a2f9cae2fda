"""Changes of several files that happen wholly or not at all, whoever dies in between.

A change is a list of moves (rename `source` to `target`, both relative to the library's folder).
New contents are drafts in `.work`, on disk before the first move; a list of more than one move is
on disk too, as `.work/moves.json`. Whoever takes the lock next finishes a list that it finds there:
a move whose source is gone has been made, so making them all again is harmless.
"""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from presets.moves import Move, make, private_folder, promise, promised, sync

WORK = ".work"
TRASH = ".trash"
INDEX = ".index.sqlite"
PATIENCE = 30.0  # seconds to wait for another process; a change takes milliseconds

_LOCK = "lock"
_MOVES = "moves.json"
_IGNORED = f"{INDEX}*\n{WORK}/\n{TRASH}/\n"  # what git need not keep


@contextmanager
def lock_folder(folder: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Be the one process, and thread, that changes `folder`; finish first what a dead one began.

    Makes the folder when it is not there. Raises `ValueError` when it cannot be written, or when
    another process holds it for more than `patience` seconds.
    """
    try:
        for part in (WORK, TRASH):
            private_folder(folder / part)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text(_IGNORED, encoding="utf-8")
        lock = sqlite3.connect(folder / WORK / _LOCK, timeout=patience, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise ValueError(f"the library {folder} cannot be written: {error}") from error
    try:
        # The system gives an exclusive transaction back when its process ends, however it ends.
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        raise ValueError(f"the library {folder} cannot be locked: {error}") from error
    try:
        _finish(folder)
        yield
    finally:
        lock.close()


def draft() -> str:
    """A new name in `.work`: to write contents to, or to move away what shall be no more."""
    return f"{WORK}/{secrets.token_hex(8)}"


def commit(folder: Path, moves: Sequence[Move]) -> None:
    """Make all `moves`, in their order, or none; on disk when this returns. Needs the lock."""
    for source, _ in moves:
        if source.startswith(f"{WORK}/"):
            sync(folder / source)
    sync(folder / WORK)
    if len(moves) > 1:  # one rename is whole by itself
        promise(folder / WORK / _MOVES, moves)
    _make(folder, moves)
    _sweep(folder)


def _finish(folder: Path) -> None:
    """Make the moves that a dead process had promised; drop the drafts that it had not."""
    path = folder / WORK / _MOVES
    if path.exists():
        _make(folder, _read(path))
    _sweep(folder)


def _read(path: Path) -> list[Move]:
    """The moves of a file that we wrote: into the library, its trash or its drafts."""
    moves = promised(path)
    for name in {name for move in moves for name in move}:
        *inside, _ = Path(name).parts
        if inside not in ([], [WORK], [TRASH]):
            raise ValueError(f"{path} moves {name!r}, which is outside the library; remove it")
    return moves


def _make(folder: Path, moves: Sequence[Move]) -> None:
    make(folder, moves)
    for part in (".", TRASH, WORK):
        sync(folder / part)


def _sweep(folder: Path) -> None:
    (folder / WORK / _MOVES).unlink(missing_ok=True)  # before the drafts: it may name them
    for path in (folder / WORK).iterdir():
        if not path.name.startswith(_LOCK):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
