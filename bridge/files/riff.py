"""Read the chunks of RIFF files, also of files that break the rules, and those that a FLAC keeps.

WAV is RIFF with chunks of a name, a size and a body of an even length (Multimedia Programming
Interface and Data Specifications 1.0, 1991). RF64 (EBU Tech 3306) and BW64 (ITU-R BS.2088) say
sizes above 4 GiB in a chunk ds64; RIFX is big-endian. Files are found with an ID3 tag before them,
without a byte of padding, and with a size of samples that was never filled in.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

SEE_DS64 = 0xFFFFFFFF
DS64 = struct.Struct("<QQQI")  # sizes of RIFF and data, frames, entries of a table: id, size
MAX_BODY = 2**24  # bytes of a chunk other than the samples that is read
ORDERS = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"RIFX": ">"}
KNOWN = frozenset((b"fmt ", b"data", b"bext", b"iXML", b"LIST", b"fact", b"JUNK", b"ds64"))
FLAC_APPLICATION = 2  # kind of a metadata block of FLAC (RFC 9639, section 8.4)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a file: its name, and where its body lies in the file, as far as it is there."""

    name: bytes
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Riff:
    """A WAV taken apart; `order` is "<" or ">", as `struct` has it. The first of a name counts."""

    order: str
    chunks: tuple[Chunk, ...]

    def find(self, name: bytes) -> Chunk | None:
        """The first chunk of that name."""
        return next((chunk for chunk in self.chunks if chunk.name == name), None)

    def body(self, file: BinaryIO, name: bytes) -> bytes:
        """The body of the first chunk of that name; nothing without it, or when it is too long."""
        chunk = self.find(name)
        if chunk is None or chunk.size > MAX_BODY:
            return b""
        file.seek(chunk.start)
        return file.read(chunk.size)


def read(file: BinaryIO) -> Riff | None:
    """The chunks of a WAV; None for any other file.

    Samples of a size of 0 with no chunk behind them reach to the end of the file: a recorder that
    was cut off leaves them so.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(after_id3(file))
    head = file.read(12)
    order = ORDERS.get(head[:4])
    if order is None or head[8:] != b"WAVE":
        return None
    chunks: list[Chunk] = []
    sizes: dict[bytes, int] = {}  # of chunks that are too large for their own size field
    while len(title := file.read(8)) == 8:
        name, size = title[:4], struct.unpack(f"{order}I", title[4:])[0]
        start = file.tell()
        if size == SEE_DS64:
            size = sizes.get(name, size)
        if name == b"data" and size == 0 and not _chunk_at(file, start, order, length):
            size = length - start
        chunks.append(Chunk(name, start, min(size, length - start)))
        file.seek(start)
        if name == b"ds64":
            sizes = _large(file.read(min(size, MAX_BODY)))
        if start + size >= length:  # what recorders leave that crash, and any size in ds64
            break
        file.seek(start + size + _padding(file, start + size, size))
    return Riff(order, tuple(chunks))


def flac_foreign(file: BinaryIO) -> dict[bytes, bytes]:
    """Bodies of the chunks of a WAV, by name, that a FLAC made of it keeps; empty for other files.

    `flac --keep-foreign-metadata` puts each into an APPLICATION block "riff" of its own.
    """
    file.seek(after_id3(file))
    if file.read(4) != b"fLaC":
        return {}
    return {body[:4]: body[8:] for body in _applications(file, b"riff")}


def _applications(file: BinaryIO, name: bytes) -> Iterator[bytes]:
    last = False
    while not last and len(title := file.read(4)) == 4:
        last, kind, size = title[0] > 127, title[0] & 127, int.from_bytes(title[1:], "big")
        begin = file.tell()
        if kind == FLAC_APPLICATION and file.read(4) == name:
            yield file.read(size - 4)
        file.seek(begin + size)


def after_id3(file: BinaryIO) -> int:
    """Where a file goes on behind an ID3v2 tag (ID3v2.4, section 3.1); 0 without one."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:]) > 127:
        return 0
    size = 0
    for digit in head[6:]:  # seven bits each
        size = size << 7 | digit
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _chunk_at(file: BinaryIO, start: int, order: str, length: int) -> bool:
    """Whether a chunk that we know begins there, and ends within the file."""
    file.seek(start)
    title = file.read(8)
    if len(title) < 8 or title[:4] not in KNOWN:
        return False
    return bool(start + 8 + struct.unpack(f"{order}I", title[4:])[0] <= length)


def _padding(file: BinaryIO, end: int, size: int) -> int:
    """1 behind a body of an odd size, unless its writer left the byte out."""
    if size % 2 == 0:
        return 0
    file.seek(end)
    near = file.read(5)
    return 0 if near[:4] in KNOWN and near[1:] not in KNOWN else 1


def _large(ds64: bytes) -> dict[bytes, int]:
    """Read the sizes in a ds64 chunk, by chunk name."""
    if len(ds64) < DS64.size:
        return {}
    _, data, _, entries = DS64.unpack(ds64[: DS64.size])
    table = ds64[DS64.size : DS64.size + 12 * entries]
    pairs = struct.iter_unpack("<4sQ", table[: len(table) // 12 * 12])
    return {**{name: size for name, size in pairs}, b"data": data}
