"""The classes of stems, and what a model of them is to those who use it."""

from __future__ import annotations

from typing import Protocol

STEMS = ("bass", "drums", "guitar", "piano")


class MultiTrackModel(Protocol):
    """A model of stems that belong together.

    - `name`, `model_hash`: which one
    - `sample_rate`: Hz; `window_seconds`: how much it hears at once
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def model_hash(self) -> str: ...  # noqa: D102

    @property
    def sample_rate(self) -> int: ...  # noqa: D102

    @property
    def window_seconds(self) -> float: ...  # noqa: D102
