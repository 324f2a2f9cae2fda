"""Presence: is the sound that a prompt names in a recording, and in which seconds of it?

A tagger decides: towers like the evaluation scorer's, trained on mixtures (`sds.train.tagger`) with
a sigmoid of every pair of sound and prompt (Zhai et al. 2023, arXiv 2303.15343), so that a cosine
means the same for all prompts. On held-back mixtures that told present from absent prompts better
than cosines against those of other prompts did. A logistic function of it and of what comes out
when the prompt is separated (`sds.detection.evidence`) makes a probability (Platt 1999); it was
fitted on such mixtures (`sds.train.presence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from presets.reading import read_json
from sds.signal.audio_files import mono, resample
from sds.similarity.two_tower import RATE, TwoTowerScorer, load_scorer
from sds.weights import weights_folder

FOLDER = weights_folder("tagger")
FILE = FOLDER / "presence.json"
WINDOW = 2  # seconds heard at once, a new window every second
BEST = 0.25  # share of the seconds that decide: a sound need not last
QUIET_DB = -50.0  # below the loudest second: nothing is heard in it
SILENT_DB = -80.0  # full scale; a recording that stays below it is silent
BATCH = 32


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic function of three figures, and the probability above which a sound is present.

    The figures are the tagger's cosine with the recording and the two of `sds.detection.evidence`;
    `hashes` are of the weights of the networks it was fitted with.
    """

    weights: tuple[float, float, float]
    offset: float
    threshold: float
    hashes: tuple[str, ...]

    def probability(self, figures: Tensor) -> Tensor:
        """Probability 1 / (1 + exp(-(weights . figures + offset))) [...] of figures [..., 3]."""
        return (figures @ figures.new_tensor(self.weights) + self.offset).sigmoid()


@dataclass(frozen=True, slots=True)
class Presence:
    """Presence of K prompts: probability [K], whether it counts as present [K], and when.

    `activity` [K][seconds] is the probability second by second, 0 where the recording is silent.
    """

    score: tuple[float, ...]
    present: tuple[bool, ...]
    activity: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Activity:
    """Embeddings around each second of a recording, unit vectors [N, D], and the level of each
    second in dB [N].
    """

    vectors: Tensor
    level_db: Tensor

    @property
    def loud(self) -> Tensor:
        """Which seconds are not silent, booleans [N]."""
        return self.level_db > max(float(self.level_db.max()) + QUIET_DB, SILENT_DB)


def load_tagger(folder: Path = FOLDER) -> TwoTowerScorer:
    """The shipped tagger. Raises `FileNotFoundError` when there is none."""
    return load_scorer(folder)


@cache
def load_calibration(path: Path = FILE) -> Calibration:
    """The shipped calibration. Raises `FileNotFoundError` when there is none."""
    values = read_json(path)
    if not all(map(isfinite, [*values["weights"], values["offset"], values["threshold"]])):
        raise ValueError(f"{path} is broken: its weights, offset and threshold must be finite")
    return Calibration(
        weights=tuple(values["weights"]),
        offset=values["offset"],
        threshold=values["threshold"],
        hashes=tuple(values["hashes"]),
    )


def measure_in_blocks(
    evaluation_scorer: TwoTowerScorer, pieces: Iterable[Tensor], rate: int
) -> Iterator[Activity]:
    """Embed a recording that comes in pieces [C, T] of any length at `rate` Hz, a window around
    each second.

    Yields the activity of some half minute after another: memory does not grow with the recording.
    """
    for block in _blocks(pieces, rate):
        # the last one is only there to be heard into
        seconds = mono(block.unfold(1, rate, rate)[:, :-1].transpose(0, 1))
        level = 10 * (seconds.double().square().mean(1) + 1e-20).log10()
        windows = mono(block.unfold(1, WINDOW * rate, rate).transpose(0, 1))
        windows = resample(windows, rate, RATE)
        yield Activity(evaluation_scorer.hear(windows[:, None], RATE), level.float())


def merge_activity(parts: Sequence[Activity]) -> Activity:
    """Concatenate the activity of parts, one after another. Raises `ValueError` for none."""
    if not parts:
        raise ValueError("a recording must have at least 1 sample, got none")
    return Activity(torch.cat([x.vectors for x in parts]), torch.cat([x.level_db for x in parts]))


def measure_activity(evaluation_scorer: TwoTowerScorer, audio: Tensor, rate: int) -> Activity:
    """`measure_in_blocks` of audio [C, T] at `rate` Hz that is in memory."""
    return merge_activity([*measure_in_blocks(evaluation_scorer, [audio], rate)])


def presence_of(
    near: Tensor,
    evidence: Tensor,
    loud: Tensor,
    *,
    hashes: tuple[str, ...],
    calibration: Calibration | None = None,
) -> Presence:
    """Presence from the tagger's cosines [K, N] and the evidence [K, 2]; N seconds, `loud` [N] or
    not.

    Raises `ValueError` for `hashes` of other networks than those it was fitted with.
    """
    calibration = calibration or load_calibration()
    if hashes != calibration.hashes:
        raise ValueError(
            f"presence was fitted with the weights {', '.join(calibration.hashes)}, and these are "
            f"{', '.join(hashes)}: fit it anew with sds.train.presence"
        )
    whole = torch.cat([recording_cosine(near, loud)[:, None], evidence], 1)  # [K, 3]
    each = torch.cat([near[..., None], evidence[:, None].expand(-1, near.shape[1], -1)], 2)
    score = calibration.probability(whole) * loud.any()
    activity = calibration.probability(each) * loud
    return Presence(
        score=tuple(score.tolist()),
        present=tuple((score >= calibration.threshold).tolist()),
        activity=tuple(tuple(row) for row in activity.tolist()),
    )


def cosines(
    evaluation_scorer: TwoTowerScorer, activity: Activity, prompts: Sequence[str]
) -> Tensor:
    """Cosines [K, N], -1..1, of K prompts with each of N seconds."""
    return evaluation_scorer.read(prompts) @ activity.vectors.T


def recording_cosine(near: Tensor, loud: Tensor) -> Tensor:
    """Cosine [...] of a whole recording, of those of its seconds near [..., N]: the mean of the
    best quarter where `loud` [N].
    """
    audible = near[..., loud] if bool(loud.any()) else near
    best = audible.topk(max(1, round(BEST * audible.shape[-1])), dim=-1).values
    return best.mean(-1)


def _blocks(pieces: Iterable[Tensor], rate: int) -> Iterator[Tensor]:
    """Stretches [C, T] of up to BATCH seconds and 1 more, each beginning where one second ends.

    The end of the recording is filled up with silence.
    """
    rest: Tensor | None = None
    length = (BATCH + 1) * rate
    for piece in pieces:
        rest = piece if rest is None else torch.cat([rest, piece], 1)
        while rest.shape[1] > length:
            yield rest[:, :length]
            rest = rest[:, length - rate :]
    if rest is not None and (frames := rest.shape[1]):
        seconds = -(-frames // rate)
        yield F.pad(rest, (0, (seconds + 1) * rate - frames))
