"""WAV files without an array library: write float with a bext chunk, read back sample by sample.

bext is the Broadcast Wave chunk of EBU Tech 3285: 602 fixed bytes, then the coding history. Its
TimeReference is the place of frame 0 in the session, in samples: a DAW can put the file where its
source began. Date and time stay empty, so that the same job gives the same bytes.
"""

from __future__ import annotations

import array
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_DATA_BYTES = 2**32 - 65536
BLOCK_FRAMES = 65536

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# Description, originator, reference, date, time, time low, time high, version, UMID, reserved.
_BEXT = struct.Struct("<256s32s32s10s8sIIH64s190s")


@dataclass(frozen=True, slots=True)
class Bext:
    """Where a file belongs and how it came about; ASCII, longer text is cut."""

    time_reference: int = 0
    description: str = ""
    reference: str = ""
    history: str = ""


@dataclass(frozen=True, slots=True)
class Wav:
    """What a WAV's header says; `bext` is None without that chunk."""

    path: Path
    rate: int
    channels: int
    frames: int
    kind: int
    bits: int
    offset: int
    bext: Bext | None


def write(
    path: Path,
    blocks: Iterable[bytes | memoryview],
    *,
    rate: int,
    channels: int,
    frames: int,
    bext: Bext,
) -> None:
    """Write interleaved little-endian float32 `blocks`, `frames` long in all. See `read_header`.

    Raises `ValueError` for more than about 4 GiB of samples, or when the blocks are not that long.
    """
    size = frames * channels * 4
    if size > MAX_DATA_BYTES:
        raise ValueError(f"a WAV holds at most {MAX_DATA_BYTES} bytes of audio, got {size}")
    if not 0 <= bext.time_reference < 2**64:
        raise ValueError(f"time reference must be in range 0..2**64-1, got {bext.time_reference}")
    fmt = struct.pack("<HHIIHHH", _FLOAT, channels, rate, rate * channels * 4, channels * 4, 32, 0)
    chunks = b"".join(
        name + struct.pack("<I", len(body)) + body
        for name, body in (
            (b"bext", _pack(bext)),
            (b"fmt ", fmt),
            (b"fact", struct.pack("<I", frames)),
        )
    )
    written = 0
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 4 + len(chunks) + 8 + size) + b"WAVE")
        file.write(chunks + b"data" + struct.pack("<I", size))
        for block in blocks:
            written += file.write(block)
    if written != size:
        raise ValueError(f"{path.name}: {frames} frames are {size} bytes, got {written}")


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
    """Header of a WAV of 16, 24 or 32-bit integers or 32-bit floats. See `write`.

    Raises `ValueError` with one sentence for any other file.
    """
    fmt, data, bext = b"", None, None
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            raise ValueError(f"{path.name} is not a WAV file")
        while len(chunk := file.read(8)) == 8:
            name, size = chunk[:4], struct.unpack("<I", chunk[4:])[0]
            start = file.tell()
            if name == b"fmt ":
                fmt = file.read(size)
            elif name == b"bext" and size >= _BEXT.size:
                bext = _unpack(file.read(size))
            elif name == b"data":
                data = (start, size)
            file.seek(start + size + (size & 1))
        length = file.seek(0, 2)
    if len(fmt) < 16 or data is None:
        raise ValueError(f"{path.name} is a WAV without a format or without samples")
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
    if kind == _EXTENSIBLE and len(fmt) >= 26:
        kind = struct.unpack("<H", fmt[24:26])[0]
    if (kind, bits) not in ((_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32)) or channels == 0:
        raise ValueError(f"{path.name} holds samples of format {kind}, {bits} bits: not read here")
    offset, size = data
    frames = min(size, max(0, length - offset)) // (channels * bits // 8)
    return Wav(path, rate, channels, frames, kind, bits, offset, bext)


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
    kind = "f" if wav.kind == _FLOAT else "h" if wav.bits == 16 else "i"
    values = array.array(kind, data)
    if sys.byteorder == "big":
        values.byteswap()
    scale = {"f": 1.0, "h": 2.0**-15, "i": 2.0**-31}[kind]
    return [value * scale for value in values]
