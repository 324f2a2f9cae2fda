"""Where a search for a patch stands, so that a later run goes on there as if it had not stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from torch import Tensor

Stage: TypeAlias = Literal["search", "prefer", "generate", "evolve", "fit", "distill"]
STAGES: tuple[Stage, ...] = get_args(Stage)

Tensors: TypeAlias = Mapping[str, Tensor]
"""By name."""


@dataclass(frozen=True, slots=True)
class SearchState:
    """What the search knows after `index` steps, in which it is in `stage`.

    `tensors` are what it goes on with, the state of its random numbers among them. Some are its
    own, not copies: they are to be written down before the next step is taken. A search that goes
    on from here does what remains, and finds what it would have found without a stop: stages that
    are done, candidates that are rated and generations are not done again; the generation of clips
    is, from its first step on, and fit and distillation are from the last look at the patch or the
    last target on.
    """

    stage: Stage
    index: int
    tensors: Tensors

    def reached(self, stage: Stage) -> bool:
        """Whether it is in this stage, or in a later one."""
        return STAGES.index(self.stage) >= STAGES.index(stage)

    def best(self, count: int) -> tuple[Tensor, Tensor]:
        """The best patches so far that differ [K, P], K <= count, and their scores [K]."""
        return self.tensors["found.u"][:count], self.tensors["found.scores"][:count]


def below(tensors: Tensors, name: str) -> dict[str, Tensor]:
    """Those called `name.X`, by X."""
    return {
        key.removeprefix(f"{name}."): value
        for key, value in tensors.items()
        if key.startswith(f"{name}.")
    }
