"""Captioned mono clips, which a corpus is made of, in two files a part.

`<part>.i16` holds the int16 samples of all clips end to end at 44.1 kHz, `<part>.jsonl` one object
a clip. The second file is renamed into place last, so a part with both is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from presets.reading import read_json

RATE = 44100
FULL_SCALE = 32767  # int16 of a sample that is 1.0
SILENCE = 1e-4  # a clip whose peak is below this (-80 dBFS) is not worth a caption

Audio: TypeAlias = NDArray[np.float32]
Split: TypeAlias = Literal["prior", "evaluation_scorer", "held"]
Half: TypeAlias = Literal["choose", "report"]

HELD = 0.08  # share of captions (or, of made sounds, of sources) that nothing is trained on
PRIOR = 0.6  # share of the rest that the prior hears; the evaluation scorer hears the others

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Clip:
    """One sound [T] at RATE with its captions.

    - `audio`: float32 samples in -1..1; `captions`: at least one, most exact first.
    - `label`: its class; `split`: what it is for; `origin`: where it comes from, unique.
    """

    audio: Audio
    captions: tuple[str, ...]
    label: str
    split: Split
    origin: str

    def __post_init__(self) -> None:
        if not self.captions or not all(caption.strip() for caption in self.captions):
            raise ValueError(f"captions of {self.origin} must not be empty, got {self.captions}")


def unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text only, on any machine and Python."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48


def split_of(label: str, held_by: str, group: str) -> Split:
    """Assign a sound to a split: held back by class and `held_by`, else prior or evaluation scorer
    by its source.

    Everything cut from one source has one `group`, so that no source is on both sides. Recordings
    are held back by their caption, so that no model was trained on one of it; made sounds by their
    source.
    """
    if unit_hash(f"held|{label}|{held_by}") < HELD:
        return "held"
    return side_of(group)


def side_of(group: str) -> Split:
    """Whether a source that is not held back is for the prior or for the evaluation scorer."""
    return "prior" if unit_hash(f"side|{group}") < PRIOR else "evaluation_scorer"


def half_of(label: str, caption: str) -> Half:
    """Which half of what is held back a clip is in, by its class and its most exact caption.

    Whatever is chosen (a step that ships, a threshold, how sharp shares are) is chosen on the one
    half, and figures are of the other, so that nothing was chosen by what reports it. Clips of one
    caption are together.
    """
    return "choose" if unit_hash(f"presence|{label}|{caption}") < 0.5 else "report"


def normalise_peak(audio: Audio, origin: str) -> Audio:
    """Scale samples [T] to a peak between -12 and -1 dBFS that the origin decides. Raises
    `ValueError` for silence or samples that are not finite.
    """
    peak = float(np.abs(audio).max()) if audio.size else 0.0
    if not np.isfinite(peak) or peak < SILENCE:
        raise ValueError(f"peak of {origin} must be at least {SILENCE} and finite, got {peak}")
    decibels = -12.0 + 11.0 * unit_hash(f"level|{origin}")
    return (audio * (10 ** (decibels / 20) / peak)).astype(np.float32)


def audible(audio: Audio) -> bool:
    """Whether samples [T] are finite and not silent."""
    return bool(audio.size and np.isfinite(audio).all() and np.abs(audio).max() >= SILENCE)


def is_whole(folder: Path, part: str) -> bool:
    """Whether both files of the part are there, so that it was written to its end."""
    return (folder / f"{part}.i16").exists() and (folder / f"{part}.jsonl").exists()


def write_part(folder: Path, part: str, clips: Iterable[Clip]) -> int:
    """Write clips as they come, levelled; returns how many. Inverse of `read_part` to 16 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    sound, table = folder / f"{part}.i16", folder / f"{part}.jsonl"
    table.unlink(missing_ok=True)  # from here on the part is not whole
    start = count = 0
    with (
        open(f"{sound}.tmp", "wb") as samples,
        open(f"{table}.tmp", "w", encoding="utf-8") as lines,
    ):
        for clip in clips:
            audio = normalise_peak(clip.audio, clip.origin)
            samples.write(np.round(audio * FULL_SCALE).astype("<i2").tobytes())
            row = {
                "start": start,
                "frames": len(audio),
                "captions": list(clip.captions),
                "class": clip.label,
                "split": clip.split,
                "origin": clip.origin,
            }
            lines.write(json.dumps(row) + "\n")
            start, count = start + len(audio), count + 1
    os.replace(f"{sound}.tmp", sound)
    os.replace(f"{table}.tmp", table)
    return count


def read_table(folder: Path, part: str) -> list[dict[str, Any]]:
    """The rows of a part's table, in order."""
    with open(folder / f"{part}.jsonl", encoding="utf-8") as lines:
        return [read_json(line) for line in lines]


def read_part(folder: Path, part: str) -> Iterator[Clip]:
    """The clips of a part, one at a time, samples in [-1, 1]. Inverse of `write_part`."""
    samples = np.memmap(folder / f"{part}.i16", dtype="<i2", mode="r")
    for row in read_table(folder, part):
        stored = samples[row["start"] : row["start"] + row["frames"]]
        audio = stored.astype(np.float32) / np.float32(FULL_SCALE)
        yield Clip(audio, tuple(row["captions"]), row["class"], row["split"], row["origin"])


def spread(
    make: Callable[[_Item], _Made], items: Iterable[_Item], *, workers: int
) -> Iterator[_Made]:
    """Map in order over this many processes; 1 stays in this one. Raises `ValueError` for fewer."""
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if workers == 1:
        yield from map(make, items)
        return
    # not forked: the parent may hold threads of torch and numba
    context, flush = get_context("spawn"), torch.set_flush_denormal
    with ProcessPoolExecutor(workers, context, initializer=flush, initargs=(True,)) as pool:
        yield from pool.map(make, items, chunksize=8)
