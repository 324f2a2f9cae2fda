"""Train the head of `sds.metrics.copy_detection` and write the index that ships.

    python -m sds.train.copy_features --data runs/corpus
    python -m sds.train.copy_head --data runs/corpus --sources ../shared/data/train ...
    python -m sds.train.copy_check --data runs/corpus

The triplet loss is that of EDMSound's copy detection (Zhu et al. 2023, arXiv 2311.08667), margin
0.2: the anchor is a training window, the positive a disturbed copy of it, the negative a window of
another recording of its class (their m = -1: nothing is mixed). `--rivals` above 1 draws several
and takes the nearest one. A tenth of the takes is kept back to choose on and a tenth to report on.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sds.metrics.copy_detection import FILE, FOLDER, TABLE, CopyHead
from sds.priors.checkpoints import read_tensors
from sds.priors.quantised import quantise
from sds.train.common import write_weights
from sds.train.copy_features import OUT, PARTS, recordings, take
from sds.train.data import Clip

log = logging.getLogger(__name__)
MARGIN, LEARNING_RATE, BETAS, BATCH = 0.2, 1e-4, (0.9, 0.99), 256
SHOWN = 3  # windows of a training recording that are compared with others: up to 4.5 s
EPOCHS, RIVALS = 200, 1


class Windows:
    """A part that `sds.train.copy_features` wrote: features [N, FEATURES], `clip` and `which`
    [N].
    """

    def __init__(self, path: Path) -> None:
        tensors = read_tensors(path)
        self.features = tensors["features"]
        self.clip, self.which = tensors["clip"], tensors["which"]


def numbered(names: Sequence[str]) -> Tensor:
    """Numbers [N] of names, equal for equal ones, in the order of first use."""
    places: dict[str, int] = {}
    return torch.tensor([places.setdefault(name, len(places)) for name in names])


class Triplets:
    """Anchors, their copies, and other windows of their class, in memory.

    - `anchor`, `copy`: rows of windows in `index` and in `copies`.
    """

    def __init__(self, index: Windows, copies: Sequence[Windows], clips: Sequence[Clip]) -> None:
        self.index = index.features
        self.copies = torch.cat([part.features for part in copies])
        first = torch.searchsorted(index.clip, torch.cat([part.clip for part in copies]))
        self.anchor = first + torch.cat([part.which for part in copies])
        self.take = numbered([take(clip) for clip in clips])[index.clip]
        label = numbered([clip.label for clip in clips])[index.clip]
        learned = torch.zeros(len(label), dtype=torch.bool)  # windows of clips that have copies
        learned[torch.isin(index.clip, index.clip[self.anchor])] = True
        self.of_class = [
            ((label == c) & learned).nonzero()[:, 0] for c in range(int(label.max()) + 1)
        ]
        self.label = label

    def batch(
        self, rows: Tensor, rivals: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Anchors and copies [B, FEATURES], rivals [B, rivals, FEATURES], and which of these are
        of the anchor's own take [B, rivals].
        """
        anchor = self.anchor[rows]
        members = [self.of_class[int(c)] for c in self.label[anchor]]
        drawn = torch.stack(
            [row[torch.from_numpy(rng.integers(len(row), size=rivals))] for row in members]
        )
        own = self.take[drawn] == self.take[anchor][:, None]
        return (
            self.index[anchor].float(),
            self.copies[rows].float(),
            self.index[drawn].float(),
            own,
        )


def loss(head: CopyHead, anchor: Tensor, copy: Tensor, rival: Tensor, own: Tensor) -> Tensor:
    """The mean triplet loss [] of Euclidean distances, margin MARGIN, of anchors and copies
    [B, FEATURES] and the nearest of rivals [B, K, FEATURES] that is not of their `own` take [B, K].
    """
    a, p = head(anchor), head(copy)
    n = head(rival.flatten(0, 1)).unflatten(0, rival.shape[:2])
    near = (a - p).square().sum(1).add(1e-9).sqrt()
    far = (a[:, None] - n).square().sum(2).add(1e-9).sqrt().masked_fill(own, 2.0).amin(1)
    return F.relu(near - far + MARGIN).mean()


def train(data: Triplets, *, epochs: int, rivals: int, seed: int = 0) -> CopyHead:
    """A head, trained for so many passes over the copies."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    head = CopyHead().train()
    optimizer = torch.optim.Adam(head.parameters(), lr=LEARNING_RATE, betas=BETAS)
    for epoch in range(epochs):
        total, steps = 0.0, 0
        for rows in torch.from_numpy(rng.permutation(len(data.copies))).split(BATCH):
            error = loss(head, *data.batch(rows, rivals, rng))
            optimizer.zero_grad()
            torch.autograd.backward([error])
            optimizer.step()
            total, steps = total + float(error.detach()), steps + 1
        if epoch % 20 == 19:
            log.info("epoch %d: loss %.4f", epoch + 1, total / steps)
    return head.eval()


@torch.no_grad()
def embed(head: CopyHead, features: Tensor) -> Tensor:
    """Unit vectors [N, DIM] of features [N, FEATURES]."""
    return torch.cat([head(part.float()) for part in features.split(1024)])


def baselines(vectors: Tensor, index: Windows, clips: Sequence[Clip]) -> tuple[Tensor, Tensor]:
    """Percentiles 0..100 [101] of a training recording's greatest similarity with those of its
    class, and with all: windows of its own take are left out.

    Of each clip its first SHOWN windows are compared, as many as a generated clip has.
    """
    takes = numbered([take(clip) for clip in clips])
    labels = numbered([clip.label for clip in clips])
    within, among = [], []
    for number in range(len(clips)):
        mine = (index.clip == number).nonzero()[:SHOWN, 0]
        best = (vectors[mine] @ vectors.T).amax(0)
        best[takes[index.clip] == takes[number]] = -1.0
        among.append(best.max())
        best[labels[index.clip] != labels[number]] = -1.0
        within.append(best.max())
    levels = torch.linspace(0, 1, 101)
    lone = torch.stack(within)
    return lone[lone > -1].quantile(levels), torch.stack(among).quantile(levels)


def sources(folders: Sequence[Path]) -> dict[str, dict[str, str]]:
    """The rows of the folders' captions.csv, by the path of the recording."""
    rows: dict[str, dict[str, str]] = {}
    for folder in folders:
        with open(folder / "captions.csv", encoding="utf-8", newline="") as lines:
            rows |= {row["path"]: row for row in csv.DictReader(lines)}
    return rows


def write_table(clips: Sequence[Clip], rows: dict[str, dict[str, str]], path: Path) -> Tensor:
    """Write a line a take: file, class, author, licence; returns each clip's line [N]."""
    takes = numbered([take(clip) for clip in clips])
    authors: dict[str, int] = {}
    licences: dict[str, int] = {}
    lines: dict[int, tuple[str, str, int, int]] = {}
    for number, clip in zip(takes.tolist(), clips, strict=True):
        row = rows[clip.origin.removeprefix("recordings/")]
        name = row["origin"].split(" from ")[0] if "_p" in clip.origin else row["origin"]
        author = authors.setdefault(row["author"], len(authors))
        licence = licences.setdefault(row["licence"], len(licences))
        lines.setdefault(number, (name, clip.label, author, licence))
    table = {
        "authors": list(authors),
        "licences": list(licences),
        "recordings": [lines[number] for number in range(len(lines))],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(table, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    os.replace(partial, path)
    return takes


def main() -> None:
    """Train the head and write head, vectors, table and baselines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--heard", type=Path, default=OUT, help="what copy_features wrote")
    parser.add_argument(
        "--sources", type=Path, nargs="+", required=True, help="folders with a captions.csv"
    )
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--rivals", type=int, default=RIVALS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    clips = recordings(args.data, "prior").clips
    index = Windows(args.heard / "index.safetensors")
    copies = [
        Windows(args.heard / f"{part}.safetensors") for part in PARTS if part.startswith("copies")
    ]
    head = train(Triplets(index, copies, clips), epochs=args.epochs, rivals=args.rivals)
    takes = write_table(clips, sources(args.sources), args.out / TABLE)
    vectors = embed(head, index.features)
    within, among = baselines(vectors, index, clips)
    tensors = quantise(dict(head.state_dict()) | {"vectors": vectors})
    tensors |= {"rows": takes[index.clip].int(), "within_class": within, "among_all": among}
    write_weights(tensors, args.out / FILE)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
