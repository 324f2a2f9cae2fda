"""`python -m bridge.stems.null_test_numpy STEMS.JSON`: add a stem set up, by numpy, in a process
of its own.

The last line of stdout is [double_db, float_db], the fields of `bridge.stems.manifest.Sum`. The
bridge itself has no array library, and ten minutes of stereo take it most of a minute without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.files import wav
from bridge.stems import levels, null_test

FRAMES = 2**15  # a block: all files' blocks stay in the cache


def add_up(path: Path) -> null_test.NullDepth:
    """As `stems.add_up`, which is the slow and obvious version."""
    headers, gains = null_test.check(path)
    doubles = floats = power = 0.0
    for x, *parts in zip(*map(blocks, headers), strict=True):
        double, bus = np.zeros_like(x), np.zeros(x.shape, np.float32)
        for gain, part in zip(gains, parts, strict=True):
            if len(part) < len(x):  # a given mono stem sounds in every channel
                part = part.repeat(headers[0].channels)
            scaled = gain * part if gain != 1.0 else part
            double += scaled
            bus += scaled.astype(np.float32)
        power += float(x @ x)
        double -= x
        doubles += float(double @ double)
        left = x - bus
        floats += float(left @ left)
    return null_test.NullDepth(levels.null_db(doubles, power), levels.null_db(floats, power))


def blocks(header: wav.Wav) -> Iterator[NDArray[np.float64]]:
    """Interleaved samples, full scale 1, `FRAMES` frames at a time."""
    width = header.channels * header.bits // 8
    left = header.frames
    with header.path.open("rb") as file:
        file.seek(header.offset)
        while left > 0:
            count = min(left, FRAMES)
            data = file.read(count * width)
            if len(data) < count * width:
                raise ValueError(f"{header.path.name} ends before its header says")
            left -= count
            yield decode(data, header)


def decode(data: bytes, header: wav.Wav) -> NDArray[np.float64]:
    """Bytes of a file as samples."""
    if header.kind == wav.FLOAT:
        return np.frombuffer(data, f"<f{header.bits // 8}").astype(np.float64)
    if header.bits == 8:  # these have no sign
        return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) * 2.0**-7
    if header.bits == 24:  # three bytes become the upper three of four, so the sign is right
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0] * 2.0**-31
    kind, scale = ("<i2", 2.0**-15) if header.bits == 16 else ("<i4", 2.0**-31)
    return np.frombuffer(data, kind) * scale


def main() -> None:
    """Say the two depths, or on stderr why not."""
    try:
        rest = add_up(Path(sys.argv[1]))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(null_test.REFUSED)
    sys.stdout.write(json.dumps([rest.double_db, rest.float_db]) + "\n")


if __name__ == "__main__":
    main()
