"""Write the statistics of real recordings that the scoreboard compares with.

    python -m sds.train.reference --data DIR

Of each recording of the scoreboard's classes up to five windows of two seconds, those within 30 dB
of its loudest. The file holds figures only (`sds.metrics.spectral_statistics`), no sound. Prints
how often the classifier names recordings whose take it has not seen.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from sds.datasets.reference_statistics import (
    CLASSES,
    FILE,
    FOLDS,
    SIDES,
    Reference,
    fold_of,
    recordings,
    reference,
)
from sds.metrics.spectral_statistics import SECONDS, statistics
from sds.signal.audio_files import read

log = logging.getLogger(__name__)
WINDOWS = 5
SOFTEST = 30.0  # dB below the loudest window


def windows(audio: Tensor, rate: int) -> list[Tensor]:
    """Windows [1, 1, T] of audio [1, T]; the last may be shorter, but not by half."""
    size = round(SECONDS * rate)
    count = max(1, min(WINDOWS, (audio.shape[1] + size // 2) // size))
    parts = [audio[None, :, k * size : (k + 1) * size] for k in range(count)]
    energy = [float(part.square().sum()) for part in parts]
    least = max(energy) * 10 ** (-SOFTEST / 10)
    return [part for part, loud in zip(parts, energy, strict=True) if loud > least]


def write(data: Path, out: Path) -> None:
    """Measure the recordings of `data`/train and write `out`."""
    rows: list[Tensor] = []
    index: list[tuple[int, int, int, bool]] = []
    for recording in recordings(data, CLASSES, SIDES):
        audio, rate = read(data / "train" / recording.path)
        label, side = CLASSES.index(recording.label), SIDES.index(recording.split)
        for number, part in enumerate(windows(audio, rate)):
            rows.append(statistics(part, rate)[0])
            index.append((label, side, fold_of(recording), number == 0))
    if not rows:
        raise ValueError(f"{data} must have train/captions.csv with recordings of {CLASSES}")
    columns = torch.tensor(index, dtype=torch.uint8).T.contiguous()
    tensors = dict(zip(("class", "side", "fold", "first"), columns.clone(), strict=True))
    tensors["statistics"] = torch.stack(rows).half()
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    save_file(tensors, partial, metadata={"classes": json.dumps(CLASSES)})
    partial.replace(out)


def accuracy(real: Reference) -> dict[str, tuple[int, int]]:
    """Class -> recordings named rightly by the classifier without their fold, and recordings."""
    counts = dict.fromkeys(CLASSES, (0, 0))
    firsts = set(real.rows(CLASSES).tolist())
    for fold in range(FOLDS):
        rows = [i for i in sorted(firsts) if real.folds[i] == fold]
        if not rows:
            continue
        for i, name in zip(rows, real.classes(fold).nearest(real.x[rows]), strict=True):
            right, of = counts[real.labels[i]]
            counts[real.labels[i]] = right + (name == real.labels[i]), of + 1
    return counts


def main() -> None:
    """Measure, write, and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/captions.csv")
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write(args.data, args.out)
    counts = accuracy(reference(args.out))
    for name, (right, of) in counts.items():
        log.info("%-10s %3d of %3d", name, right, of)
    shares = [right / of for right, of in counts.values() if of]
    right, of = (sum(column) for column in zip(*counts.values(), strict=True))
    log.info("top-1 %.3f of %d recordings, %.3f mean over classes", right / of, of,
             sum(shares) / len(shares))  # fmt: skip


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
