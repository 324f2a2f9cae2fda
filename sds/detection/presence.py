"""Presence: is the sound that a prompt names in a recording, and in which seconds of it?

The tagger (`sds.detection.tagger`) hears a recording in blocks of six seconds and answers any
prompt. A logistic function of its answer makes a probability (Platt 1999); where there is a
separation network, what it gives to the prompt is weighed with it (`sds.detection.evidence`). Both
functions were fitted on mixtures of held-back clips (`sds.train.presence`), and the one without the
network serves where it is missing, or is another one than it was fitted with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from presets.reading import read_json
from sds.detection.band_frames import FRAME, RATE
from sds.detection.tagger import FOLDER, Tagger
from sds.signal.audio_files import mono, resample

FILE = FOLDER / "presence.json"
BLOCK, LONGEST = 6, 9  # seconds heard at once; the last block may be longer
BEST = 0.25  # share of the blocks that decide: a sound need not last
QUIET_DB = -50.0  # below the loudest second: nothing is heard in it
SILENT_DB = -80.0  # full scale; a recording that stays below it is silent


@dataclass(frozen=True, slots=True)
class Logistic:
    """Logistic function of figures: 1 / (1 + exp(-(weights . figures + offset)))."""

    weights: tuple[float, ...]
    offset: float

    def probability(self, figures: Tensor) -> Tensor:
        """Probability [...] of figures [..., D]."""
        return (figures @ figures.new_tensor(self.weights) + self.offset).sigmoid()


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the answers of a tagger are worth.

    - `alone`: of its answer for a recording; `joined`: of that and the figures of
      `sds.detection.evidence`, None where it was fitted without a separation network.
    - `thresholds`: the probabilities of either above which a sound is present.
    - `second`: of its answer for a second and for the recording; `named`: of its answer for a name
      of the vocabulary, of which few are there.
    - `hashes`: of the weights of the tagger and of the separation network, "" for none.
    """

    alone: Logistic
    joined: Logistic | None
    thresholds: tuple[float, float]
    second: Logistic
    named: Logistic
    hashes: tuple[str, str]

    def fits(self, hashes: tuple[str, str]) -> bool:
        """Whether evidence of the separation network counts, for networks with these hashes.

        Raises `ValueError` for those of another tagger.
        """
        if hashes[0] != self.hashes[0]:
            raise ValueError(
                f"presence was fitted with a tagger of the weights {self.hashes[0]}, and this one "
                f"has {hashes[0]}: fit it anew with sds.train.presence"
            )
        return self.joined is not None and hashes[1] == self.hashes[1]


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
    """What the tagger heard of a recording of N seconds in S blocks.

    - `states` [S, F, D]: its states, in blocks of up to F frames; `classes` [S, C]: what speaks for
      each class; `frames` [S]: how many frames are of the recording; `seconds` [S]: how many
      seconds a block has, N in all.
    - `level_db` [N]: the level of each second.
    """

    states: Tensor
    classes: Tensor
    frames: Tensor
    seconds: Tensor
    level_db: Tensor

    @property
    def loud(self) -> Tensor:
        """Which seconds are not silent, booleans [N]."""
        return self.level_db > max(float(self.level_db.max()) + QUIET_DB, SILENT_DB)

    @property
    def there(self) -> Tensor:
        """Which frames are of the recording, booleans [S, F]."""
        return torch.arange(self.states.shape[1]) < self.frames[:, None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the tagger says of K prompts: two figures of a whole recording [K, 2], and logits of its
    seconds [K, N].
    """

    whole: Tensor
    seconds: Tensor


@cache
def load_calibration(path: Path = FILE) -> Calibration:
    """The shipped calibration. Raises `FileNotFoundError` when there is none, `ValueError` for
    numbers that are not finite.
    """
    values = read_json(path)

    def logistic(name: str) -> Logistic:
        row: dict[str, Any] = values[name]
        if not all(map(isfinite, [*row["weights"], row["offset"]])):
            raise ValueError(f"{path} is broken: weights and offset of {name} must be finite")
        return Logistic(tuple(row["weights"]), row["offset"])

    first, second = values["thresholds"]
    return Calibration(
        alone=logistic("alone"),
        joined=logistic("joined") if values["joined"] else None,
        thresholds=(first, second),
        second=logistic("second"),
        named=logistic("named"),
        hashes=(values["hashes"][0], values["hashes"][1]),
    )


def measure_in_blocks(tagger: Tagger, pieces: Iterable[Tensor], rate: int) -> Iterator[Activity]:
    """Hear a recording that comes in pieces [C, T] of any length at `rate` Hz.

    Yields the activity of one block after another: memory does not grow with the sound.
    """
    for block in _blocks(pieces, rate):
        seconds = mono(block.unfold(1, rate, rate).transpose(0, 1))  # [N, rate]
        level = 10 * (seconds.double().square().mean(1) + 1e-20).log10()
        audio = seconds.flatten()[None]
        audio = resample(audio, rate, RATE) if rate != RATE else audio
        states, classes = tagger.hear(audio)
        count = torch.tensor([states.shape[1]])
        states = F.pad(states, (0, 0, 0, LONGEST * RATE // FRAME - states.shape[1]))
        yield Activity(states, classes, count, torch.tensor([len(seconds)]), level.float())


def merge_activity(parts: Sequence[Activity]) -> Activity:
    """Concatenate the activity of parts, one after another. Raises `ValueError` for none."""
    if not parts:
        raise ValueError("a recording must have at least 1 sample, got none")
    return Activity(
        states=torch.cat([part.states for part in parts]),
        classes=torch.cat([part.classes for part in parts]),
        frames=torch.cat([part.frames for part in parts]),
        seconds=torch.cat([part.seconds for part in parts]),
        level_db=torch.cat([part.level_db for part in parts]),
    )


def measure_activity(tagger: Tagger, audio: Tensor, rate: int) -> Activity:
    """`measure_in_blocks` of audio [C, T] at `rate` Hz that is in memory."""
    return merge_activity([*measure_in_blocks(tagger, [audio], rate)])


def ask(tagger: Tagger, activity: Activity, prompts: Sequence[str]) -> Answers:
    """What the tagger says of K prompts; the best quarter of the blocks that are not silent
    decides of the whole.
    """
    told, at_once = tagger.ask(activity.states, activity.there, activity.classes, prompts)
    blocks = zip(at_once, activity.seconds.tolist(), activity.frames.tolist(), strict=True)
    seconds = torch.cat([by_seconds(rows[:, :frames], count) for rows, count, frames in blocks], 1)
    ends = activity.seconds.cumsum(0).tolist()
    spans = zip([0, *ends], ends, strict=False)
    audible = torch.stack([activity.loud[begin:end].any() for begin, end in spans])
    return Answers(best_blocks(told[audible] if bool(audible.any()) else told), seconds)


def second_figures(answers: Answers) -> Tensor:
    """What decides of each second [K, N, 3]: its answer, and those of the whole recording."""
    whole = answers.whole[:, None].expand(-1, answers.seconds.shape[1], -1)
    return torch.cat([answers.seconds[..., None], whole], 2)


def by_seconds(frames: Tensor, seconds: int) -> Tensor:
    """The highest logit of each second [K, seconds] of logits of frames [K, F], whose middle
    decides in which second they are.
    """
    middles = (torch.arange(frames.shape[1]) + 0.5) * FRAME / RATE
    second = middles.long().clamp_max(seconds - 1)
    out = frames.new_full((len(frames), seconds), -torch.inf)
    return out.scatter_reduce_(1, second.expand(len(frames), -1), frames, "amax")


def best_blocks(told: Tensor) -> Tensor:
    """The mean [...] of the highest quarter of logits [S, ...]."""
    return told.topk(max(1, round(BEST * len(told))), dim=0).values.mean(0)


def presence_of(
    answers: Answers,
    evidence: Tensor,
    loud: Tensor,
    *,
    hashes: tuple[str, str],
    calibration: Calibration | None = None,
) -> Presence:
    """Presence from the tagger's answers and the evidence [K, E] of a separation network; which of
    N seconds are `loud` [N].

    Raises `ValueError` for `hashes` of another tagger than it was fitted with.
    """
    calibration = calibration or load_calibration()
    whole = answers.whole
    score, threshold = calibration.alone.probability(whole), calibration.thresholds[0]
    if calibration.fits(hashes) and calibration.joined is not None:
        score = calibration.joined.probability(torch.cat([whole, evidence], 1))
        threshold = calibration.thresholds[1]
    score = score * loud.any()
    activity = calibration.second.probability(second_figures(answers)) * loud
    return Presence(
        score=tuple(score.tolist()),
        present=tuple((score >= threshold).tolist()),
        activity=tuple(tuple(row) for row in activity.tolist()),
    )


def _blocks(pieces: Iterable[Tensor], rate: int) -> Iterator[Tensor]:
    """Blocks [C, T] of BLOCK seconds, the last one of up to LONGEST, filled up with silence to
    whole seconds.
    """
    rest: Tensor | None = None
    for piece in pieces:
        rest = piece if rest is None else torch.cat([rest, piece], 1)
        while rest.shape[1] > LONGEST * rate:
            yield rest[:, : BLOCK * rate]
            rest = rest[:, BLOCK * rate :]
    if rest is not None and (frames := rest.shape[1]):
        yield F.pad(rest, (0, -(-frames // rate) * rate - frames))
