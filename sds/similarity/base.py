"""The protocol of text-audio similarity models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class TextAudioSimilarity(Protocol):
    """A model that scores how well sounds match prompts."""

    name: str

    def similarity(self, audio: Tensor, rate: int, prompts: list[str]) -> Tensor:
        """Similarity [B, K] of audio [B, C, T] at `rate` Hz with each of K prompts, higher is
        closer.
        """


class SearchScorer(TextAudioSimilarity, Protocol):
    """A model that searches may maximise: the cosine of two vectors, one of sound, one of words."""

    model_hash: str

    def hear(self, audio: Tensor, rate: int) -> Tensor:
        """Unit vectors [B, D] of audio [B, C, T] at `rate` Hz."""

    def read(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors [K, D] of K prompts."""
