"""Keep finished windows on disk, from which a killed separation goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sds
from bridge.files import atomic_output
from presets.reading import read_json
from sds.signal.overlap_add import Span

Row = tuple[float, str, dict[str, float]]
"""Fraction, stage and figures of one step."""


@dataclass(frozen=True, slots=True)
class FinishedWindows:
    """The stems [K, C, end - begin] of each window that is done, faded, in files of their own.

    A window is there whole or not at all. `rows` are the curves of its steps.
    """

    folder: Path
    windows: Sequence[Span]
    stems: int
    channels: int

    def __contains__(self, index: int) -> bool:
        path = self._path(index)
        return path.is_file() and path.stat().st_size == 4 * self._count(index)

    def put(self, index: int, stems: Tensor, rows: list[Row]) -> None:
        """Keep a window; it counts as done from now on."""
        rows_json = json.dumps(rows).encode()
        atomic_output.write_whole(self._path(index).with_suffix(".json"), rows_json)
        atomic_output.write_whole(self._path(index), stems.contiguous().numpy().tobytes())

    def get(self, index: int) -> Tensor:
        """The stems of a window that is done. The reverse of `put`."""
        begin, end = self.windows[index]
        data = torch.from_numpy(np.fromfile(self._path(index), np.float32))
        return data.reshape(self.stems, self.channels, end - begin)

    def pieces(self) -> Iterator[Tensor]:
        """All windows in order, one in memory at a time."""
        return (self.get(index) for index in range(len(self.windows)))

    def curves(self) -> dict[str, list[Any]]:
        """One entry a step in each of fraction, stage and figures, over all windows."""
        paths = (self._path(index).with_suffix(".json") for index in range(len(self.windows)))
        rows = [row for path in paths for row in read_json(path)]
        columns = zip(*rows, strict=True) if rows else ([], [], [])
        keys = ("fraction", "stage", "figures")
        return {key: list(column) for key, column in zip(keys, columns, strict=True)}

    def _path(self, index: int) -> Path:
        return self.folder / f"window-{index:05d}.f32"

    def _count(self, index: int) -> int:
        begin, end = self.windows[index]
        return self.stems * self.channels * (end - begin)


def digest(values: Sequence[Any]) -> str:
    """A digest of what JSON can say, 16 letters."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


@lru_cache(maxsize=8)
def code(folder: Path = Path(sds.__file__).parent) -> list[tuple[str, str]]:
    """Name and digest of every module of a package, name and size of its other files.

    Other code may make windows differently. The same code on another machine makes the same ones;
    which weights are used, models say by hashes of their own.
    """
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f.suffix != ".pyc")
    return [(f.relative_to(folder).as_posix(), _digest(f)) for f in files]


def _digest(file: Path) -> str:
    if file.suffix == ".py":
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return str(file.stat().st_size)


def check_space(place: Path, needed: int, what: str) -> None:
    """Refuse early what would fill the disk: `what` needs so many bytes below `place`."""
    folder = next(f for f in (place, *place.parents) if f.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{what} need {needed / 1e9:.1f} GB while they are made, "
            f"and {folder} has {free / 1e9:.1f} GB free"
        )
