"""The denoiser D(x; sigma), which every sampler calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

Denoiser: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""D(x [B, D, L]; sigma [B]) -> x0 [B, D, L]."""

TrackDenoiser: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""D(x [B, N, ...]; sigma [B, N]) -> x0 [B, N, ...]: N tracks, each with a noise level of its own.

The tracks are sources that play together, as stems of one song. A level of 0 says that a track is
clean, and known.
"""
