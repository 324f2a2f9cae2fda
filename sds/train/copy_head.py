"""Train the head of `sds.metrics.copy_detection` and write the index that ships.

    python -m sds.train.copy_features --data runs/corpus
    python -m sds.train.copy_head --data runs/corpus --sources ../shared/data/train ...
    python -m sds.train.copy_check --data runs/corpus

The head is a linear discriminant analysis (Fisher 1936): within the first COMPONENTS principal
components of the features, those directions in which windows differ much, and disturbed copies
little from what they are copies of; then all directions are made equally wide. A tenth of the takes
is kept back to choose on and a tenth to report on.
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

from sds.metrics.copy_detection import (
    DIM,
    FILE,
    FOLDER,
    PRINTS,
    TABLE,
    WINDOW,
    CopyHead,
    CopyIndex,
    read_recordings,
)
from sds.metrics.fingerprint import fingerprint
from sds.priors.checkpoints import read_tensors
from sds.priors.quantised import quantise
from sds.train.common import write_weights
from sds.train.copy_features import OUT, recordings, take
from sds.train.data import Clip, Corpus

log = logging.getLogger(__name__)
COMPONENTS, SAMPLE, RIDGE = 400, 4500, 0.1
MATCHED = 500  # takes whose greatest match with another take makes the percentiles
SHOWN = 3  # windows of a training recording that are compared with others: up to 4.5 s


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


def paired(index: Windows, copies: Sequence[Windows]) -> tuple[Tensor, Tensor]:
    """The row in `index` [M] that each copy was made of, and the copies' features [M, FEATURES]."""
    first = torch.searchsorted(index.clip, torch.cat([part.clip for part in copies]))
    row = first + torch.cat([part.which for part in copies])
    return row, torch.cat([part.features for part in copies])


def fit(index: Windows, copies: Sequence[Windows], *, seed: int = 0) -> CopyHead:
    """The head that parts windows, and leaves copies where they are, best.

    With S_b the covariance of windows and S_w that of what a disturbance changes, both in principal
    components, the rows are v / sqrt(v' S_b v) for the greatest DIM of v' S_b v / v' S_w v.
    """
    torch.manual_seed(seed)  # svd_lowrank draws, and takes no generator
    rows, changed = paired(index, copies)
    some = F.normalize(index.features[torch.randperm(len(index.clip))[:SAMPLE]].float(), dim=1)
    mean = some.mean(0)
    _, _, basis = torch.svd_lowrank(some - mean, q=COMPONENTS, niter=1)
    x = torch.cat(
        [
            (F.normalize(part.float(), dim=1) - mean) @ basis
            for part in torch.split(index.features, 2048)
        ]
    )
    changes = x[rows] - (F.normalize(changed.float(), dim=1) - mean) @ basis
    within, between = (y.T @ y / len(y) for y in (changes, x))
    within += RIDGE * within.diagonal().mean() * torch.eye(COMPONENTS)
    values, vectors = torch.linalg.eigh(within)
    root = vectors * values.rsqrt() @ vectors.T  # S_w^-1/2
    ratios, turned = torch.linalg.eigh(root @ between @ root)
    best = root @ turned[:, -DIM:] * ratios[-DIM:].rsqrt()
    head = CopyHead()
    head.mean.copy_(mean)
    head.project.weight.data.copy_((basis @ best).T)
    return head.eval().requires_grad_(False)


@torch.no_grad()
def embed(head: CopyHead, features: Tensor) -> Tensor:
    """Unit vectors [N, DIM] of features [N, FEATURES]."""
    return torch.cat([head(part.float()) for part in torch.split(features, 1024)])


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


def fingerprints(corpus: Corpus, takes: Tensor) -> list[Tensor]:
    """The words [F] int32 of each take, its clips one behind the other; `takes` [N] says whose
    each clip of the corpus is.
    """
    words: list[list[Tensor]] = [[] for _ in range(int(takes.max()) + 1)]
    for number, clip in zip(takes.tolist(), corpus.clips, strict=True):
        words[number].append(fingerprint(corpus.audio(clip)))
    return [torch.cat(of_take) for of_take in words]


def matches(corpus: Corpus, takes: Tensor, index: CopyIndex, heard: Windows) -> Tensor:
    """Percentiles 0..100 [101] of how well MATCHED clips match takes [N] of others, SHOWN windows
    of each clip as in `baselines`.
    """
    rng = np.random.default_rng(3)
    found = []
    for number in map(int, rng.permutation(len(corpus.clips))[:MATCHED]):
        clip = corpus.clips[number]
        audio = corpus.audio(clip, 0, min(clip.frames, SHOWN * WINDOW))
        similarities = index.similarities(heard.features[heard.clip == number][:SHOWN])
        similarities[takes[number]] = -1.0
        found.append(index.match(audio, similarities)[1])
    return torch.tensor(found).quantile(torch.linspace(0, 1, 101))


def main() -> None:
    """Train the head and write head, vectors, table, fingerprints and percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--heard", type=Path, default=OUT, help="what copy_features wrote")
    parser.add_argument(
        "--sources", type=Path, nargs="+", required=True, help="folders with a captions.csv"
    )
    parser.add_argument("--out", type=Path, default=FOLDER)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    corpus = recordings(args.data, "prior")
    clips = corpus.clips
    index = Windows(args.heard / "index.safetensors")
    copies = [Windows(path) for path in sorted(args.heard.glob("copies-*.safetensors"))]
    head = fit(index, copies)
    takes = write_table(clips, sources(args.sources), args.out / TABLE)
    vectors = embed(head, index.features)
    within, among = baselines(vectors, index, clips)
    tensors = quantise(dict(head.state_dict()) | {"vectors": vectors})
    tensors |= {
        "mean": head.mean,
        "rows": takes[index.clip].int(),
        "within_class": within,
        "among_all": among,
    }
    write_weights(tensors, args.out / FILE)
    words = fingerprints(corpus, takes)
    rows = takes[index.clip]
    heard = CopyIndex(
        head, vectors, rows, read_recordings(args.out / TABLE), within, among, words, among
    )
    tensors = {"words": torch.cat(words), "counts": torch.tensor([len(of) for of in words])}
    tensors |= {"matches": matches(corpus, takes, heard, index)}
    write_weights(tensors, args.out / PRINTS)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
