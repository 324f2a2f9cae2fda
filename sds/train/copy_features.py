"""What the trunk hears of recordings and of disturbed copies, kept: `sds.train.copy_head`
learns from it.

    python -m sds.train.copy_features --data runs/corpus

The trunk is frozen, so each window is heard once. Parts: `index` (all of the recordings that
generative models learned from), `copies` (random disturbances of pieces of them), `held`, `scorer`
(recordings no generative model heard: false alarms), `choose`, `report` (planted copies: each
disturbance of pieces of up to four seconds). A part that is there already is left alone.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sds.datasets.clips import unit_hash
from sds.datasets.recordings import recording_group
from sds.metrics.copy_detection import (
    KEPT_ABOVE,
    WINDOW,
    asked_windows,
    window_features,
    windows,
)
from sds.similarity.trunk import RATE
from sds.train.common import write_weights
from sds.train.data import Clip, Corpus
from sds.train.latents import RECORDINGS
from sds.train.planting import DISTURBANCES, SECONDS, everything, random_copy

log = logging.getLogger(__name__)
Role: TypeAlias = Literal["train", "choose", "report"]
Rows: TypeAlias = Iterator[tuple[Tensor, int, int]]
PLANTED, OTHERS = 250, 600  # clips of a part
NEAR = 0.4  # seconds that a copy begins before or after its window at most
OUT = Path("runs/copies")


def take(clip: Clip) -> str:
    """The take that a clip of the corpus was cut from."""
    return recording_group(clip.origin)


def fold(clip: Clip) -> int:
    """Which tenth of the takes, 0..9, a training recording is in."""
    return int(10 * unit_hash(f"copy|{take(clip)}"))


def role(clip: Clip) -> Role:
    """What a training recording is for: to train the head with, to choose on or to report on."""
    return "train" if fold(clip) < 8 else "choose" if fold(clip) == 8 else "report"


def recordings(data: Path, split: str) -> Corpus:
    """The recordings of one split of a corpus."""
    return Corpus(data, frozenset({split}), frozenset({RECORDINGS}))


def piece(corpus: Corpus, clip: Clip, rng: np.random.Generator) -> Tensor:
    """A random piece [T] of a clip, as long as a planted copy."""
    return corpus.crop(clip, min(clip.frames, round(SECONDS * RATE)), rng)


def _index(data: Path) -> Rows:
    corpus = recordings(data, "prior")
    for number, clip in enumerate(corpus.clips):
        yield windows(corpus.audio(clip), WINDOW, KEPT_ABOVE), number, 0


def _copies(data: Path, number: int) -> Rows:
    """A copy of a random window of each clip of two tenths; `which` says of which window."""
    corpus, rng = recordings(data, "prior"), np.random.default_rng(100 + number)
    for row, clip in enumerate(corpus.clips):
        if fold(clip) // 2 != number:
            continue
        there = windows(corpus.audio(clip), WINDOW, KEPT_ABOVE)
        which = int(rng.integers(len(there)))
        audio = F.pad(there[which], (0, min(0, clip.frames - WINDOW)))  # no silence behind it
        begin = min(which * WINDOW, max(0, clip.frames - WINDOW))
        if clip.frames > WINDOW and len(there) == 1 + -(-(clip.frames - WINDOW) // WINDOW):
            begin += round(rng.uniform(-NEAR, NEAR) * RATE)
            audio = corpus.audio(clip, max(0, begin), WINDOW)
        yield asked_windows(random_copy(audio, rng))[:1], row, which


def others(data: Path, split: str) -> Rows:
    """A piece [T] each of OTHERS recordings of a split that no generative model heard, and their
    places in it.
    """
    corpus, rng = recordings(data, split), np.random.default_rng(1)
    chosen = rng.permutation(len(corpus.clips))[:OTHERS]
    for number in sorted(map(int, chosen)):
        yield piece(corpus, corpus.clips[number], rng), number, 0


def planted(data: Path, wanted: Role) -> Rows:
    """Disturbed pieces [T] of recordings, their places in the split, and which way of all."""
    corpus, rng = recordings(data, "prior"), np.random.default_rng(2)
    numbers = [i for i, clip in enumerate(corpus.clips) if role(clip) == wanted]
    count = PLANTED if wanted == "report" else PLANTED // 2
    ways = [*DISTURBANCES.values(), everything]
    for number in sorted(map(int, rng.permutation(numbers)[:count])):
        audio = piece(corpus, corpus.clips[number], rng)
        for which, disturb in enumerate(ways):
            yield disturb(audio, rng), number, which


def _asked(rows: Rows) -> Rows:
    for audio, number, which in rows:
        yield asked_windows(audio), number, which


PARTS: dict[str, Callable[[Path], Rows]] = {
    "index": _index,
    "copies-0": lambda data: _copies(data, 0),
    "copies-1": lambda data: _copies(data, 1),
    "held": lambda data: _asked(others(data, "held")),
    "choose": lambda data: _asked(planted(data, "choose")),
    "copies-2": lambda data: _copies(data, 2),
    "report": lambda data: _asked(planted(data, "report")),
    "copies-3": lambda data: _copies(data, 3),
    "scorer": lambda data: _asked(others(data, "evaluation_scorer")),
}


def write_features(rows: Rows, path: Path) -> None:
    """Write `features` [N, FEATURES] in half precision, and `clip` and `which` [N] of each window.

    `clip` is its clip's place among the recordings of its split.
    """
    features: list[Tensor] = []
    clips: list[int] = []
    marks: list[int] = []
    waiting: list[Tensor] = []
    begin = time.monotonic()
    for cut, clip, which in rows:
        waiting.append(cut)
        clips += [clip] * len(cut)
        marks += [which] * len(cut)
        if sum(map(len, waiting)) >= 256:
            features.append(window_features(torch.cat(waiting)).half())
            waiting = []
            log.info("%s: %d windows, %.0f s", path.stem, len(clips), time.monotonic() - begin)
    if waiting:
        features.append(window_features(torch.cat(waiting)).half())
    tensors = {"features": torch.cat(features)}
    tensors |= {"clip": torch.tensor(clips), "which": torch.tensor(marks)}
    write_weights(tensors, path)


def main() -> None:
    """Write the parts that are not there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for part, rows in PARTS.items():
        path = args.out / f"{part}.safetensors"
        if not path.is_file():
            write_features(rows(args.data), path)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
