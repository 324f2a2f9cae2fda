"""What all separation methods share: the window of the masks, their floor, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

N = 2048  # window of the masks at the prior's rate, hop N/4
FLOOR = 1e-3  # of the mixture's power in a bin: what a source may at least have
PromptedEstimate: TypeAlias = Callable[..., Iterator[Tensor]]
"""(prior, prompts, audio [1, C', T'], t=, generator=) -> powers [F, N], one prompt after the other,
of what it makes of the audio, one window of the prior's."""


@dataclass(frozen=True, slots=True)
class WindowProgress:
    """How far one window is; the last one has its stems [K, C, T].

    - `fraction`: of the window's work, 0..1; `stage`: what is being done.
    - `figures`: numbers of the moment, such as a loss, by name.
    """

    fraction: float
    stage: str
    figures: dict[str, float]
    stems: Tensor | None = None
