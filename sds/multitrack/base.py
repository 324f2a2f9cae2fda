"""The classes of stems, and what a model of them is to those who use it."""

from __future__ import annotations

from typing import TypeAlias

from sds.priors.multi_source import MultiSource
from sds.priors.multi_track import MultiTrackPrior

STEMS = ("bass", "drums", "guitar", "piano")

MultiTrackModel: TypeAlias = MultiTrackPrior | MultiSource
"""A model of stems that belong together: the shipped one, or multi-source diffusion.

Both have `name` and `model_hash`, `sample_rate` in Hz, and `window_seconds`, which they hear at
once.
"""
