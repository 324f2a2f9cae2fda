"""Read what `sds.train.corpus` wrote: clips in memory-mapped int16 files, drawn at random.

A part is `<name>.i16` (mono 44.1 kHz samples, one clip after the other) and `<name>.jsonl` (one
line a clip: start, frames, captions, class, split, origin).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sds.datasets.clips import FULL_SCALE, Half, half_of, read_table

RATE = 44100
LONG = 10.0  # seconds of a clip that count


@dataclass(frozen=True, slots=True)
class Clip:
    """Where a clip lies in its part (start and frames in samples), its captions, class,
    split and where it comes from.
    """

    part: str
    start: int
    frames: int
    captions: tuple[str, ...]
    label: str
    split: str
    origin: str = ""


class Corpus:
    """All clips of a folder whose split is in `splits`, with their samples mapped, not loaded.

    Of `parts` only, and of one `half` only, where these are named (`sds.datasets.clips.half_of`).
    """

    def __init__(
        self,
        folder: Path,
        splits: frozenset[str],
        parts: frozenset[str] | None = None,
        *,
        half: Half | None = None,
    ) -> None:
        self.clips: list[Clip] = []
        self._samples: dict[str, npt.NDArray[np.int16]] = {}
        for index in sorted(folder.glob("*.jsonl")):
            part = index.stem
            if parts is not None and part not in parts:
                continue
            self._samples[part] = np.memmap(index.with_suffix(".i16"), dtype=np.int16, mode="r")
            for row in read_table(folder, part):
                if half not in (None, half_of(row["class"], row["captions"][0])):
                    continue
                if row["split"] in splits and row["frames"] > 0:
                    self.clips.append(
                        Clip(
                            part,
                            row["start"],
                            row["frames"],
                            tuple(row["captions"]),
                            row["class"],
                            row["split"],
                            row.get("origin", ""),
                        )
                    )
        if not self.clips:
            which = f"{sorted(splits)}" + (f", half {half!r}," if half else "")
            raise ValueError(f"no clips of {which} in {folder}: run sds.train.corpus first")

    def audio(self, clip: Clip, start: int = 0, frames: int | None = None) -> Tensor:
        """Samples [T] in -1..1, from `start` inside the clip; past its end is silence."""
        frames = clip.frames - start if frames is None else frames
        stop = min(clip.frames, start + frames)
        out = torch.zeros(frames)
        if stop > start:
            part = self._samples[clip.part][clip.start + start : clip.start + stop]
            out[: stop - start] = torch.from_numpy(part.astype(np.float32)) / FULL_SCALE
        return out

    def crop(self, clip: Clip, frames: int, rng: np.random.Generator) -> Tensor:
        """A random piece [frames] of the clip; a shorter clip is followed by silence."""
        slack = clip.frames - frames
        start = int(rng.integers(0, slack + 1)) if slack > 0 else 0
        return self.audio(clip, start, frames)


def class_weights(clips: Sequence[Clip]) -> npt.NDArray[np.float64]:
    """Probability of each clip, as `balanced_weights` has it."""
    return balanced_weights([clip.label for clip in clips], [clip.frames / RATE for clip in clips])


def balanced_weights(labels: Sequence[str], seconds: Sequence[float]) -> npt.NDArray[np.float64]:
    """Probability of each clip: a class has the root of its seconds, its clips share by length."""
    _, classes = np.unique(labels, return_inverse=True)
    length = np.minimum(seconds, LONG)
    weight = length / np.sqrt(np.bincount(classes, length))[classes]
    return np.asarray(weight / weight.sum())
