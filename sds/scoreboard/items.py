"""The recordings to score on: a folder of `manifest.json` and FLAC files, as in shared/data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sds.audio import read, resample


@dataclass(frozen=True, slots=True)
class OneShot:
    """One recorded sound [C, T] with its caption and class."""

    name: str
    caption: str
    label: str
    audio: Tensor


@dataclass(frozen=True, slots=True)
class Mixture:
    """A mixture [C, T] at `rate` and its sources [K, C, T], which sum to it, with a prompt each."""

    name: str
    prompts: tuple[str, ...]
    audio: Tensor
    sources: tuple[Tensor, ...]
    rate: int


def one_shots(data: Path, rate: int, limit: int | None = None) -> list[OneShot]:
    """The sounds of `data`/oneshots, resampled to `rate`."""
    folder = data / "oneshots"
    return [
        OneShot(row["id"], row["caption"], row["cls"], resampled(folder / row["file"], rate))
        for row in manifest(folder)[:limit]
    ]


def mixtures(data: Path, limit: int | None = None) -> list[Mixture]:
    """The mixtures of `data`/mixtures, at their own rates."""
    folder = data / "mixtures"
    found = []
    for row in manifest(folder)[:limit]:
        names = [f"source{k + 1}" for k in range(len(row["prompts"]))]
        mix, rate = read(folder / row["files"]["mix"])
        sources = tuple(read(folder / row["files"][name])[0] for name in names)
        found.append(Mixture(row["id"], tuple(row["prompts"]), mix, sources, rate))
    return found


def resampled(path: Path, rate: int) -> Tensor:
    """The samples [C, T] of a file at `rate`."""
    audio, own = read(path)
    return resample(audio, own, rate)


def manifest(folder: Path) -> list[dict[str, Any]]:
    """The items of a folder's manifest; a `ValueError` that names what is missing."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise ValueError(f"data must have {folder.name}/manifest.json, {folder.parent} has none")
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must be a JSON object with a list of items") from error
    if not items:
        raise ValueError(f"{path} must list at least 1 item, got none")
    return list(items)
