"""Patches of the paper's voices in the full ones, where they sound the same.

What a full voice has beside the paper's is at rest: nothing holds, moves, hisses or is filtered
but by a low-pass that is open as far as it goes; a delta strikes once. A key let go damps within
0.2 s, as the live voice does it for the paper's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from presets import Param, ranges
from renderers import fm, impact
from renderers.base import Renderer, curves, physical, positions
from renderers.families import REST

# Of a full voice's own knobs; those that have no effect at rest are where they are of use as soon
# as another is turned up.
RESTING = {
    **REST,
    "filter_resonance": 0.3,  # Butterworth's damping, 1.415: flat as far as it goes
    "detune": 0.0,
    "sustain": 0.0,
    "release": 0.2,
    "strike_seconds": 1e-5,
    "burst_level": 0.0,
    "burst_seconds": 0.05,
    "burst_hz": 5000.0,
    "hits": 1.0,
    "hit_hz": 4.0,
    "hit_jitter": 0.0,
    "hit_spread": 0.0,
}


def resting(name: str) -> float:
    """The value at rest of a knob that only a full voice has. Raises `KeyError` for others."""
    return RESTING[re.sub(r"op\d_", "", name)]


def is_full(names: Mapping[str, object] | frozenset[str]) -> bool:
    """Whether values of these names are of a full voice."""
    return "pitch_start" in names or "hits" in names


def full(values: Mapping[str, float]) -> dict[str, float]:
    """The values of a preset, of either renderer, in the full voice; those of one, and of the
    impact voice "audio-sds", which none sounds like, as they are.
    """
    if is_full(values) or ranges.has_centres(values):
        return dict(values)
    names = frozenset(values)
    if "op1_ratio" in names:
        params = ranges.fm_of(names | {"pitch_start"})
    else:
        params = ranges.impact_of(names | {"hits"})
    return {p.name: values[p.name] if p.name in values else resting(p.name) for p in params}


def voice_of(renderer: Renderer) -> str:
    """The voice of a renderer: "paper", "full" or "audio-sds"."""
    names = frozenset(p.name for p in renderer.params)
    if ranges.has_centres(names):
        return "audio-sds"
    return "full" if is_full(names) else "paper"


def in_voice(renderer: Renderer, voice: str) -> Renderer:
    """The renderer with the same operators or modes in this voice."""
    names = frozenset(p.name for p in renderer.params)
    if voice == voice_of(renderer):
        return renderer
    if voice == "full":
        names |= {"pitch_start"} if renderer.name == "fm" else {"hits"}
    else:
        names -= {p.name for p in (*ranges.MOVEMENT, *ranges.STRIKE)}
    return fm.for_names(names) if renderer.name == "fm" else impact.for_names(names)


def to_voice(renderer: Renderer, u: Tensor, voice: str) -> Tensor:
    """Patches u [B, P] as those of `in_voice(renderer, voice)`, float64.

    Full ones sound the same; of a full patch the paper's voice keeps what it has.
    """
    if voice == voice_of(renderer):
        return u.double()
    target = in_voice(renderer, voice)
    values = physical(curves(renderer.params), u)
    where = {p.name: i for i, p in enumerate(renderer.params)}
    at_rest = u.new_ones(len(u), dtype=torch.float64)

    def column(p: Param) -> Tensor:
        return values[:, where[p.name]] if p.name in where else at_rest * resting(p.name)

    return positions(curves(target.params), torch.stack([column(p) for p in target.params], dim=1))
