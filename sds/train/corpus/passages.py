"""Passages of the songs that were trained on, for suite `multisource` to find copies of.

    python -m sds.train.corpus.passages --songs runs/stems --out runs/data

Writes `training_passages.safetensors` (`sds.metrics.passages`): the passages of every training
song's mixture, and how near 12 s of each held-back song come to any of them.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from sds.datasets.clips import FULL_SCALE
from sds.metrics.passages import APART, nearest_passage, passage_vectors
from sds.train.corpus.arrangements import STEMS
from sds.train.corpus.stems import RATE, read_songs

FILE = "training_passages.safetensors"
SECONDS = 12  # of a held-back song, from its middle
HELD = 60  # held-back songs at most

log = logging.getLogger(__name__)


def mixture(folder: Path, row: dict[str, Any]) -> Tensor:
    """The sum [T] of a song's stems."""
    samples = np.fromfile(folder / row["file"], "<i2").reshape(len(STEMS), -1)
    return torch.from_numpy(samples.astype(np.float32).sum(axis=0) / FULL_SCALE)


def collect(folder: Path, hours: float) -> dict[str, Tensor]:
    """What the file holds of the songs in `folder`, of the first `hours` of training songs."""
    rows, found, heard = read_songs(folder), list[Tensor](), 0.0
    for row in rows:
        if row["split"] != "train" or heard >= hours:
            continue
        found.append(passage_vectors(mixture(folder, row), RATE, APART).half())
        heard += row["frames"] / RATE / 3600
        if len(found) % 200 == 0:
            log.info("%d songs, %.1f hours", len(found), heard)
    if not found:
        raise ValueError(f"--songs must be a folder of rendered songs, {folder} has none")
    vectors, size, near = torch.cat(found), SECONDS * RATE, list[float]()
    for row in [row for row in rows if row["split"] == "held"][:HELD]:
        middle = max(0, row["frames"] - size) // 2
        part = mixture(folder, row)[middle : middle + size]
        near.append(nearest_passage(passage_vectors(part, RATE), vectors))
    return {"vectors": vectors, "held": torch.tensor(sorted(near))}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    cli = argparse.ArgumentParser(prog="python -m sds.train.corpus.passages", description=__doc__)
    cli.add_argument("--songs", type=Path, default=Path("runs/stems"), help="default: %(default)s")
    cli.add_argument("--out", type=Path, default=Path("runs/data"), help="default: %(default)s")
    cli.add_argument("--hours", type=float, default=100.0, help="at most (default: %(default)s)")
    return cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Collect; 2 and one sentence when something needed is not there."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = parser().parse_args(arguments)
    try:
        tensors = collect(options.songs, options.hours)
        options.out.mkdir(parents=True, exist_ok=True)
        save_file(tensors, options.out / FILE)
    except (ValueError, OSError) as error:
        log.error("%s", error)
        return 2
    held = tensors["held"]
    log.info("%d passages; held-back songs: %s", len(tensors["vectors"]), held.tolist()[-3:])
    return 0


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    raise SystemExit(main())
