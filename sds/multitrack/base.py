"""What a model of four stems is to those who use it."""

from __future__ import annotations

from typing import Protocol

STEMS = ("bass", "drums", "guitar", "piano")
"""The classes of stems, in the order of every tensor [.., 4, ..]."""


class MultiTrackModel(Protocol):
    """A model of four stems: its name, the digest of its weights, the rate of its sound in Hz, and
    the seconds that it makes at once.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def model_hash(self) -> str: ...  # noqa: D102

    @property
    def sample_rate(self) -> int: ...  # noqa: D102

    @property
    def window_seconds(self) -> float: ...  # noqa: D102
