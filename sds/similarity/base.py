"""The protocol of text-audio similarity models."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class TextAudioSimilarity(Protocol):
    """A model that scores how well sounds match prompts."""

    name: str

    def similarity(self, audio: Tensor, rate: int, prompts: list[str]) -> Tensor:
        """Similarity [B, K] of audio [B, C, T] at `rate` Hz with each of K prompts, higher is
        closer.
        """
