"""Cells of the trunk's last map, clip by clip, for `sds.train.cell_words`.

    python -m sds.train.cells --data runs/corpus --split prior

Of each clip up to CELLS cells of its last map, drawn among the louder ones: a vector of 512 and the
band it is of. Goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from sds.datasets.clips import Half, Split
from sds.similarity.trunk import PEAK, RATE, load_trunk
from sds.train.data import Clip, Corpus
from sds.train.latents import RECORDINGS
from sds.train.mixing import names

log = logging.getLogger(__name__)
CELLS = 20
SECONDS = 2.8  # of a clip
LOUD = 0.35  # of the loudest cell's level: fainter ones are not drawn
SHARD = 512
MADE = 0.3  # share of made sounds that is taken
PARTS = frozenset({"recordings", "midi", "procedural"})


def clip_cells(corpus: Corpus, clip: Clip, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Vectors [CELLS, 512] of one clip, half precision, and their bands [CELLS]."""
    trunk = load_trunk()
    audio = corpus.crop(clip, min(clip.frames, int(SECONDS * RATE)), rng)
    audio = F.pad(audio, (0, max(0, RATE // 2 - len(audio))))
    audio = audio * PEAK / audio.abs().max().clamp_min(1e-4)
    levels = trunk.levels(audio[None])
    cells = trunk.maps(levels)[-1][0].permute(1, 2, 0)  # [L', 12, 512]
    loud = F.adaptive_max_pool2d(levels, cells.shape[:2])[0]
    places = (loud >= LOUD * loud.max()).nonzero()
    chosen = places[rng.integers(len(places), size=CELLS)]
    return cells[chosen[:, 0], chosen[:, 1]].half(), chosen[:, 1].to(torch.uint8)


def main() -> None:
    """Write shards of SHARD clips: cells, bands, and a line of captions a clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, help="default: runs/cells-SPLIT")
    parser.add_argument("--split", choices=get_args(Split), default="prior")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    out = args.out or Path(f"runs/cells-{args.split}")
    out.mkdir(parents=True, exist_ok=True)
    half: Half | None = "choose" if args.split == "held" else None
    corpus = Corpus(args.data, frozenset({args.split}), PARTS, half=half)
    rng = np.random.default_rng(0)
    clips = [c for c in corpus.clips if c.part == RECORDINGS or rng.random() < MADE]
    clips = [clips[i] for i in rng.permutation(len(clips))]
    begin = time.monotonic()
    for number, start in enumerate(range(0, len(clips), SHARD)):
        path = out / f"{number:03d}.safetensors"
        if path.is_file():
            continue
        rows = [clip_cells(corpus, clip, rng) for clip in clips[start : start + SHARD]]
        lines = [
            json.dumps({"class": clip.label, "captions": names(clip)}) + "\n"
            for clip in clips[start : start + SHARD]
        ]
        path.with_suffix(".jsonl").write_text("".join(lines), encoding="utf-8")
        cells, bands = zip(*rows, strict=True)
        save_file({"cells": torch.stack(cells), "bands": torch.stack(bands)}, path)
        log.info("%d of %d clips, %.0f s", start + len(rows), len(clips), time.monotonic() - begin)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
