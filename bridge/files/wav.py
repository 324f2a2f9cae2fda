"""WAV files without an array library: write float with bext and iXML, read back sample by sample.

bext is the Broadcast Wave chunk of EBU Tech 3285: 602 fixed bytes, then the coding history. Its
TimeReference is the place of frame 0 in the session, in samples: a DAW can put the file where its
source began. Date and time stay empty, so that the same job gives the same bytes.

A RIFF of more than 4 GiB is an RF64 (EBU Tech 3306): its 32-bit sizes are -1, the true ones stand
in the chunk ds64, the first of the file. BW64 (ITU-R BS.2088) is read the same way.
"""

from __future__ import annotations

import array
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

MAX_RIFF = 2**32 - 2  # bytes behind the size field; -1 means "see ds64"
BLOCK_FRAMES = 65536
CHANNELS = range(1, 2**16 // 4)  # a frame's bytes stand in 16 bits

FLOAT = 3  # the kind of a file of floats
_PCM, _EXTENSIBLE = 1, 0xFFFE
_SEE_DS64 = 0xFFFFFFFF
# Description, originator, reference, date, time, time low, time high, version, UMID, reserved.
_BEXT = struct.Struct("<256s32s32s10s8sIIH64s190s")
_MAX_TEXT = 2**24  # bytes of a chunk of text that is read
_DS64 = struct.Struct("<QQQI")  # sizes of RIFF and data, frames, entries of a table: id, size


@dataclass(frozen=True, slots=True)
class Bext:
    """Where a file belongs and how it came about; ASCII, longer text is cut."""

    time_reference: int = 0
    description: str = ""
    reference: str = ""
    history: str = ""


@dataclass(frozen=True, slots=True)
class Wav:
    """What a WAV's header says; `bext` is None and `ixml` empty without that chunk."""

    path: Path
    rate: int
    channels: int
    frames: int
    kind: int
    bits: int
    offset: int
    bext: Bext | None
    ixml: str = ""


class Writer:
    """A WAV being written: interleaved little-endian float32, a block at a time. See `read_header`.

        with Writer(path, rate=48000, channels=2, frames=96000, bext=Bext()) as file:
            file.write(block)

    Without `frames` the length is whatever was written: the header then keeps room for a ds64 by
    a chunk JUNK, as Tech 3306 asks, and `flush` brings it up to date, so that a crash leaves a
    readable file. Leaving raises `ValueError` when the blocks are not `frames` long.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: int,
        channels: int,
        frames: int | None,
        bext: Bext,
        ixml: str = "",
    ) -> None:
        if channels not in CHANNELS:
            raise ValueError(f"channels must be in range 1..{CHANNELS[-1]}, got {channels}")
        if not 0 <= bext.time_reference < 2**64:
            raise ValueError(f"time reference must be in 0..2**64-1, got {bext.time_reference}")
        self.path, self._frame_bytes = path, channels * 4
        self._frames, self._written = frames, 0
        width = self._frame_bytes
        fmt = struct.pack("<HHIIHHH", FLOAT, channels, rate, rate * width, width, 32, 0)
        chunks = [(b"bext", _pack(bext)), (b"iXML", _pad_even(ixml.encode())), (b"fmt ", fmt)]
        self._chunks = b"".join(_chunk(name, body) for name, body in chunks if body)
        self._file: BinaryIO = path.open("wb")
        try:
            self._file.write(self._header(frames or 0))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        with self._file:
            if self._frames is None:
                self.flush()
        if kind is None and self._frames is not None:
            wanted = self._frames * self._frame_bytes
            if self._written != wanted:
                raise ValueError(
                    f"{self.path.name}: {self._frames} frames are {wanted} bytes, "
                    f"got {self._written}"
                )

    @property
    def frames(self) -> int:
        """Whole frames written so far."""
        return self._written // self._frame_bytes

    def write(self, block: bytes | memoryview) -> None:
        """Append interleaved samples."""
        self._written += self._file.write(block)

    def flush(self) -> None:
        """Hand all that was written to the system, with a header that says so much."""
        self._file.flush()  # the samples first: no header may say more than there is
        self._file.seek(0)
        self._file.write(self._header(self.frames))
        self._file.seek(0, 2)
        self._file.flush()

    def _header(self, frames: int) -> bytes:
        """All before the samples; of one length for a file whose length is not known yet."""
        size = frames * self._frame_bytes
        tail = self._chunks + _chunk(b"fact", struct.pack("<I", min(frames, _SEE_DS64)))
        spare = b"" if self._frames is not None else _chunk(b"JUNK", bytes(_DS64.size))
        riff = 4 + len(spare + tail) + 8 + size
        if riff <= MAX_RIFF:
            head = b"RIFF" + struct.pack("<I", riff) + b"WAVE" + spare
            return head + tail + b"data" + struct.pack("<I", size)
        riff += 0 if spare else 8 + _DS64.size
        ds64 = _chunk(b"ds64", _DS64.pack(riff, size, frames, 0))
        minus_one = struct.pack("<I", _SEE_DS64)
        return b"RF64" + minus_one + b"WAVE" + ds64 + tail + b"data" + minus_one


def write(
    path: Path,
    blocks: Iterable[bytes | memoryview],
    *,
    rate: int,
    channels: int,
    frames: int,
    bext: Bext,
    ixml: str = "",
) -> None:
    """Write blocks that are `frames` long in all, as `Writer` does."""
    with Writer(path, rate=rate, channels=channels, frames=frames, bext=bext, ixml=ixml) as file:
        for block in blocks:
            file.write(block)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


def _pad_even(body: bytes) -> bytes:
    """Chunks begin at even places; a space behind XML changes nothing."""
    return body + b" " * (len(body) % 2)


def _pack(bext: Bext) -> bytes:
    texts = (bext.description, "Scorewire", bext.reference)
    low, high = bext.time_reference & 0xFFFFFFFF, bext.time_reference >> 32
    fixed = _BEXT.pack(*(_ascii(text) for text in texts), b"", b"", low, high, 1, b"", b"")
    history = _ascii(bext.history)
    return fixed + history + b"\0" * (len(history) % 2)


def _unpack(body: bytes) -> Bext:
    """The reverse of `_pack`."""
    description, _, reference, _, _, low, high, *_ = _BEXT.unpack(body[: _BEXT.size])
    texts = (description, reference, body[_BEXT.size :])
    description, reference, history = (t.rstrip(b"\0").decode("ascii", "replace") for t in texts)
    return Bext(low | high << 32, description, reference, history)


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")


def read_header(path: Path) -> Wav:
    """Header of a WAV of 16, 24 or 32-bit integers or 32-bit floats. See `Writer`.

    Raises `ValueError` with one sentence for any other file.
    """
    fmt, data, bext, ixml = b"", None, None, ""
    sizes: dict[bytes, int] = {}  # of chunks that are too large for their own size field
    with path.open("rb") as file:
        length = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:] != b"WAVE":
            raise ValueError(f"{path.name} is not a WAV file")
        while len(chunk := file.read(8)) == 8:
            name, size = chunk[:4], struct.unpack("<I", chunk[4:])[0]
            if size == _SEE_DS64:
                size = sizes.get(name, size)
            start = file.tell()
            if name == b"ds64":
                sizes = _large(file.read(min(size, _MAX_TEXT)))
            elif name == b"fmt ":
                fmt = file.read(min(size, 64))
            elif name == b"bext" and _BEXT.size <= size <= _MAX_TEXT:
                bext = _unpack(file.read(size))
            elif name == b"iXML" and size <= _MAX_TEXT:
                ixml = file.read(size).decode(errors="replace").rstrip("\0 ")
            elif name == b"data":
                data = (start, min(size, length - start))
            if start + size >= length:  # what recorders leave that crash, and any size in ds64
                break
            file.seek(start + size + (size & 1))
    if len(fmt) < 16 or data is None:
        raise ValueError(f"{path.name} is a WAV without a format or without samples")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
    if kind == _EXTENSIBLE and len(fmt) >= 26:
        kind = struct.unpack("<H", fmt[24:26])[0]
    if (kind, bits) not in ((_PCM, 16), (_PCM, 24), (_PCM, 32), (FLOAT, 32)):
        raise ValueError(f"{path.name} holds samples of format {kind}, {bits} bits: not read here")
    if channels == 0 or rate == 0:
        raise ValueError(f"{path.name} says it has {channels} channels at {rate} Hz")
    offset, size = data
    frames = size // (channels * bits // 8)
    return Wav(path, rate, channels, frames, kind, bits, offset, bext, ixml)


def _large(ds64: bytes) -> dict[bytes, int]:
    """The sizes that a ds64 chunk tells, by chunk."""
    if len(ds64) < _DS64.size:
        return {}
    _, data, _, entries = _DS64.unpack(ds64[: _DS64.size])
    table = ds64[_DS64.size : _DS64.size + 12 * entries]
    pairs = struct.iter_unpack("<4sQ", table[: len(table) // 12 * 12])
    return {**{name: size for name, size in pairs}, b"data": data}


def samples(wav: Wav) -> Iterator[list[float]]:
    """Interleaved samples, full scale 1, in blocks of at most `BLOCK_FRAMES` frames."""
    left = wav.frames * wav.channels
    with wav.path.open("rb") as file:
        file.seek(wav.offset)
        while left > 0:
            count = min(left, BLOCK_FRAMES * wav.channels)
            data = file.read(count * wav.bits // 8)
            if len(data) < count * wav.bits // 8:
                raise ValueError(f"{wav.path.name} ends before its header says")
            left -= count
            yield _decode(data, wav)


def _decode(data: bytes, wav: Wav) -> list[float]:
    if wav.bits == 24:  # three bytes become the upper three of four, so the sign is right
        wide = bytearray(len(data) // 3 * 4)
        for byte in range(3):
            wide[byte + 1 :: 4] = data[byte::3]
        data = bytes(wide)
    kind = "f" if wav.kind == FLOAT else "h" if wav.bits == 16 else "i"
    values = array.array(kind, data)
    if sys.byteorder == "big":
        values.byteswap()
    scale = {"f": 1.0, "h": 2.0**-15, "i": 2.0**-31}[kind]
    return [value * scale for value in values]
