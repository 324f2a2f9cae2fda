"""Statistics of real recordings to compare with, which are shipped, and their sounds in data/train.

The statistics (`weights/reference`, written by `sds.train.reference`) are all that most figures
need; the sounds are those of a folder with captions.csv, where there is one. Sides are those of the
training corpus: the prior was trained on "prior", the evaluation scorer on "evaluation_scorer", and
nothing on "held".
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import soundfile
import torch
from safetensors import safe_open
from torch import Tensor

from presets.reading import read_json
from sds.datasets.clips import Split, unit_hash
from sds.datasets.recordings import (
    EXCLUDED,
    Recording,
    read_exclude,
    read_recordings,
    recording_group,
)
from sds.metrics.spectral_statistics import Classes, least_deviations
from sds.signal.audio_files import mono, read, resample
from sds.weights import weights_folder

CLASSES = (
    "kick", "snare", "hi-hat", "cymbal", "saxophone", "piano", "guitar", "bass", "flute", "bell",
    "singing", "sea waves", "rain", "water", "clock", "glass", "metal", "wood", "hand drum", "fire",
    "bird", "dog",
)  # fmt: skip
SIDES: tuple[Split, ...] = ("prior", "evaluation_scorer", "held")
FOLDS = 5
FILE = weights_folder("reference") / "statistics.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Statistics x [N, K] of windows of real recordings, standardised, in an order of no meaning.

    `x = (statistics - mean) / deviation`, where no deviation is below `LEAST`. Beside each row its
    class, side, fold and whether it is the first window of its recording.
    """

    x: Tensor
    mean: Tensor
    deviation: Tensor
    labels: tuple[str, ...]
    sides: tuple[Split, ...]
    folds: tuple[int, ...]
    first: tuple[bool, ...]

    def standard(self, statistics: Tensor) -> Tensor:
        """Standardise statistics [B, K]: (statistics - mean) / deviation, [B, K]."""
        return (statistics - self.mean) / self.deviation

    def rows(
        self, labels: Collection[str], sides: Collection[Split] = SIDES, *, first: bool = True
    ) -> Tensor:
        """Indices [R] of the rows of these classes and sides; of the `first` windows only, or of
        all.
        """
        each = zip(self.labels, self.sides, self.first, strict=True)
        return torch.tensor(
            [i for i, (a, b, c) in enumerate(each) if a in labels and b in sides and c >= first],
            dtype=torch.long,
        )

    def classes(self, without: int | None = None) -> Classes:
        """The classifier of all recordings but those of fold `without`."""
        rows = [i for i, fold in enumerate(self.folds) if fold != without]
        return Classes(self.x[rows], [self.labels[i] for i in rows])


@cache
def reference(path: Path = FILE) -> Reference:
    """Load the statistics that `sds.train.reference` wrote. Raises `FileNotFoundError` without
    them.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: run sds.train.reference")
    with safe_open(path, framework="pt") as file:
        raw = file.get_tensor("statistics").float()
        names = read_json(file.metadata()["classes"])
        label, side, fold, first = (
            file.get_tensor(name).tolist() for name in ("class", "side", "fold", "first")
        )
    mean, deviation = raw.mean(0), raw.std(0).maximum(least_deviations())
    return Reference(
        x=(raw - mean) / deviation,
        mean=mean,
        deviation=deviation,
        labels=tuple(names[i] for i in label),
        sides=tuple(SIDES[i] for i in side),
        folds=tuple(fold),
        first=tuple(map(bool, first)),
    )


def fold_of(recording: Recording) -> int:
    """Which of `FOLDS` parts a recording belongs to; pieces of a take stay together."""
    return int(unit_hash(f"fold|{recording_group(recording.path)}") * FOLDS)


def recordings(
    data: Path, labels: Collection[str], sides: Collection[Split], part: str = "train"
) -> list[Recording]:
    """Rows of `data`/`part`/captions.csv of these classes and sides, shuffled; none without the
    file.
    """
    folder = data / part
    if not (folder / "captions.csv").is_file():
        return []
    rows = read_recordings(folder, exclude=_excluded_recordings(folder))
    chosen = [row for row in rows if row.label in labels and row.split in sides]
    return sorted(chosen, key=lambda row: unit_hash(row.path))


def _excluded_recordings(folder: Path) -> list[str]:
    """The excluded recordings that are there: another folder may have none of them."""
    return [path for path in read_exclude(EXCLUDED) if (folder / path).is_file()]


def long_enough(data: Path, chosen: Sequence[Recording], seconds: float) -> list[Recording]:
    """Those of the recordings that last at least `seconds`."""
    return [
        recording
        for recording in chosen
        if soundfile.info(data / "train" / recording.path).duration >= seconds
    ]


def sounds(
    data: Path, chosen: Sequence[Recording], rate: int, seconds: float, part: str = "train"
) -> Tensor:
    """Load the first `seconds` of each recording of `data`/`part`, silence after shorter ones: [B,
    1, T] at `rate` Hz.
    """
    samples = round(seconds * rate)
    out = torch.zeros(len(chosen), 1, samples)
    for row, recording in zip(out, chosen, strict=True):
        audio, own = read(data / part / recording.path)
        signal = resample(mono(audio)[None], own, rate)[:, :samples]
        row[:, : signal.shape[1]] = signal
    return out
