"""Evidence that a prompt's sound is in a recording, beside the tagger's answer.

The query network (`sds.separation.query_network`) is asked for the prompt in the six seconds in
which the tagger hears it most: the log odds of its share of the magnitude, and those that it is
there at all. `sds.train.presence` weighs both with the tagger's answer, and keeps them where that
helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.detection.presence import (
    Activity,
    Answers,
    Calibration,
    Presence,
    ask,
    load_calibration,
    measure_activity,
    presence_of,
)
from sds.detection.tagger import Tagger
from sds.separation.query_network import RATE, N, Query
from sds.signal.audio_files import mono, resample
from sds.signal.spectrogram import stft

FIGURES = ("share", "odds")  # what `network_figures` gives of each prompt
STRETCH = 6  # seconds that are separated for a prompt ...
GRID = 3  # ... which begin at multiples of this
FEWEST = 1e-4  # share of the recording at which log odds are cut off

Read = Callable[[int, int], Tensor]
"""(begin, end) in samples -> the recording [C, end - begin]."""


@dataclass(frozen=True, slots=True)
class PresenceNetworks:
    """The networks that detection uses: the tagger, and the query network where there is one."""

    tagger: Tagger
    query: Query | None = None

    @property
    def hashes(self) -> tuple[str, str]:
        """Hashes of their weights: tagger, query network or ""."""
        return self.tagger.model_hash, self.query.model_hash if self.query is not None else ""


def presence(
    networks: PresenceNetworks,
    audio: Tensor,
    rate: int,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> Presence:
    """Detect whether and when the sounds that K prompts name are in audio [C, T] at `rate` Hz, a
    mixture or a stem.
    """
    activity = measure_activity(networks.tagger, audio, rate)
    answers = ask(networks.tagger, activity, prompts)
    *_, figures = evidence(
        networks, activity, answers, lambda begin, end: audio[:, begin:end], rate, prompts,
        calibration=calibration,
    )  # fmt: skip
    return presence_of(
        answers, figures, activity.loud, hashes=networks.hashes, calibration=calibration
    )


def evidence(
    networks: PresenceNetworks,
    activity: Activity,
    answers: Answers,
    read: Read,
    rate: int,
    prompts: Sequence[str],
    *,
    calibration: Calibration | None = None,
) -> Iterator[Tensor]:
    """Evidence [K, E] for K prompts in a recording at `rate` Hz, as far as it is gathered; the last
    is all of it: zeros where the calibration has no use for it.

    `read` gives samples. The cost is one stretch a prompt, however long the recording is.
    """
    figures = torch.zeros(len(prompts), len(FIGURES))
    if networks.query is not None and (calibration or load_calibration()).fits(networks.hashes):
        for figures in gather(networks.query, activity, answers, read, rate, prompts):
            yield figures
    yield figures


def gather(
    query: Query,
    activity: Activity,
    answers: Answers,
    read: Read,
    rate: int,
    prompts: Sequence[str],
) -> Iterator[Tensor]:
    """Evidence [K, E], as `evidence` has it, of a network, whatever it is worth."""
    figures = torch.zeros(len(prompts), len(FIGURES))
    starts = stretches(answers.seconds, activity.loud)
    for start in sorted(set(starts)):
        rows = [i for i, s in enumerate(starts) if s == start]
        audio = stretch(read, rate, start, len(activity.level_db))
        figures[rows] = network_figures(query, audio, [prompts[i] for i in rows])
        yield figures


def stretches(near: Tensor, loud: Tensor) -> list[int]:
    """The second at which the stretch with the greatest mean of logits `near` [K, N] begins, for
    each of K prompts; only seconds where `loud` [N] count.
    """
    near = torch.where(loud, near, near.amin())
    last = max(0, near.shape[1] - STRETCH)
    starts = [*range(0, last + 1, GRID)] + ([last] if last % GRID else [])
    means = torch.stack([near[:, s : s + STRETCH].mean(1) for s in starts], 1)
    return [starts[i] for i in means.argmax(1).tolist()]


def stretch(read: Read, rate: int, start: int, seconds: int) -> Tensor:
    """Read the mono stretch [T] at RATE from second `start` of `seconds` on, of a recording at
    `rate` Hz; one of less than a second is filled up with silence.
    """
    audio = mono(read(start * rate, min(seconds, start + STRETCH) * rate))
    audio = resample(audio[None], rate, RATE)[0] if rate != RATE else audio
    return F.pad(audio, (0, max(0, RATE - len(audio))))


def network_figures(query: Query, audio: Tensor, prompts: Sequence[str]) -> Tensor:
    """The FIGURES [K, E] of K prompts in audio [T] at RATE, all in one pass."""
    mid = audio[None, None]
    magnitude = stft(mid, N)[0, 0].abs()
    given, odds = query.answer(mid, RATE, prompts)  # [K + 1, F, N], [K]
    share = (given[:-1] * magnitude).sum((1, 2)) / magnitude.sum().clamp_min(1e-9)
    return torch.stack([share.logit(FEWEST), odds], 1)
