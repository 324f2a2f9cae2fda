"""The voice that a search plays: its knobs where words and tuning want them, behind its effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from presets import Effect, Note
from presets.preset import VST3
from presets.prompt_words import Bounds, Family, limits
from renderers import Renderer, tuning
from renderers.effect_gradients import through
from sds.distillation.descent import RenderFn
from sds.metrics.spectral_statistics import measure

PERIODIC = 0.85  # mean periodicity (Boersma 1993) from which on a sound has a pitch

Settle: TypeAlias = Callable[[Tensor], Tensor]
"""u [..., P] -> the knobs that sound, in 0..1."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A renderer whose knobs stay where they are asked to be.

    `settle` says which knobs sound, and are written; `effects` are what it is heard through.
    """

    renderer: Renderer
    settle: Settle
    effects: tuple[Effect, ...] = ()

    def render_function(self, note: Note, rate: int, samples: int) -> RenderFn:
        """Patches u [B, P] to the sound [B, C, samples] of their settled knobs, behind effects."""

        def render(u: Tensor) -> Tensor:
            sound = self.renderer.render(self.settle(u), note, rate, samples).float()
            return through(self.effects, sound, rate)

        return render


def voice(
    renderer: Renderer,
    *,
    bounds: Bounds | None = None,
    family: Family = "free",
    chain: tuple[Effect, ...] = (),
) -> Voice:
    """A renderer whose knobs stay within `bounds`, in tune as `family` has it, heard through a
    chain.

    Without bounds, and when `family` is "free", it sounds as it is. A chain with plugins is not
    heard in a search.
    """
    low, high = _edges(renderer, bounds or {})

    def settle(u: Tensor) -> Tensor:
        kept = u.clamp(low.to(u), high.to(u))
        return kept if family == "free" else tuning.snap(renderer, family, kept)

    return Voice(renderer, settle, () if any(e.kind == VST3 for e in chain) else chain)


def _edges(renderer: Renderer, bounds: Bounds) -> tuple[Tensor, Tensor]:
    """The lowest and highest position [P] of each knob."""
    low, high = [], []
    for param in renderer.params:
        limit = limits(bounds, param.name)
        low.append(0.0 if limit is None else param.position(limit[0]))
        high.append(1.0 if limit is None else param.position(limit[1]))
    return torch.tensor(low), torch.tensor(high)


def has_pitch(sound: Tensor, rate: int) -> bool:
    """Whether audio [1, C, T] is periodic wherever it is loud."""
    return float(measure(sound, rate)["periodicity"]) >= PERIODIC
