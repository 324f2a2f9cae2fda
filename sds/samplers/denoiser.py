"""The denoiser D(x; sigma), which every sampler calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

Denoiser: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""D(x [B, D, L]; sigma [B]) -> x0 [B, D, L]."""
