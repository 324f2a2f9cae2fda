"""What a search looks for, as its scorers hear it: a prompt, a recording, or both."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from torch import Tensor

from bridge.worker.models import Models
from sds.signal import audio_files
from sds.similarity import base
from sds.similarity.two_tower import TwoTowerScorer

Score: TypeAlias = Callable[[Tensor], Tensor]
"""Audio [B, 1, T] -> cosines [B]."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What is scored; None without that scorer.

    - `search`: what the search maximises; `evaluation`: what it never asks, and reports
    - `recording`: [1, T], which it is to come near to; `vector`: the shipped search scorer's [D] of
      it, by which the bank is searched
    """

    search: Score | None
    evaluation: Score | None
    recording: Tensor | None = None
    vector: Tensor | None = None


def sought_sound(
    models: Models, prompt: str, recording: Tensor | None, rate: int, scorer: str = "default"
) -> Sought:
    """A prompt, a recording [1, T] at `rate`, or both; `scorer` names who is searched with.

    With both the search scorer likes what is near to both alike; what is reported is the match with
    the prompt, or with the recording where there is none.
    """
    search, evaluation = models.chosen_scorer(scorer), models.evaluation_scorer()
    reported = None if evaluation is None else similarity_function(evaluation, prompt, rate)
    if recording is None:
        score = None if search is None else similarity_function(search, prompt, rate)
        return Sought(score, reported)
    if not prompt:
        reported = None
        if isinstance(evaluation, TwoTowerScorer):
            reported = _nearness(evaluation, "", recording, rate)
    score = None if search is None else _nearness(search, prompt, recording, rate)
    shipped = models.search_scorer()  # whose vectors the bank has
    vector = None if shipped is None else shipped.hear(recording[None], rate)[0]
    return Sought(score, reported, recording, vector)


def recording(path: str, rate: int, seconds: float) -> Tensor:
    """At most `seconds` of a recording to be like, [1, T] at `rate`, from its first sound on.

    Raises `ValueError` for silence.
    """
    audio, own = audio_files.read(path)
    sound = audio_files.mono(audio)
    loud = (sound.abs() > 0.01 * sound.abs().max()).nonzero()
    if not len(loud):
        raise ValueError(f"like {Path(path).name} is silent")
    first = int(loud[0])
    heard = sound[first : first + math.ceil(seconds * own)]
    return audio_files.resample(heard, own, rate)[None]


def similarity_function(scorer: base.TextAudioSimilarity, prompt: str, rate: int) -> Score:
    """Bind a scorer to one prompt: a function from audio [B, 1, T] at `rate` to cosines [B]."""
    return lambda sound: scorer.similarity(sound, rate, [prompt])[:, 0]


def _nearness(scorer: base.SearchScorer, prompt: str, recording: Tensor, rate: int) -> Score:
    """The cosine with a recording [1, T], or its mean with that with the prompt."""
    wanted = scorer.hear(recording[None], rate)[0]
    if prompt:
        wanted = 0.5 * (wanted + scorer.read([prompt])[0])
    return lambda sound: scorer.hear(sound, rate) @ wanted
