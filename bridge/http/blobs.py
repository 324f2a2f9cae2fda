"""Uploaded sounds on disk, each under the SHA-256 of what is in it. Standard library only.

`partial/HASH` grows by appending, so a process killed at any byte leaves a beginning that the
client goes on from. `sha256/HASH` appears by renaming, after the whole was read back and hashed:
what is there is right. It is a cache: when it is full, what was used longest ago goes first.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bridge.files import names
from bridge.files.atomic_output import NO_ROOM
from bridge.processes.background_threads import beside
from presets.moves import private_folder

PREFIX = "sha256:"
AHEAD = 2**20  # bytes for which room is made at once
RESERVE = 64 * 2**20  # bytes left free on the disk: the ledger is there too
STALE = 7 * 86_400.0  # seconds after which nobody comes back to an upload
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


class OutOfStep(ValueError):
    """The upload goes on at another byte than the client thinks: at `offset`."""

    def __init__(self, offset: int, begin: int) -> None:
        super().__init__(f"the upload goes on at byte {offset}, not {begin}")
        self.offset = offset


class TooBig(ValueError):
    """More bytes than one upload may have."""


class NoRoom(ValueError):
    """The disk, or the share of it for uploads, is full."""


class WrongHash(ValueError):
    """The bytes are not those that the name promised; they were dropped."""


class Superseded(ValueError):
    """The same upload goes on in another request."""


class Blobs:
    """The folder: `limit` bytes for one upload, `quota` for all of them."""

    def __init__(self, folder: Path, *, limit: int, quota: int) -> None:
        self.folder, self.limit, self.quota = folder, limit, quota
        self._writers: dict[str, Writer] = {}
        self._checking: set[str] = set()

    def find(self, digest: str) -> Path | None:
        """The whole file of this hash, None when it is not (wholly) here."""
        path = self._whole(digest)
        return path if path.is_file() else None

    def list(self) -> list[dict[str, Any]]:
        """Id, names, bytes and last use (seconds since 1970) of each whole, newest first."""
        found = [
            {
                "id": PREFIX + path.name,
                "names": sorted(name.name for name in self._names(path.name).glob("*")),
                "bytes": path.stat().st_size,
                "used": path.stat().st_mtime,
            }
            for path in self.folder.glob("sha256/*")
            if _DIGEST.fullmatch(path.name) and path.is_file()
        ]
        return sorted(found, key=lambda blob: -blob["used"])

    def offset(self, digest: str) -> int | None:
        """How many bytes of an unfinished upload are here, None when it has not begun."""
        try:
            return self._partial(digest).stat().st_size
        except FileNotFoundError:
            return None

    def named(self, digest: str, name: str = "") -> Path | None:
        """The file under a name that people know, for names of stems; None when it is not here."""
        path = self.find(digest)
        if path is None:
            return None
        os.utime(path)
        if not name:
            return path
        suffix = Path(name).suffix.lower()
        piece = names.slug(Path(name).stem, otherwise="sound")
        link = self._names(digest) / (piece + (suffix if _SUFFIX.fullmatch(suffix) else ""))
        try:
            private_folder(link.parent)
            os.link(path, link)
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links: the sound matters more than its name
            return path
        return link

    @contextmanager
    def writing(
        self, digest: str, *, at: int, total: int, used: Collection[str] = ()
    ) -> Iterator[Writer]:
        """Append from byte `at` of `total`; 0 begins anew. Files in `used` are not made room of.

        Raises `TooBig`, `NoRoom`, `OutOfStep`, and `Superseded` while the whole is being checked.
        """
        if digest in self._checking:
            raise Superseded("the upload is whole and is just being checked; ask again")
        path = self._partial(digest)
        here = self.offset(digest) or 0
        if total > self.limit:
            raise TooBig(f"an upload may have {self.limit} bytes, this one has {total}")
        if at not in (0, here):
            raise OutOfStep(here, at)
        self._check_room(total - here, keep=path, used=used)
        private_folder(path.parent)
        with path.open("ab" if at else "wb", buffering=0) as file:
            if digest in self._writers:
                self._writers[digest].superseded = True
            room = partial(self._make_room, used=used)
            writer = self._writers[digest] = Writer(file.fileno(), at, total, room)
            try:
                yield writer
            finally:
                if not writer.superseded:
                    del self._writers[digest]

    async def keep(self, digest: str) -> Path:
        """Make a whole of a finished upload, once its hash is right. Raises `WrongHash`."""
        self._checking.add(digest)
        try:
            return await beside(self._keep, digest)
        finally:
            self._checking.discard(digest)

    def _keep(self, digest: str) -> Path:
        partial, whole = self._partial(digest), self._whole(digest)
        with partial.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
            if actual != digest:
                partial.unlink()
                raise WrongHash(
                    f"the SHA-256 of what came is {actual}, not {digest}; send it again"
                )
            os.fsync(file.fileno())
        private_folder(whole.parent)
        partial.replace(whole)
        return whole

    def _check_room(self, needed: int, *, keep: Path, used: Collection[str]) -> None:
        """Raise `NoRoom` when `needed` more bytes could not fit even after all that may go has.

        Nothing but stale beginnings goes yet: what was announced may never come.
        """
        for path in self.folder.glob("partial/*"):
            if path != keep and time.time() - path.stat().st_mtime > STALE:
                path.unlink()
        shelf = self._shelf(used)
        others = [w.left for name, w in self._writers.items() if name != keep.name]
        self._refuse_unless_fits(shelf.total - shelf.loose, needed + sum(others), shelf.loose)

    def _make_room(self, needed: int, *, used: Collection[str]) -> None:
        """Drop the oldest wholes until `needed` more bytes fit."""
        shelf = self._shelf(used)
        total = shelf.total
        for path in shelf.droppable:
            if self._fits(total, needed):
                return
            total -= path.stat().st_size
            shutil.rmtree(self._names(path.name), ignore_errors=True)
            path.unlink(missing_ok=True)
        self._refuse_unless_fits(total, needed)

    def _shelf(self, used: Collection[str]) -> _Usage:
        """What is here, and which wholes may go, what was used longest ago first."""
        sizes = {path: path.stat() for path in self.folder.glob("*/*") if path.is_file()}
        droppable = [
            path
            for path in sizes
            if path.parent.name == "sha256" and not any(path.name in name for name in used)
        ]
        droppable.sort(key=lambda path: sizes[path].st_mtime)
        loose = sum(sizes[path].st_size for path in droppable)
        return _Usage(sum(stat.st_size for stat in sizes.values()), loose, droppable)

    def _refuse_unless_fits(self, total: int, needed: int, loose: int = 0) -> None:
        """`loose` bytes on the disk will be free by then."""
        if total + needed > self.quota:
            raise NoRoom(f"uploads may take {self.quota} bytes in all, and {total} are in use")
        if not self._fits(total, needed - loose):
            raise NoRoom(f"the disk is full: {needed} bytes more do not fit")

    def _fits(self, total: int, needed: int) -> bool:
        private_folder(self.folder)
        free = shutil.disk_usage(self.folder).free
        return total + needed <= self.quota and free - needed >= RESERVE

    def _whole(self, digest: str) -> Path:
        return self.folder / "sha256" / check_digest(digest)

    def _partial(self, digest: str) -> Path:
        return self.folder / "partial" / check_digest(digest)

    def _names(self, digest: str) -> Path:
        return self.folder / "names" / check_digest(digest)


@dataclass(frozen=True, slots=True)
class _Usage:
    """Bytes in all, those of files that may go, and these files in their order."""

    total: int
    loose: int
    droppable: list[Path]


class Writer:
    """Where the bytes of one request go; each `write` is in the file when it returns."""

    def __init__(
        self, descriptor: int, at: int, total: int, room: Callable[[int], None] = lambda _: None
    ) -> None:
        """`room` is called with the number of bytes for which there must be room next."""
        self.size = at
        self.superseded = False
        self._descriptor, self._total = descriptor, total
        self._room, self._roomy = room, at  # up to which byte there is room

    @property
    def left(self) -> int:
        """Bytes that are still to come."""
        return self._total - self.size

    def check(self) -> None:
        """Raise `Superseded` when another request has taken the upload up."""
        if self.superseded:
            raise Superseded("the same upload goes on in another request")

    def write(self, data: bytes) -> None:
        """Append. Raises `Superseded`, `NoRoom`, `TooBig`."""
        self.check()
        if len(data) > self.left:
            raise TooBig(f"the upload said it has {self._total} bytes, and more came")
        if self.size + len(data) > self._roomy:
            ahead = min(self.left, max(len(data), AHEAD))
            self._room(ahead)
            self._roomy = self.size + ahead
        left = memoryview(data)
        while left:
            try:
                written = os.write(self._descriptor, left)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                raise NoRoom(f"the disk is full after {self.size} bytes of this upload") from error
            left = left[written:]
            self.size += written


def check_digest(digest: str) -> str:
    """The hash, or `ValueError`: nothing else ever becomes a part of a path."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"a blob's name is 64 digits 0-9 a-f of its SHA-256, got {digest[:80]!r}")
    return digest
