"""What a renderer is: a name, a version, a table of knobs, and one pure function to audio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from presets import Note, Param

Render = Callable[[Tensor, Note, int, int], Tensor]


@dataclass(frozen=True, slots=True)
class Renderer:
    """Parameters to audio.

    `render(u, note, rate, samples)`: u [B, P] in [0, 1], columns as `params`; `rate` in Hz;
    returns [B, C, samples], differentiable in u, deterministic, on the CPU in u's dtype.
    `version` goes up whenever the same u would sound different.
    """

    name: str
    version: int
    params: tuple[Param, ...]
    render: Render
