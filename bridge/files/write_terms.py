"""Check and record what is written where: others' files stay, and no link leads elsewhere.

A record in the user's data folder (`made.sqlite`) has each file that was published here, with its
size and time. A file that was changed since is the user's own. Standard library and platformdirs.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from platformdirs import user_data_path

log = logging.getLogger(__name__)

FILE = "made.sqlite"
DATA = "SCOREWIRE_DATA"  # the setting, also in the environment of every child
MAX_ROWS = 200_000  # the oldest are forgotten: such files need --replace then
PATIENCE = 5.0  # seconds to wait for another process at the record
BY_PATH = os.rename not in os.supports_dir_fd  # Windows: no folder can be held open

Moves = Sequence[tuple[Path, Path]]  # (source, place)


@dataclass(frozen=True, slots=True)
class WriteRules:
    """Under which terms files are written.

    `replace`: files that others made may be replaced. `new`: nothing that is there may be, not even
    what Scorewire made. `within`: folders that the files must lie in, links followed; empty:
    anywhere.
    """

    replace: bool = False
    new: bool = False
    within: tuple[str, ...] = ()

    def check(self, place: Path) -> None:
        """Raise `ValueError` with a sentence when no file may be written to `place`."""
        self.check_folder(place.parent)
        if not os.path.lexists(place):
            return
        if self.new:
            raise ValueError(
                f"{place} is there already, and only new files may be written without the key"
            )
        if not self.replace and not is_ours(place):
            raise ValueError(
                f"{place} is there already, and Scorewire did not make it, or it was changed "
                "since: name another place, or ask for it to be replaced (--replace, replace=1)"
            )

    def replaces(self, place: Path) -> bool:
        """Whether there is a file at `place` that may be replaced or removed."""
        return place.is_file() and not self.new and (self.replace or is_ours(place))

    def check_folder(self, folder: Path) -> None:
        """Raise `ValueError` when `folder` lies outside of `within`."""
        allowed = [Path(folder) for folder in self.within]
        by = " without the key (key=, `scorewire token` prints it)" if self.new else ""
        inside("out", folder, allowed, by=by)


ORDINARY = WriteRules()


def inside(name: str, path: Path, allowed: Sequence[Path], *, by: str = "") -> None:
    """Raise `ValueError` when `path`, links and `..` followed, lies in none of the folders.

    No folders allow any path. `by` says in words what allows them.
    """
    if allowed and not any(path.resolve().is_relative_to(folder.resolve()) for folder in allowed):
        folders = ", ".join(str(folder) for folder in allowed)
        raise ValueError(f"{name} {path} is outside the folders allowed{by}: {folders}")


def publish(moves: Moves, terms: WriteRules) -> None:
    """Move each file to its place, all of them checked before the first is moved.

    Raises `ValueError` as `WriteRules.check`. What is moved is ours from then on.
    """
    for _, place in moves:
        terms.check(place)
    note(moves)
    for source, place in moves:
        move(source, place, terms)


def move(source: Path, place: Path, terms: WriteRules) -> None:
    """Rename `source` to `place`, checked once more in the folder that is then held open.

    Where nothing was, nothing that came meanwhile is replaced. Raises `ValueError`.
    """
    with _open_folder(place.parent, terms) as folder:
        if terms.replace or (not terms.new and is_ours(place)):
            _rename(source, place, folder)
            return
        try:
            _add(source, place, folder)
        except FileExistsError as error:
            terms.check(place)  # raises, but for one that is gone again
            raise ValueError(f"{place} came to be there meanwhile: try again") from error


def create(place: Path, terms: WriteRules) -> BinaryIO:
    """Open a new file at `place` for writing. Raises `ValueError` when something is there already.

    What is written to it does not count as ours: it is not replaced unless asked.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    with _open_folder(place.parent, terms) as folder:
        try:
            if folder is None:
                number = os.open(place, flags, 0o666)
            else:
                number = os.open(place.name, flags, 0o666, dir_fd=folder)
        except FileExistsError as error:
            raise ValueError(f"out {place} exists already: nothing is written over") from error
    return os.fdopen(number, "w+b")


def note(moves: Moves) -> None:
    """Write down that the files at these places will be ours: as each source is now.

    Done before the move, so that one who dies between has lost nothing. A record that cannot be
    written is logged: the files then count as those of others.
    """
    rows = []
    for source, place in moves:
        status = source.stat()
        rows.append((_key(place), status.st_size, status.st_mtime_ns))
    try:
        with _record() as record, record:
            record.executemany("INSERT OR REPLACE INTO made VALUES (?, ?, ?)", rows)
            oldest = "(SELECT max(rowid) FROM made) - ?"
            record.execute(f"DELETE FROM made WHERE rowid <= {oldest}", (MAX_ROWS,))  # noqa: S608
    except (OSError, sqlite3.Error) as error:
        log.warning("what was made cannot be written down in %s: %s", record_file(), error)


def is_ours(place: Path) -> bool:
    """Whether the file at `place` is one that Scorewire made, unchanged since; links are not."""
    try:
        status = os.lstat(place)
    except OSError:
        return False
    try:
        with _record() as record:
            row = (_key(place), status.st_size, status.st_mtime_ns)
            query = "SELECT 1 FROM made WHERE path = ? AND bytes = ? AND time = ?"
            return record.execute(query, row).fetchone() is not None
    except (OSError, sqlite3.Error) as error:
        log.warning("what was made cannot be read from %s: %s", record_file(), error)
        return False


def record_file() -> Path:
    """Where the record is: in the data folder that the environment names, or the usual one."""
    data = os.environ.get(DATA)
    return (Path(data).expanduser() if data else user_data_path("scorewire")) / FILE


@contextmanager
def _record() -> Iterator[sqlite3.Connection]:
    file = record_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(file, timeout=PATIENCE)) as record:
        record.execute("PRAGMA journal_mode = WAL")
        record.execute("PRAGMA synchronous = NORMAL")
        # Several rows a path: until a new file has been moved there, the one before is ours too.
        columns = "path BLOB, bytes INT, time INT, PRIMARY KEY (path, bytes, time)"
        record.execute(f"CREATE TABLE IF NOT EXISTS made ({columns})")
        yield record


def _key(place: Path) -> bytes:
    """A place as the record has it: the folder without links, the name as it is."""
    return os.fsencode(place.parent.resolve() / place.name)


@contextmanager
def _open_folder(folder: Path, terms: WriteRules) -> Iterator[int | None]:
    """The folder open, as a file descriptor, and known to lie where it may.

    Whoever puts a link in the place of one of its parents now changes nothing more. None where the
    system cannot hold a folder.
    """
    if BY_PATH:
        terms.check_folder(folder)
        yield None
        return
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        real = folder.resolve()
        if not os.path.samestat(os.lstat(real), os.fstat(held)):
            raise ValueError(f"out {folder} was moved while it was being written")
        terms.check_folder(real)
        yield held
    finally:
        os.close(held)


def _rename(source: Path, place: Path, folder: int | None) -> None:
    if folder is None:
        source.replace(place)
    else:
        os.rename(source, place.name, dst_dir_fd=folder)


def _add(source: Path, place: Path, folder: int | None) -> None:
    """Move to where nothing is; `FileExistsError`. A link to a file is made, or is not, at once."""
    try:
        if folder is None:
            os.link(source, place, follow_symlinks=False)
        else:
            os.link(source, place.name, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(place):
            raise FileExistsError(f"{place} is there") from None
        _rename(source, place, folder)
    else:
        source.unlink()
