"""The recordings to score on: a folder of `manifest.json` and FLAC files, as in shared/data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from presets.reading import read_json
from sds.signal.audio_files import read, resample


@dataclass(frozen=True, slots=True)
class OneShot:
    """One recorded sound [C, T] with its name, caption and class."""

    name: str
    caption: str
    label: str
    audio: Tensor


@dataclass(frozen=True, slots=True)
class Mixture:
    """A mixture [C, T] at `rate` Hz and its sources, each [C, T], which sum to it, with a prompt
    each.
    """

    name: str
    prompts: tuple[str, ...]
    audio: Tensor
    sources: tuple[Tensor, ...]
    rate: int


def one_shots(data: Path, rate: int, limit: int | None = None) -> list[OneShot]:
    """Load the first `limit` sounds [C, T] of `data`/oneshots, resampled to `rate` Hz."""
    folder = data / "oneshots"
    return [
        OneShot(row["id"], row["caption"], row["cls"], read_resampled(folder / row["file"], rate))
        for row in manifest(folder)[:limit]
    ]


def mixtures(data: Path, limit: int | None = None) -> list[Mixture]:
    """Load the first `limit` mixtures of `data`/mixtures, at their own rates."""
    folder = data / "mixtures"
    items = []
    for row in manifest(folder)[:limit]:
        names = [f"source{k + 1}" for k in range(len(row["prompts"]))]
        mix, rate = read(folder / row["files"]["mix"])
        sources = tuple(read(folder / row["files"][name])[0] for name in names)
        items.append(Mixture(row["id"], tuple(row["prompts"]), mix, sources, rate))
    return items


def stems(data: Path, limit: int | None = None) -> list[Mixture]:
    """Load the first `limit` clips of `data`/stems, if there is such a folder: the names of the
    stems are prompts.
    """
    folder = data / "stems"
    if not folder.is_dir():
        return []
    items = []
    for row in manifest(folder)[:limit]:
        files = {name: folder / file for name, file in row["files"].items()}
        mix, rate = read(files.pop("mix"))
        sources = tuple(read(path)[0] for path in files.values())
        items.append(Mixture(row["id"], tuple(files), mix, sources, rate))
    return items


def read_resampled(path: Path, rate: int) -> Tensor:
    """Read the samples [C, T] of a file, resampled to `rate` Hz."""
    audio, own = read(path)
    return resample(audio, own, rate)


def manifest(folder: Path) -> list[dict[str, Any]]:
    """Read the items of a folder's manifest. Raises a `ValueError` that names what is missing."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise ValueError(f"data must have {folder.name}/manifest.json, {folder.parent} has none")
    try:
        items = read_json(path)["items"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must be a JSON object with a list of items") from error
    if not items:
        raise ValueError(f"{path} must list at least 1 item, got none")
    return list(items)


def prompts(data: Path) -> list[str]:
    """All captions and prompts in the manifests of `data`, without repeats."""
    texts = [row["caption"] for row in manifest(data / "oneshots")]
    texts += [prompt for row in manifest(data / "mixtures") for prompt in row["prompts"]]
    if (data / "stems").is_dir():
        texts += [name for row in manifest(data / "stems") for name in row["files"]]
    return list(dict.fromkeys(texts))


def fingerprint(data: Path) -> str:
    """A digest of what `data` lists: its manifests, the captions of its recordings, its tensors."""
    digest = hashlib.sha256()
    listed = ("*/manifest.json", "train*/captions.csv", "*.safetensors")
    for path in sorted(path for pattern in listed for path in data.glob(pattern)):
        digest.update(f"{path.relative_to(data)} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
