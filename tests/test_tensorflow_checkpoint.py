"""Checkpoints of TensorFlow, written here byte by byte as its formats have them."""

import struct

import numpy as np
import pytest
import torch

from sds.scoreboard.tensorflow_checkpoint import MAGIC, read_checkpoint


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def entry(shape, offset, *, dtype=1):
    dims = b"".join(b"\x12" + varint(len(d)) + d for d in (b"\x08" + varint(n) for n in shape))
    size = 4 * int(np.prod(shape))
    fields = b"\x08" + varint(dtype) + b"\x12" + varint(len(dims)) + dims
    return fields + b"\x20" + varint(offset) + b"\x28" + varint(size) + b"\x35" + b"\0" * 4


def block(items):
    """Keys share what they can with the one before; one restart; not packed, no checksum."""
    out, last = b"", b""
    for key, value in items:
        shared = 0
        while shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        own = key[shared:]
        out += varint(shared) + varint(len(own)) + varint(len(value)) + own + value
        last = key
    return out + struct.pack("<II", 0, 1)


def write(folder, items, data, *, packing=0):
    entries = block(items)
    index = block([(b"z", varint(0) + varint(len(entries)))])
    trailer = bytes([packing]) + b"\0" * 4
    body = entries + trailer
    at = len(body)
    handles = varint(0) + varint(0) + varint(at) + varint(len(index))
    footer = handles.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    (folder / "m.index").write_bytes(body + index + b"\0" * 5 + footer)
    (folder / "m.data-00000-of-00001").write_bytes(data)


@pytest.fixture
def numbers():
    return np.arange(210, dtype="<f4")


def test_tensors_come_back(tmp_path, numbers):
    items = [
        (b"", b"\x08\x01"),  # the header
        (b"dense/bias", entry([10], 0)),
        (b"dense/kernel", entry([200, 1], 40)),
        (b"dense/steps", entry([1], 0, dtype=9)),  # int64
    ]
    write(tmp_path, items, numbers.tobytes())
    found = read_checkpoint(tmp_path, "m")
    assert list(found) == ["dense/bias", "dense/kernel"]
    assert torch.equal(found["dense/bias"], torch.arange(10.0))
    assert torch.equal(found["dense/kernel"][:, 0], torch.arange(10.0, 210.0))


def test_what_is_damaged_is_refused(tmp_path, numbers):
    good = [(b"a", entry([10], 0))]
    write(tmp_path, [(b"a", entry([300], 0))], numbers.tobytes())
    with pytest.raises(ValueError, match=r"a must have \[300\] numbers in the file"):
        read_checkpoint(tmp_path, "m")
    write(tmp_path, good, numbers.tobytes(), packing=1)
    with pytest.raises(ValueError, match="must not be packed, got 1"):
        read_checkpoint(tmp_path, "m")
    numbers[3] = np.nan
    write(tmp_path, good, numbers.tobytes())
    with pytest.raises(ValueError, match="must be finite, a are not"):
        read_checkpoint(tmp_path, "m")
    (tmp_path / "m.index").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="must end with the mark of a table"):
        read_checkpoint(tmp_path, "m")


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path, "m")
