"""Read the tensors of a TensorFlow checkpoint (a "tensor bundle") without TensorFlow.

A bundle is two files. `.index` is a table as LevelDB writes them: blocks of sorted keys, each entry
sharing a prefix with the one before, and a footer that says where the index of the blocks is. The
key of an entry is the name of a tensor, its value a protocol buffer (`BundleEntryProto`): type,
shape, and where the numbers lie in `.data-00000-of-00001`, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOOTER, MAGIC = 48, 0xDB4775248B80FB57  # LevelDB's table_format.md
FLOAT = 1  # DT_FLOAT of TensorFlow's types.proto
DTYPE, SHAPE, OFFSET, SIZE = 1, 2, 4, 5  # fields of BundleEntryProto
DIM, LENGTH = 2, 1  # fields of TensorShapeProto, and of its Dim
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers


def read_checkpoint(folder: Path, name: str = "") -> dict[str, Tensor]:
    """Read the float32 tensors [...] of the bundle `name` in a folder by name; others are left out.

    Raises `FileNotFoundError` where it is not there, `ValueError` where it is damaged, packed, or
    holds numbers that are not finite.
    """
    index = (folder / f"{name}.index").read_bytes()
    data = (folder / f"{name}.data-00000-of-00001").read_bytes()
    try:
        found = dict(_tensors(index, data))
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"the checkpoint in {folder} must be whole: {error}") from error
    if bad := [name for name, tensor in found.items() if not bool(tensor.isfinite().all())]:
        raise ValueError(f"tensors in {folder} must be finite, {', '.join(bad)} are not")
    return found


def _tensors(index: bytes, data: bytes) -> Iterator[tuple[str, Tensor]]:
    """Each float32 tensor with its name."""
    for key, value in _table(index):
        entry = dict(_fields(value))
        if not key or entry.get(DTYPE) != FLOAT:  # the entry without a name is the header
            continue
        dims = [dict(_fields(_bytes(dim))) for _, dim in _fields(_bytes(entry.get(SHAPE, b"")))]
        shape = [_number(dim.get(LENGTH, 0)) for dim in dims]
        start, size = _number(entry.get(OFFSET, 0)), _number(entry.get(SIZE, 0))
        if size != 4 * int(np.prod(shape)) or start + size > len(data):
            raise ValueError(f"{key.decode()} must have {shape} numbers in the file, got {size} B")
        numbers = np.frombuffer(data[start : start + size], "<f4").reshape(shape)
        yield key.decode(), torch.from_numpy(numbers.copy())


def _table(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table, in order."""
    if len(file) < FOOTER or struct.unpack("<Q", file[-8:])[0] != MAGIC:
        raise ValueError("the index of a checkpoint must end with the mark of a table")
    footer = file[-FOOTER:]
    at = _varint(footer, _varint(footer, 0)[1])[1]  # behind the place of the meta index
    for _, handle in _block(file, footer[at:]):
        yield from _block(file, handle)


def _block(file: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block that a handle, its offset and size, points at."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    block = file[offset : offset + size]
    if file[offset + size]:
        raise ValueError(f"blocks of a checkpoint must not be packed, got {file[offset + size]}")
    (restarts,) = struct.unpack("<I", block[-4:])
    end, at, key = len(block) - 4 - 4 * restarts, 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield field, value
            continue
        if wire == BYTES:
            length, at = _varint(message, at)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"wire type of a field must be 0, 1, 2 or 5, got {wire}")
        yield field, message[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, least first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"a message must be bytes, got {value}")
    return value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError(f"a number must be a varint, got {value!r}")
    return value
