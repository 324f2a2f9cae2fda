"""The list of renderers; the values of a preset to a patch and back."""

from __future__ import annotations

import torch
from torch import Tensor

from presets import Preset, ranges
from renderers import fm, impact, starts
from renderers.base import Renderer, curves, physical, positions

RENDERERS: dict[str, Renderer] = {
    "fm": fm.renderer(voice="full"),
    "impact": impact.renderer(voice="full"),
}

_FOR_NAMES = {"fm": fm.for_names, "impact": impact.for_names}
_RANDOM = {"fm": starts.fm_patches, "impact": starts.impact_patches}


def for_preset(preset: Preset) -> Renderer:
    """The renderer, with as many operators or modes, that `preset` was made for.

    Raises `ValueError` when there is none of its name or version, or its values do not fit.
    """
    ranges.check_values(preset)
    return _FOR_NAMES[preset.renderer](frozenset(preset.values))


def to_values(renderer: Renderer, u: Tensor) -> dict[str, float]:
    """Physical values by name of one patch u [P]. The inverse of `from_values`.

    Knobs that act as their mean (`fm.average_shared`) come out at it.
    """
    if u.shape != (len(renderer.params),):
        raise ValueError(
            f"{renderer.name}: u must be [{len(renderer.params)}], got {list(u.shape)}"
        )
    values = physical(curves(renderer.params), u.detach()[None])
    if renderer.name == "fm":
        values = fm.average_shared(fm.layout(renderer.params), values)
    return dict(zip((p.name for p in renderer.params), values[0].tolist(), strict=True))


def from_values(renderer: Renderer, values: dict[str, float]) -> Tensor:
    """One patch u [P], float64, of physical `values`. The inverse of `to_values`.

    Raises `ValueError` when a value is missing, unknown or outside its knob's range.
    """
    ranges.within(renderer.name, renderer.params, values)
    row = torch.tensor([[values[p.name] for p in renderer.params]], dtype=torch.float64)
    return positions(curves(renderer.params), row)[0]


def random_patches(renderer: Renderer, count: int, *, generator: torch.Generator) -> Tensor:
    """Musical random patches u [count, P], float64: starts for a search, sounds for a corpus."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    return _RANDOM[renderer.name](renderer, count, generator)
