"""The classes of stems, and what a model of them is to those who use it."""

from __future__ import annotations

from typing import Protocol

STEMS = ("bass", "drums", "guitar", "piano")


class MultiTrackModel(Protocol):
    """A model of stems that belong together.

    - `name`, `model_hash`: which one
    - `sample_rate`: Hz; `window_seconds`: how much it hears at once
    """

    name: str
    model_hash: str
    sample_rate: int
    window_seconds: float
