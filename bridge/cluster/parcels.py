"""Files on their way to another machine and back, by content, in pieces.

Pieces wait in Ray's object store, which moves them and puts on disk what memory cannot hold.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PIECE = 16 * 2**20  # bytes
KEPT = 8 * 2**30  # bytes of inputs that a machine keeps for the next job


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file to be put at `path` on another machine: its SHA-256, and Ray's references of its
    pieces. `keep` says that later jobs may read it too.
    """

    path: str
    sha256: str
    pieces: Sequence[Any]
    keep: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a file that comes back: `path` on the server's machine; the last one ends it."""

    path: str
    data: bytes
    last: bool


def pack(path: Path, put: Callable[[bytes], Any], *, keep: bool = False) -> Parcel:
    """Read a file into the object store."""
    digest, pieces = hashlib.sha256(), []
    for data, _ in read_pieces(path):
        digest.update(data)
        pieces.append(put(data))
    return Parcel(str(path), digest.hexdigest(), pieces, keep)


def read_pieces(path: Path) -> Iterator[tuple[bytes, bool]]:
    """The pieces of a file, at least one, and whether it is the last."""
    with path.open("rb") as file:
        data = file.read(PIECE)
        while True:
            following = file.read(PIECE)
            yield data, not following
            if not following:
                return
            data = following


class Store:
    """Inputs of jobs on this machine, by content; the oldest go when they are too many."""

    def __init__(self, folder: Path, limit: int = KEPT) -> None:
        self._folder, self._limit = folder, limit
        self._sizes: OrderedDict[str, int] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    async def unpack(
        self, parcel: Parcel, place: Path, get: Callable[[Any], Awaitable[bytes]]
    ) -> None:
        """Put the file of a parcel at `place`.

        Raises `ValueError` when what came is not what was sent.
        """
        place.parent.mkdir(parents=True, exist_ok=True)
        kept = self._folder / parcel.sha256
        if parcel.sha256 in self._sizes:
            self._sizes.move_to_end(parcel.sha256)
        else:
            digest, size = hashlib.sha256(), 0
            with kept.open("wb") as file:
                for piece in parcel.pieces:
                    data = await get(piece)
                    digest.update(data)
                    size += len(data)
                    file.write(data)
            if digest.hexdigest() != parcel.sha256:
                kept.unlink()
                raise ValueError(f"{parcel.path} came damaged to this machine")
            if not parcel.keep:
                kept.replace(place)
                return
            self._sizes[parcel.sha256] = size
        os.link(kept, place)
        self._forget()

    def _forget(self) -> None:
        while sum(self._sizes.values()) > self._limit and len(self._sizes) > 1:
            sha256, _ = self._sizes.popitem(last=False)
            (self._folder / sha256).unlink()
