"""Whether a sound is a copy of a training recording: the nearest of them, and how near others come.

The protocol of EDMSound (Zhu et al. 2023, arXiv 2311.08667, section 4): windows are embedded by a
trained network and a head, a clip scores the greatest cosine with any training window of its class,
and that is compared with what training recordings score among themselves. Four things are of our
trunk (`sds.similarity.trunk`) instead of LAION-CLAP:

- windows are 1.5 s, not 4 s: the shipped models generate 3 s. Those of the training recordings lie
  end to end, those of an asked clip overlap by half;
- what is embedded is the third block's map, each band's greatest value: it still tells notes apart,
  which the last block, made to tell classes apart, does not;
- a window is brought to `LEVEL`, so faint that what lies 20 dB below its power is hardly heard;
- the head is linear, found in closed form: a head of two layers with a triplet loss found fewer
  planted copies (docs/training.md).

Held-back recordings are as similar to training recordings as disturbed copies are: the same chord,
strummed again. So the CANDIDATES most similar recordings are compared by fingerprints
(`sds.metrics.fingerprint`), which tell a copy from another take.

The index holds the recordings that the shipped generative models learned from. Sounds that were
made by formulas, sound fonts and patches have no author, and are not in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from presets.reading import read_json
from sds.metrics.fingerprint import agreement, asked
from sds.priors.checkpoints import ModelUnavailable, fill, read_tensors, shipped_file
from sds.priors.quantised import read_quantised
from sds.signal.audio_files import mono, resample
from sds.similarity.trunk import HOP, RATE, load_trunk
from sds.weights import weights_folder

FOLDER = weights_folder("copy_index")
FILE, TABLE, PRINTS = "index.safetensors", "recordings.json", "fingerprints.safetensors"
WINDOW = 64 * HOP  # samples, 1.5 s
BLOCKS, CHANNELS, BANDS = 3, 256, 24  # of the trunk, and of its map
FEATURES = CHANNELS * BANDS
LEVEL, TOP = 0.002, 0.8  # RMS of a window; the greatest level the trunk is given
ASKED_ABOVE, KEPT_ABOVE = 15.0, 40.0  # dB below the loudest window of a clip that still count
DIM = 96
CANDIDATES = 5  # recordings whose fingerprints are compared
RIVAL = 0.75  # of the second best's agreement is taken off: what all takes of the kind agree in
SILENT = 1e-4  # RMS of a window (-80 dBFS) that nothing can be a copy of
WARN = 99.0  # percentile of train-train pairs above which the user is told
BATCH = 16


@dataclass(frozen=True, slots=True)
class TrainingRecording:
    """A take that the models learned from: its file in the source, class, author and licence."""

    recording: str
    label: str
    author: str
    licence: str


@dataclass(frozen=True, slots=True)
class NearestRecording:
    """The training recording nearest to a clip.

    `similarity` is the cosine, -1..1, of the two windows that are most alike; `percentile` says
    what share of training recordings, 0..100 %, are less like their own nearest one. `match` says
    how well its fingerprint fits, at most 1;
    `match_percentile` says what share of training recordings, 0..100 %, match any other less. Above
    WARN the recording that matches best is named, else the most similar one. A silent clip has no
    nearest recording: `recording` is empty, and all figures are 0.
    """

    recording: str
    author: str
    licence: str
    label: str
    similarity: float
    percentile: float
    match: float
    match_percentile: float


class CopyHead(nn.Module):
    """Features of windows to unit vectors in which copies are near: linear discriminants."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.project = nn.Linear(FEATURES, DIM, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Unit vectors [N, DIM] of features [N, FEATURES]."""
        return F.normalize(self.project(F.normalize(features, dim=1) - self.mean), dim=1)


def windows(audio: Tensor, hop: int, above: float) -> Tensor:
    """Windows [N, WINDOW] of audio [T] at RATE, the last one up to its end; a shorter clip is
    followed by silence.

    Those more than `above` dB below the loudest are left out; of silence there are none.
    """
    spare = max(0, len(audio) - WINDOW)
    starts = [min(i * hop, spare) for i in range(1 + math.ceil(spare / hop))]
    padded = F.pad(audio, (0, max(0, WINDOW - len(audio))))
    cut = torch.stack([padded[start : start + WINDOW] for start in starts])
    level = cut.square().mean(1).sqrt()
    return cut[level >= max(SILENT, float(level.max()) * 10 ** (-above / 20))]


def asked_windows(audio: Tensor) -> Tensor:
    """Windows [N, WINDOW] of audio [T] at RATE that is to be compared: overlapping by half."""
    return windows(audio, WINDOW // 2, ASKED_ABOVE)


@torch.no_grad()
def window_features(cut: Tensor) -> Tensor:
    """Features [N, FEATURES] of windows [N, WINDOW] at RATE: the third block's greatest values over
    time, band by band.
    """
    trunk, out = load_trunk(), [cut.new_zeros(0, FEATURES)]
    for part in torch.split(cut, BATCH):
        part = part * (LEVEL / part.square().mean(1, keepdim=True).sqrt().clamp_min(1e-9))
        levels = trunk.levels(part)
        levels = levels * (TOP / levels.amax((1, 2), keepdim=True).clamp_min(1e-6))
        out.append(trunk.maps(levels, BLOCKS)[-1].amax(2).flatten(1))
    return torch.cat(out)


class CopyIndex:
    """Training windows as vectors, and which recording each is of.

    - `vectors` [N, DIM] of unit length; `rows` [N]: places in `recordings`;
    - `within_class`, `among_all` [101]: percentiles 0..100 of the similarity of a training
      recording with its nearest, of its class and of all, itself left out;
    - `words`: the fingerprint [F] of each of `recordings`; `matches` [101]: percentiles 0..100 of
      `match` of a training recording, itself left out.
    """

    def __init__(
        self,
        head: CopyHead,
        vectors: Tensor,
        rows: Tensor,
        recordings: Sequence[TrainingRecording],
        within_class: Tensor,
        among_all: Tensor,
        words: Sequence[Tensor],
        matches: Tensor,
    ) -> None:
        self.head = head.eval()
        self.vectors, self.rows = vectors, rows
        self.recordings = tuple(recordings)
        self.within_class, self.among_all = within_class, among_all
        self.words, self.matches = tuple(words), matches
        self.labels = frozenset(recording.label for recording in self.recordings)

    def nearest(self, audio: Tensor, rate: int, label: str | None = None) -> list[NearestRecording]:
        """The nearest training recording of each clip of audio [C, T] or [B, C, T] at `rate` Hz.

        Of class `label` only where one is named. Raises `ValueError` for a class that no training
        recording has.
        """
        if label is not None and label not in self.labels:
            classes = ", ".join(sorted(self.labels))
            raise ValueError(
                f"label must be a class of the training recordings ({classes}), got {label!r}"
            )
        clips = resample(mono(audio if audio.ndim == 3 else audio[None]).cpu().float(), rate, RATE)
        return [self._nearest(clip, label) for clip in clips]

    def similarities(self, features: Tensor, label: str | None = None) -> Tensor:
        """The greatest cosine [R] of any of features [N, FEATURES] with a window of each of the R
        recordings; -1 for those that are not of class `label`, where one is named.
        """
        with torch.no_grad():
            cosines = (self.head(features.float()) @ self.vectors.T).amax(0)  # [N']
        best: Tensor = cosines.new_full((len(self.recordings),), -1.0)
        best = best.scatter_reduce(0, self.rows, cosines, "amax")
        if label is not None:
            other = [recording.label != label for recording in self.recordings]
            best[torch.tensor(other)] = -1.0
        return best

    def percentile(self, similarity: float, label: str | None = None) -> float:
        """The share in %, 0..100, of training recordings whose nearest one, of their class where
        `label` is named, is less like them than `similarity`.
        """
        table = self.among_all if label is None else self.within_class
        return _share(similarity, table)

    def match(self, clip: Tensor, similarities: Tensor) -> tuple[int, float]:
        """Of the CANDIDATES recordings most similar to a clip [T] at RATE, by `similarities` [R],
        the one whose fingerprint agrees best, and how well, less RIVAL of the next one's agreement.

        Recordings of similarity -1 are none; a lone one has no next.
        """
        rows = similarities.topk(min(CANDIDATES, len(similarities)))
        rises = asked(clip)
        found = sorted(
            (
                (agreement(rises, self.words[row]), row)
                for row, value in zip(rows.indices.tolist(), rows.values.tolist(), strict=True)
                if value > -1.0
            ),
            reverse=True,
        )
        (best, row), rival = found[0], found[1][0] if len(found) > 1 else 0.0
        return row, best - RIVAL * rival

    def _nearest(self, clip: Tensor, label: str | None) -> NearestRecording:
        cut = asked_windows(clip)
        if not len(cut):
            return NearestRecording("", "", "", "", 0.0, 0.0, 0.0, 0.0)
        best = self.similarities(window_features(cut), label)
        place, match = self.match(clip, best)
        match_percentile = _share(match, self.matches)
        if match_percentile <= WARN:
            place = int(best.argmax())
        row, similarity = self.recordings[place], float(best[place])
        return NearestRecording(
            recording=row.recording,
            author=row.author,
            licence=row.licence,
            label=row.label,
            similarity=similarity,
            percentile=self.percentile(similarity, label),
            match=match,
            match_percentile=match_percentile,
        )


def _share(value: float, table: Tensor) -> float:
    """The share in %, 0..100, below `value` of what `table` [101] has the percentiles of."""
    return float(np.interp(value, table.numpy(), np.arange(len(table))))


def warning(nearest: NearestRecording) -> str | None:
    """One sentence for a clip that matches a training recording better than 99 % of these match any
    other; None for others.
    """
    if nearest.match_percentile <= WARN:
        return None
    return (
        f"this may be a copy of {nearest.recording} by {nearest.author} ({nearest.licence}): "
        f"{nearest.match_percentile:.1f} % of the training recordings match any other less."
    )


@lru_cache(maxsize=1)
def load_copy_index(folder: Path = FOLDER) -> CopyIndex:
    """Load the shipped index; the same one each time.

    Raises `ModelUnavailable` for files that are not there, do not fit each other or are damaged.
    """
    path = shipped_file(folder / FILE, "sds.train.copy_head")
    tensors = read_quantised(path)
    try:
        recordings = read_recordings(folder / TABLE)
        vectors, rows = tensors.pop("vectors"), tensors.pop("rows").long()
        baselines = tensors.pop("within_class"), tensors.pop("among_all")
        prints = read_tensors(shipped_file(folder / PRINTS, "sds.train.copy_head"))
        words = torch.split(prints["words"], prints["counts"].tolist())
        matches = prints["matches"]
    except (KeyError, TypeError, IndexError, ValueError, OSError, RuntimeError) as error:
        raise ModelUnavailable(f"{folder} holds no whole index of recordings ({error}).") from error
    if (
        vectors.shape != (len(rows), DIM)
        or int(rows.max()) >= len(recordings)
        or len(words) != len(recordings)
    ):
        raise ModelUnavailable(f"{FILE}, {PRINTS} and {TABLE} in {folder} do not belong together.")
    head = CopyHead()
    fill(head, tensors, path, "head")
    return CopyIndex(
        head, F.normalize(vectors, dim=1), rows, recordings, *baselines, words, matches
    )


def read_recordings(path: Path) -> list[TrainingRecording]:
    """The recordings of an index, whose table names each author and licence once.

    Raises `OSError`, `ValueError`, `KeyError`, `TypeError` or `IndexError` for a file that is none.
    """
    table = read_json(path)
    return [
        TrainingRecording(name, label, table["authors"][author], table["licences"][licence])
        for name, label, author, licence in table["recordings"]
    ]
