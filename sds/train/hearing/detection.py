"""How well is detected what a mixture holds, and what is suggested for it.

- `presence`: the prompts of `sds.train.presence.make_mixtures`, of recordings only. AUC; absent
  prompts called present at the threshold that loses 4 % of the present ones here; both errors at
  the threshold that ships.
- `suggest`: the first five names for two sounds. Recall of classes; expected calibration error of
  their probabilities in ten bins, a name being right when its class is in the mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from sds.datasets.evaluation_items import Mixture
from sds.detection.evidence import PresenceNetworks, presence
from sds.detection.presence import measure_activity
from sds.detection.tagging import Suggestion, suggest, vocabulary
from sds.train.data import RATE
from sds.train.hearing.mixtures import fingerprint, held_recordings
from sds.train.hearing.rows import SEED, Row, Setup
from sds.train.presence import (
    LabelledMixture,
    area,
    calibration_error,
    make_mixtures,
    recall,
)

HEARD, TAGGED = 100, 40  # mixtures of a figure
TOP = 5
MISSED = 0.04  # of the present prompts, at the threshold where absent ones are counted


def false_present_at(score: Tensor, there: Tensor, missed: float) -> float:
    """Share of absent prompts whose score [N] is not below the threshold that loses a share
    `missed` of what is `there` [N].
    """
    present = score[there].sort().values
    threshold = present[int(missed * len(present))]
    return float((score[~there] >= threshold).double().mean())


def measure_presence(setup: Setup) -> Iterator[Row]:
    """`presence`."""
    found = _labelled(setup, HEARD, SEED, None)
    score: list[float] = []
    called: list[bool] = []
    there: list[bool] = []
    for mixture in found:
        prompts = [*mixture.there, *mixture.absent]
        heard = presence(setup.detection, mixture.audio, RATE, prompts)
        score += heard.score
        called += heard.present
        there += [i < len(mixture.there) for i in range(len(prompts))]
    chance, is_called, is_there = (torch.tensor(x) for x in (score, called, there))
    ends = (None, len(score), "report", _fingerprint(found))
    at = f"false present at {MISSED:.0%} missed"
    rates = {
        "AUC": area(chance.double(), is_there),
        at: false_present_at(chance, is_there, MISSED),
        "missed, as shipped": 1 - float(is_called[is_there].double().mean()),
        "false present, as shipped": float(is_called[~is_there].double().mean()),
    }
    for name, value in rates.items():
        yield Row(f"presence: {name}", "detection", "", value, *ends)


def measure_suggestions(setup: Setup) -> Iterator[Row]:
    """`suggest`."""
    found = _labelled(setup, TAGGED, SEED + 1, 2)
    named = [_suggestions(setup.detection, mixture.audio) for mixture in found]
    labels = [mixture.labels for mixture in found]
    classes = vocabulary()
    chance = torch.tensor([item.score for some in named for item in some])
    right = torch.tensor([
        classes[item.prompt] in true
        for some, true in zip(named, labels, strict=True)
        for item in some
    ])  # fmt: skip
    ends = ("report", _fingerprint(found))
    hits = recall(named, labels)
    yield Row("suggest: recall", "detection", "", hits["recall"], None, int(hits["sounds"]), *ends)
    error = calibration_error(chance, right)
    yield Row("suggest: calibration error", "detection", "", error, None, len(chance), *ends)


def _labelled(setup: Setup, count: int, seed: int, sounds: int | None) -> list[LabelledMixture]:
    corpus = held_recordings(setup.data, "report")
    found: list[LabelledMixture] = setup.first(
        make_mixtures(corpus, np.random.default_rng(seed), sounds=sounds), count
    )
    return found


def _suggestions(networks: PresenceNetworks, audio: Tensor) -> list[Suggestion]:
    activity = measure_activity(networks.tagger, audio, RATE)
    return suggest(networks, activity, top=TOP)


def _fingerprint(found: Sequence[LabelledMixture]) -> str:
    return fingerprint([Mixture("", m.there + m.absent, m.audio, (m.audio,), RATE) for m in found])


DETECTION: dict[str, Callable[[Setup], Iterator[Row]]] = {
    "presence": measure_presence,
    "suggest": measure_suggestions,
}
