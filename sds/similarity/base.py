"""What text-audio similarity models have in common."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class TextAudioSimilarity(Protocol):
    """A evaluation scorer: how well sounds match prompts."""

    name: str

    def similarity(self, audio: Tensor, rate: int, prompts: list[str]) -> Tensor:
        """Audio [B, C, T] at `rate` against K prompts: [B, K], higher is closer."""
