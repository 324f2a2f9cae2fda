"""Prove copy detection by planting: are disturbed training recordings found, and others not?

    python -m sds.train.copy_check --data runs/corpus

Found is a copy when the recording it was made of is named and its match or similarity is above what
5 % of held-back recordings come to (of the half asked for); beside that, without the name. Methods
are the shipped index with its fingerprints, its head alone, the trunk's features as they are, and
the mean spectrum, in which nothing is learned. `named` and `warned of` are the fingerprints': named
rightly at any match, and above the percentile of train-train pairs at which the user is told.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.datasets.clips import Half, half_of
from sds.metrics.copy_detection import BANDS, CHANNELS, WARN, CopyIndex, load_copy_index
from sds.train.copy_features import OUT, Rows, others, planted, recordings, take
from sds.train.copy_head import Windows, embed, numbered
from sds.train.data import Clip
from sds.train.planting import DISTURBANCES

log = logging.getLogger(__name__)
FALSE_ALARMS = 0.05
WAYS = (*DISTURBANCES, "all at once")
Embed = Callable[[Tensor], Tensor]


class Judged:
    """Asked clips: the greatest similarity or match, the take that it is with, and its own number.

    All [M], a clip and disturbance each.
    """

    def __init__(self, similarity: Tensor, named: Tensor, clip: Tensor, which: Tensor) -> None:
        self.similarity, self.named = similarity, named
        self.clip, self.which = clip, which


Methods = Iterator[tuple[str, dict[str, Judged]]]


@torch.no_grad()
def judge(part: Windows, index: Tensor, takes: Tensor, to_vectors: Embed) -> Judged:
    """Ask unit vectors `index` [N, D] of windows of `takes` [N] for each clip of a part."""
    key = part.clip * len(WAYS) + part.which
    clips, groups = torch.unique(key, return_inverse=True)
    best, place = torch.cat(
        [
            torch.stack([x.max(1).values, x.max(1).indices.float()])
            for features in torch.split(part.features, 256)
            for x in [to_vectors(features.float()) @ index.T]
        ],
        1,
    )
    top = torch.full((len(clips),), -1.0).scatter_reduce(0, groups, best, "amax")
    named = torch.zeros(len(clips), dtype=torch.long)
    for window in (best == top[groups]).nonzero()[:, 0]:
        named[groups[window]] = takes[int(place[window])]
    return Judged(top, named, clips // len(WAYS), clips % len(WAYS))


def judge_matches(part: Windows, rows: Rows, shipped: CopyIndex) -> Judged:
    """Match the clips [T] of `rows`, whose windows a part holds, with the shipped fingerprints."""
    judged = []
    for audio, clip, which in rows:
        features = part.features[(part.clip == clip) & (part.which == which)]
        if len(features):
            place, match = shipped.match(audio, shipped.similarities(features))
            judged.append((match, place, clip, which))
    found, *places = zip(*judged, strict=True)
    return Judged(torch.tensor(found), *(torch.tensor(x) for x in places))


def threshold(null: Judged, rows: Tensor) -> float:
    """The similarity that FALSE_ALARMS of those of `null` whose clips are `rows` [M'] exceed."""
    return float(null.similarity[torch.isin(null.clip, rows)].quantile(1 - FALSE_ALARMS))


def recalls(found: Judged, takes_of_clips: Tensor, limit: float) -> dict[str, tuple[float, float]]:
    """By disturbance: the share found, named and above `limit`, and the share above it.

    `takes_of_clips` [number of clips] are those of the recordings that were planted.
    """
    above = found.similarity > limit
    right = found.named == takes_of_clips[found.clip]
    rows = {}
    for which, way in enumerate(WAYS):
        of_way = found.which == which
        rows[way] = (
            float((above & right)[of_way].float().mean()),
            float(above[of_way].float().mean()),
        )
    return rows


def half_rows(clips: Sequence[Clip], half: Half) -> Tensor:
    """Which of the clips [M] are of one half of what is held back."""
    rows = [i for i, clip in enumerate(clips) if half_of(clip.label, clip.captions[0]) == half]
    return torch.tensor(rows)


def plain(features: Tensor) -> Tensor:
    """The trunk's features [N, FEATURES] as unit vectors."""
    return F.normalize(features.float(), dim=1)


def spectrum(features: Tensor) -> Tensor:
    """A null: the features' mean over channels, band by band, as unit vectors [N, BANDS]."""
    return F.normalize(features.float().reshape(-1, CHANNELS, BANDS).mean(1), dim=1)


def heads(data: Path, heard: Path, shipped: CopyIndex, names: Sequence[str]) -> Methods:
    """What each method that compares windows alone finds of the parts of these names."""
    takes = numbered([take(clip) for clip in recordings(data, "prior").clips])
    parts = {name: Windows(heard / f"{name}.safetensors") for name in ("index", *names)}
    of_windows = takes[parts["index"].clip]
    methods: dict[str, Embed] = {
        "head alone": lambda x: embed(shipped.head, x),
        "trunk alone": plain,
        "spectrum": spectrum,
    }
    for method, to_vectors in methods.items():
        index = torch.cat([to_vectors(x) for x in torch.split(parts["index"].features, 1024)])
        found = {name: judge(parts[name], index, of_windows, to_vectors) for name in names}
        yield method, found


def report(data: Path, heard: Path, half: Half, shipped: CopyIndex) -> list[str]:
    """The lines of a table: a disturbance a row, two figures a method, and the false alarms among
    other recordings.
    """
    takes = numbered([take(clip) for clip in recordings(data, "prior").clips])
    rows = half_rows(recordings(data, "held").clips, half)
    audio = {
        "held": others(data, "held"),
        "scorer": others(data, "evaluation_scorer"),
        half: planted(data, half),
    }
    shipping = {
        name: judge_matches(Windows(heard / f"{name}.safetensors"), clips, shipped)
        for name, clips in audio.items()
    }
    lines: dict[str, list[str]] = {way: [] for way in WAYS}
    notes = []
    methods = [("shipped", shipping), *heads(data, heard, shipped, list(audio))]
    for method, found in methods:
        limit = threshold(found["held"], rows)
        for way, (named, above) in recalls(found[half], takes, limit).items():
            lines[way].append(f"{named:.3f} ({above:.3f})")
        if method == "shipped":
            warned = recalls(found[half], takes, float(shipped.matches[round(WARN)]))
            right = recalls(found[half], takes, -1.0)
            for way in WAYS:
                lines[way] += [f"{right[way][0]:.3f}", f"{warned[way][0]:.3f}"]
            held = found["held"].similarity[torch.isin(found["held"].clip, rows)]
            told = float((held > shipped.matches[round(WARN)]).float().mean())
            notes.append(f"of the held-back recordings {told:.3f} are warned of")
        share = float((found["scorer"].similarity > limit).float().mean())
        notes.append(
            f"{method}: threshold {limit:.3f} of {len(rows)} held-back recordings; of "
            f"{len(found['scorer'].clip)} of the evaluation scorer {share:.3f} exceed it"
        )
    columns = ["disturbance", "shipped", "named", "warned of", *(name for name, _ in methods[1:])]
    head_line = f"| {' | '.join(columns)} |"
    ruler = "|---" * len(columns) + "|"
    return [head_line, ruler, *(f"| {w} | {' | '.join(x)} |" for w, x in lines.items()), *notes]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--heard", type=Path, default=OUT, help="what copy_features wrote")
    parser.add_argument("--half", choices=("choose", "report"), default="report")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for line in report(args.data, args.heard, args.half, load_copy_index()):
        log.info("%s", line)


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
