"""Is the sound that a prompt names in a recording at all, and in which seconds of it?

A listener says: towers as the judge's, trained on mixtures (`sds.train.listener`) with a sigmoid of
every pair of sound and prompt (Zhai et al. 2023, arXiv 2303.15343), so that a cosine means the same
for all prompts. On held-back mixtures that told present from absent prompts better than cosines
against those of other prompts did. A logistic function of it and of what comes out when the prompt
is separated (`sds.evidence`) makes a probability (Platt 1999); it was fitted on such mixtures
(`sds.train.presence`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.audio import resample
from sds.judge import RATE, Judge, load_judge

FOLDER = Path(__file__).parent / "weights" / "listener"
FILE = FOLDER / "presence.json"
WINDOW = 2  # seconds heard at once, a new window every second
BEST = 0.25  # share of the seconds that decide: a sound need not last
QUIET_DB = -50.0  # below the loudest second: nothing is heard in it
SILENT_DB = -80.0  # full scale; a recording that stays below it is silent
BATCH = 32


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic function of three figures, and the probability above which a sound is present.

    The figures are the listener's cosine with the recording and the two of `sds.evidence`;
    `hashes` are of the weights of those it was fitted with.
    """

    weights: tuple[float, float, float]
    offset: float
    threshold: float
    hashes: tuple[str, ...]

    def probability(self, figures: Tensor) -> Tensor:
        """1 / (1 + exp(-(weights . figures + offset))) [...] of figures [..., 3]."""
        return (figures @ figures.new_tensor(self.weights) + self.offset).sigmoid()


@dataclass(frozen=True, slots=True)
class Presence:
    """For each of K prompts: probability [K], whether it counts as present [K], and when.

    `activity` [K][seconds] is the probability second by second, 0 where nothing is heard.
    """

    score: tuple[float, ...]
    present: tuple[bool, ...]
    activity: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a judge hears around each second: unit vectors [N, D], and each second's level [N]."""

    vectors: Tensor
    level_db: Tensor

    @property
    def loud(self) -> Tensor:
        """Which seconds there is anything to hear in, [N]."""
        return self.level_db > max(float(self.level_db.max()) + QUIET_DB, SILENT_DB)


def load_listener(folder: Path = FOLDER) -> Judge:
    """The shipped listener. Raises `FileNotFoundError` when there is none."""
    return load_judge(folder)


@cache
def load_calibration(path: Path = FILE) -> Calibration:
    """The shipped calibration. Raises `FileNotFoundError` when there is none."""
    values = json.loads(path.read_text(encoding="utf-8"))
    return Calibration(
        weights=tuple(values["weights"]),
        offset=values["offset"],
        threshold=values["threshold"],
        hashes=tuple(values["hashes"]),
    )


def hearing(judge: Judge, pieces: Iterable[Tensor], rate: int) -> Iterator[Heard]:
    """Hear a recording that comes in pieces [C, T] of any length, a window around each second.

    Yields what it hears of some half minute after another: memory does not grow with the recording.
    """
    for block in _blocks(pieces, rate):
        seconds = block.unfold(0, rate, rate)[:-1]  # the last one is only there to be heard into
        level = 10 * (seconds.double().square().mean(1) + 1e-20).log10()
        windows = resample(block.unfold(0, WINDOW * rate, rate), rate, RATE)
        yield Heard(judge.hear(windows[:, None], RATE), level.float())


def together(parts: Sequence[Heard]) -> Heard:
    """What was heard in parts, one after another, as one."""
    if not parts:
        raise ValueError("a recording must have at least 1 sample, got none")
    return Heard(torch.cat([x.vectors for x in parts]), torch.cat([x.level_db for x in parts]))


def hear(judge: Judge, audio: Tensor, rate: int) -> Heard:
    """`hearing` of audio [C, T] that is in memory."""
    return together([*hearing(judge, [audio], rate)])


def presence_of(
    near: Tensor,
    evidence: Tensor,
    loud: Tensor,
    *,
    hashes: tuple[str, ...],
    calibration: Calibration | None = None,
) -> Presence:
    """What the listener's cosines [K, N] and the evidence [K, 2] come to; N seconds, `loud` or not.

    Raises `ValueError` for `hashes` of others than those it was fitted with.
    """
    calibration = calibration or load_calibration()
    if hashes != calibration.hashes:
        raise ValueError(
            f"presence was fitted with the weights {', '.join(calibration.hashes)}, and these are "
            f"{', '.join(hashes)}: fit it anew with sds.train.presence"
        )
    whole = torch.cat([summed_up(near, loud)[:, None], evidence], 1)  # [K, 3]
    each = torch.cat([near[..., None], evidence[:, None].expand(-1, near.shape[1], -1)], 2)
    score = calibration.probability(whole) * loud.any()
    activity = calibration.probability(each) * loud
    return Presence(
        score=tuple(score.tolist()),
        present=tuple((score >= calibration.threshold).tolist()),
        activity=tuple(tuple(row) for row in activity.tolist()),
    )


def cosines(judge: Judge, heard: Heard, prompts: Sequence[str]) -> Tensor:
    """How near each second is to each prompt, [K, N] in -1..1."""
    return judge.read(prompts) @ heard.vectors.T


def summed_up(found: Tensor, loud: Tensor) -> Tensor:
    """Cosine [...] of a whole recording: the mean of the best quarter of its seconds."""
    heard = found[..., loud] if bool(loud.any()) else found
    best = heard.topk(max(1, round(BEST * heard.shape[-1])), dim=-1).values
    return best.mean(-1)


def _blocks(pieces: Iterable[Tensor], rate: int) -> Iterator[Tensor]:
    """Mono stretches [T] of up to BATCH seconds and 1 more, each beginning where one second ends.

    The end of the recording is filled up with silence.
    """
    rest = torch.zeros(0)
    length = (BATCH + 1) * rate
    for piece in pieces:
        rest = torch.cat([rest, piece.mean(0)])
        while len(rest) > length:
            yield rest[:length]
            rest = rest[length - rate :]
    if len(rest):
        seconds = -(-len(rest) // rate)
        yield F.pad(rest, (0, (seconds + 1) * rate - len(rest)))
