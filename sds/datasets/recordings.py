"""The captioned recordings of a folder with a captions.csv, decoded whole."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from sds.datasets.captions import recording_captions
from sds.datasets.clips import RATE, Clip, Split, audible, side_of, split_of, spread

EXCLUDED = Path(__file__).with_name("excluded.txt")
MORE = "more_captions"  # a column of some folders: other phrasings, parted by |
FEW = 12  # classes with fewer files than this alternate, so that both sides hear them
WHOLE_CLASS = 0.25  # a caption on more of its class than this is never held: the class would go


@dataclass(frozen=True, slots=True)
class Recording:
    """A row of captions.csv, and its split."""

    path: str
    caption: str
    label: str
    adjectives: tuple[str, ...]
    split: Split
    phrasings: tuple[str, ...] = ()  # of the caption, other than it


def recording_group(path: str) -> str:
    """The take a file was cut from: pieces and second microphones of one take are one group."""
    return re.sub(r"(_p\d+)?(_(cnd|dnm))?$", "", path.removesuffix(".ogg"))


def read_exclude(file: Path | None) -> tuple[str, ...]:
    """Paths, one a line; empty lines and lines that begin with # do not count."""
    if file is None:
        return ()
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def read_recordings(data: Path, *, exclude: Collection[str] = ()) -> list[Recording]:
    """Rows of `data`/captions.csv, less every take of which a file is in `exclude`."""
    with open(data / "captions.csv", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    unknown = set(exclude) - {row["path"] for row in rows}
    if unknown:
        raise ValueError(f"exclude must name files of captions.csv, got {sorted(unknown)}")
    gone = {recording_group(path) for path in exclude}
    rows = [row for row in rows if recording_group(row["path"]) not in gone]
    splits = _splits(rows)
    return [
        Recording(
            path=row["path"],
            caption=row["caption"],
            label=row["class"],
            adjectives=tuple(filter(None, row["adjectives"].split(","))),
            split=splits[row["path"]],
            phrasings=tuple(filter(None, map(str.strip, (row.get(MORE) or "").split("|")))),
        )
        for row in rows
    ]


def _splits(rows: list[dict[str, str]]) -> dict[str, Split]:
    files = Counter(row["class"] for row in rows)
    uses = Counter((row["class"], row["caption"]) for row in rows)
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        groups[row["class"]].add(recording_group(row["path"]))
    splits: dict[str, Split] = {}
    for row in rows:
        label, caption, group = row["class"], row["caption"], recording_group(row["path"])
        split = split_of(label, caption, group)
        common = uses[label, caption] > WHOLE_CLASS * files[label]
        if files[label] < FEW:
            split = "evaluation_scorer" if sorted(groups[label]).index(group) % 2 else "prior"
        elif split == "held" and common:
            split = side_of(group)
        splits[row["path"]] = split
    return splits


def decode(recording: Recording, data: Path) -> Clip:
    """Decode one file of `data` as a clip [T]. Raises `ValueError` unless it is mono at
    44.1 kHz.
    """
    audio, rate = soundfile.read(data / recording.path, dtype="float32", always_2d=True)
    if rate != RATE or audio.shape[1] != 1:
        raise ValueError(
            f"{recording.path} must be mono at {RATE} Hz, got {audio.shape[1]} channels at {rate}"
        )
    captions = recording_captions(
        recording.caption, recording.label, recording.adjectives, recording.phrasings
    )
    mono = np.ascontiguousarray(audio[:, 0])
    return Clip(mono, captions, recording.label, recording.split, f"recordings/{recording.path}")


def recordings(data: Path, *, exclude: Collection[str] = (), workers: int = 1) -> Iterator[Clip]:
    """Every audible recording of the folder."""
    rows = read_recordings(data, exclude=exclude)
    clips = spread(partial(decode, data=data), rows, workers=workers)
    return (clip for clip in clips if audible(clip.audio))
