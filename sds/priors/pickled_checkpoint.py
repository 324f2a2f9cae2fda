"""Tensors of a checkpoint that torch.save wrote, read without trusting its pickle.

A Lightning checkpoint holds more than tensors: hyper-parameters with objects of its author's
packages, so that torch's own reader of weights refuses it, and a pickle can name any function and
have it called. Here the pickle is read by an unpickler that knows OrderedDict, the kinds of
storages, and the two functions that rebuild tensors. These are answered by tuples that only say
where the numbers are. Every other name, be it `LogNormalDistribution` or `os.system`, is an `Inert`
class: calling it makes an empty object, and nothing is imported or run. Numbers are read
afterwards, inside the bounds of the file.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sds.priors.checkpoints import ModelUnavailable

MAX_FILE = 8 << 30  # bytes; the released models have 1.6 GB
MAX_PICKLE = 16 << 20  # bytes of names and shapes, about 0.3 MB there
MAX_ENTRIES = 100_000  # of the archive

DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""Kinds of storages by the name that a pickle has for them."""


class StorageAt(NamedTuple):
    """Which numbers of the file a storage is: their kind, its entry below data/, how many."""

    kind: object
    key: object
    length: object


class TensorAt(NamedTuple):
    """Which numbers of a storage a tensor is; nothing of it was checked."""

    storage: object
    offset: object
    shape: object
    strides: object


class Inert:
    """What stands for an object of a class that is not known: it takes everything, and does
    nothing.
    """

    def __init__(self, *arguments: object, **named: object) -> None:
        pass

    def __call__(self, *arguments: object, **named: object) -> Inert:
        """Make another."""
        return Inert()

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Take an item of a list."""

    def extend(self, items: object) -> None:
        """Take items of a list."""

    def add(self, item: object) -> None:
        """Take an item of a set."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors [...] by name of a checkpoint of torch.save, those of "state_dict" where it
    has one.

    Tensors of one storage share it. Raises `ModelUnavailable`, one sentence, for what is no such
    file, what is damaged, and what is too large.
    """
    size = path.stat().st_size
    if size > MAX_FILE:
        raise ModelUnavailable(f"{path} is larger than {MAX_FILE >> 30} GB, so it was not opened.")
    if not zipfile.is_zipfile(path):
        raise ModelUnavailable(
            f"{path} is not a checkpoint of PyTorch 1.6 or newer, which is a ZIP archive; where it "
            "is a .tar, unpack it and give the .ckpt inside."
        )
    try:
        with zipfile.ZipFile(path) as file:
            archive = _Archive(file, size)
            return {name: archive.tensor(at) for name, at in archive.state_dict().items()}
    except _Damaged as error:
        raise ModelUnavailable(f"{path} is not a checkpoint of PyTorch: {error}.") from error
    except _UNREADABLE as error:
        raise ModelUnavailable(
            f"{path} is not a checkpoint of PyTorch, or it is damaged ({type(error).__name__}); "
            "fetch it again."
        ) from error


class _Damaged(Exception):
    """Something in the archive that torch.save does not write."""


# What reading a pickle that torch.save did not write can end in.
_UNREADABLE = (
    pickle.UnpicklingError, zipfile.BadZipFile, EOFError, OSError, ValueError, TypeError,
    LookupError, AttributeError, RuntimeError, OverflowError, MemoryError, NotImplementedError,
)  # fmt: skip


class _Archive:
    """The entries of one ZIP archive, and the storages that were read of them."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise _Damaged(f"it has more than {MAX_ENTRIES} entries")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise _Damaged("its entries are compressed")
        if sum(entry.file_size for entry in entries) > size:
            raise _Damaged("its entries overlap")
        pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise _Damaged("it has no data.pkl")
        if pickles[0].file_size > MAX_PICKLE:
            raise _Damaged(f"its data.pkl is larger than {MAX_PICKLE >> 20} MB")
        self.zip, self.pickle = archive, pickles[0]
        self.folder = pickles[0].filename.removesuffix("data.pkl")
        self.storages: dict[str, Tensor] = {}
        names = {entry.filename for entry in entries}
        order = f"{self.folder}byteorder"
        if order in names and archive.read(order) != b"little":
            raise _Damaged("its numbers are big-endian")

    def state_dict(self) -> dict[str, TensorAt]:
        data = self.zip.read(self.pickle)
        _check_memo(data)
        loaded = _Unpickler(io.BytesIO(data)).load()
        state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
        if not isinstance(state, dict):
            raise _Damaged("it holds no tensors by name")
        return {
            name: at
            for name, at in state.items()
            if isinstance(name, str) and isinstance(at, TensorAt)
        }

    def tensor(self, at: TensorAt) -> Tensor:
        """The tensor [...] at a place that is inside its storage, and not larger."""
        numbers = self.storage(at.storage)
        shape, strides, offset = _whole(at.shape), _whole(at.strides), at.offset
        if len(shape) != len(strides) or not isinstance(offset, int) or offset < 0:
            raise _Damaged("a tensor's shape, strides and offset do not fit")
        last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
        if math.prod(shape) > len(numbers) or (0 not in shape and last >= len(numbers)):
            raise _Damaged("a tensor is larger than its storage")
        return numbers.as_strided(shape, strides, offset)

    def storage(self, at: object) -> Tensor:
        """Numbers [length] of a storage; the same tensor each time."""
        if not isinstance(at, StorageAt):
            raise _Damaged("a tensor has no storage")
        kind, key, length = at
        if not (isinstance(kind, torch.dtype) and isinstance(key, str) and isinstance(length, int)):
            raise _Damaged("a storage has no kind, name or length")
        if key not in self.storages:
            entry = self.zip.getinfo(f"{self.folder}data/{key}")
            if entry.file_size != length * kind.itemsize:
                raise _Damaged(f"storage {key} has {entry.file_size} bytes for {length} numbers")
            numbers = bytearray(self.zip.read(entry))
            empty = torch.empty(0, dtype=kind)
            self.storages[key] = torch.frombuffer(numbers, dtype=kind) if numbers else empty
        if self.storages[key].dtype != kind:
            raise _Damaged(f"storage {key} is of two kinds")
        return self.storages[key]


def _check_memo(data: bytes) -> None:
    """Raise unless what the pickle remembers is numbered from 0 on, as far as it has opcodes: the
    unpickler makes a table as long as the highest number.
    """
    count = highest = 0
    for opcode, argument, _ in pickletools.genops(data):
        count += 1
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            highest = max(highest, int(argument or 0))
    if highest > count:
        raise _Damaged("its pickle was not written by Python")


class _Unpickler(pickle.Unpickler):
    """An unpickler whose names are those of this module."""

    def find_class(self, module: str, name: str) -> Any:
        """Answer a name; an unknown one by a new `Inert` class."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: TensorAt(*arguments[:4])
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        return type("Inert", (Inert,), {})

    def persistent_load(self, pid: Any) -> StorageAt:
        """Answer a storage: ("storage", kind, key, device, length)."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage"):
            raise _Damaged("it refers to something else than a storage")
        return StorageAt(pid[1], pid[2], pid[4])


def _whole(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple) or any(not isinstance(n, int) or n < 0 for n in value):
        raise _Damaged("a tensor's shape or strides are no row of whole numbers")
    return value
