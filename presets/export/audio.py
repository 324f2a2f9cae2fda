"""RIFF files without an array library: WAV with a `smpl` chunk, which says the root key."""

from __future__ import annotations

import array
import struct
import sys

_PCM, _FLOAT = 1, 3


def chunk(name: bytes, body: bytes) -> bytes:
    """A RIFF chunk: name, size, body, and a byte more when the size is odd."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def wav(
    samples: bytes,
    *,
    rate: int,
    channels: int,
    bits: int,
    root: int | None = None,
    loop: tuple[int, int] | None = None,
) -> bytes:
    """A WAV file of interleaved little-endian samples: integers, or floats when `bits` is 32.

    `root` is the MIDI key at which a sampler plays them as they are, `loop` the first sample that
    it then repeats and the one behind the last; None: one shot.
    """
    frame = channels * bits // 8
    kind = _FLOAT if bits == 32 else _PCM
    chunks = chunk(b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits))
    if kind == _FLOAT:
        chunks += chunk(b"fact", struct.pack("<I", len(samples) // frame))
    if root is not None:  # maker, product, ns a sample, root, its fraction, SMPTE 2, loops, extra
        head = struct.pack("<7I", 0, 0, 10**9 // rate, root, 0, 0, 0)
        # a loop: name, forward, first and last sample, fraction, for ever
        one = b"" if loop is None else struct.pack("<6I", 0, 0, loop[0], loop[1] - 1, 0, 0)
        chunks += chunk(b"smpl", head + struct.pack("<2I", len(one) // 24, 0) + one)
    return chunk(b"RIFF", b"WAVE" + chunks + chunk(b"data", samples))


def integers(floats: bytes) -> bytes:
    """24-bit integers of 32-bit floats within +-1, both little-endian."""
    values = array.array("f", floats)
    if sys.byteorder == "big":
        values.byteswap()
    wide = b"".join(
        min(round(x * 2**23), 2**23 - 1).to_bytes(3, "little", signed=True) for x in values
    )
    return wide
