"""WAV files without an array library: write float with bext and iXML, read back sample by sample.

bext is the Broadcast Wave chunk of EBU Tech 3285: 602 fixed bytes, then the coding history. Its
TimeReference is the place of frame 0 in the session, in samples: a DAW can put the file where its
source began. Date and time stay empty, so that the same job gives the same bytes.

A RIFF of more than 4 GiB is an RF64 (EBU Tech 3306): its 32-bit sizes are -1, the true ones stand
in the chunk ds64, the first of the file. `bridge.files.riff` finds the chunks of what is read.
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

from bridge.files import riff
from bridge.files.riff import DS64, SEE_DS64

MAX_RIFF = 2**32 - 2  # bytes behind the size field; -1 means "see ds64"
BLOCK_FRAMES = 65536
CHANNELS = range(1, 2**16 // 4)  # a frame's bytes stand in 16 bits

FLOAT = 3  # the kind of a file of floats
_PCM, _EXTENSIBLE = 1, 0xFFFE
# Description, originator, reference, date, time, time low, time high, version, UMID, reserved.
_BEXT = struct.Struct("<256s32s32s10s8sIIH64s190s")
# Code of `array`, what one step is, and where zero is, by kind and bits; 24 are read as 32.
_CODES = {
    (_PCM, 8): ("B", 2.0**-7, 128),
    (_PCM, 16): ("h", 2.0**-15, 0),
    (_PCM, 24): ("i", 2.0**-31, 0),
    (_PCM, 32): ("i", 2.0**-31, 0),
    (FLOAT, 32): ("f", 1.0, 0),
    (FLOAT, 64): ("d", 1.0, 0),
}


@dataclass(frozen=True, slots=True)
class Bext:
    """Where a file belongs and how it came about; ASCII, longer text is cut."""

    time_reference: int = 0
    description: str = ""
    reference: str = ""
    history: str = ""


@dataclass(frozen=True, slots=True)
class Wav:
    """The header of a WAV; `bext` is None and `ixml` empty without that chunk.

    `bits` are those that a sample takes in the file, a multiple of 8.
    """

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
        file: BinaryIO | None = None,
    ) -> None:
        """Begin the file at `path`, or go on with it as `file`, open and empty."""
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
        self._file: BinaryIO = path.open("wb") if file is None else file
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
        tail = self._chunks + _chunk(b"fact", struct.pack("<I", min(frames, SEE_DS64)))
        spare = b"" if self._frames is not None else _chunk(b"JUNK", bytes(DS64.size))
        riff = 4 + len(spare + tail) + 8 + size
        if riff <= MAX_RIFF:
            head = b"RIFF" + struct.pack("<I", riff) + b"WAVE" + spare
            return head + tail + b"data" + struct.pack("<I", size)
        riff += 0 if spare else 8 + DS64.size
        ds64 = _chunk(b"ds64", DS64.pack(riff, size, frames, 0))
        minus_one = struct.pack("<I", SEE_DS64)
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


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace")


def read_header(path: Path) -> Wav:
    """Header of a WAV of 8, 16, 20, 24 or 32-bit integers or 32 or 64-bit floats. See `Writer`.

    Raises `ValueError` with one sentence for any other file.
    """
    with path.open("rb") as file:
        chunks = riff.read(file)
        if chunks is None:
            raise ValueError(f"{path.name} is not a WAV file")
        fmt, data = chunks.body(file, b"fmt ")[:64], chunks.find(b"data")
        texts = {name: chunks.body(file, name) for name in (b"bext", b"iXML")}
    if len(fmt) < 16 or data is None:
        raise ValueError(f"{path.name} is a WAV without a format or without samples")
    if chunks.order != "<":
        raise ValueError(f"{path.name} is a big-endian WAV: its samples are not read here")
    kind, channels, rate, _, align, valid = struct.unpack("<HHIIHH", fmt[:16])
    if kind == _EXTENSIBLE and len(fmt) >= 26:
        kind = struct.unpack("<H", fmt[24:26])[0]
    if channels == 0 or rate == 0:
        raise ValueError(f"{path.name} says it has {channels} channels at {rate} Hz")
    bits = align // channels * 8  # of a place: 20 valid bits are the upper ones of 24
    if (kind, bits) not in _CODES or not (0 < valid <= bits if kind == _PCM else valid == bits):
        raise ValueError(f"{path.name} holds samples of format {kind}, {valid} bits: not read here")
    frames = data.size // (channels * bits // 8)
    ixml = texts[b"iXML"].decode(errors="replace").rstrip("\0 ")
    bext = read_bext(texts[b"bext"])
    return Wav(path, rate, channels, frames, kind, bits, data.start, bext, ixml)


def read_bext(body: bytes, order: str = "<") -> Bext | None:
    """What the body of a bext chunk says, its numbers in a byte order of `struct`; None if cut."""
    if len(body) < _BEXT.size:
        return None
    fields = struct.unpack(order + _BEXT.format[1:], body[: _BEXT.size])
    description, _, reference, _, _, low, high, *_ = fields
    texts = (description, reference, body[_BEXT.size :])
    description, reference, history = (t.rstrip(b"\0").decode("ascii", "replace") for t in texts)
    return Bext(low | high << 32, description, reference, history)


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
    kind, scale, middle = _CODES[wav.kind, wav.bits]
    values = array.array(kind, data)
    if sys.byteorder == "big":
        values.byteswap()
    if middle:
        return [(value - middle) * scale for value in values]
    return [value * scale for value in values]
