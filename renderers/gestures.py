"""How the random patches of the full impact voice are struck: what hand, and what it falls on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from presets.ranges import STRIKE

Range = tuple[float, float]

WOOD, METAL, GLASS, SKIN, FLOOR, STONE, PLATE = range(7)  # rows of `starts.IMPACT_MATERIALS`
ANYTHING = (WOOD, METAL, GLASS, SKIN, FLOOR, STONE, PLATE)


@dataclass(frozen=True, slots=True)
class Gesture:
    """Ranges of the knobs of `presets.ranges.STRIKE`; a patch lies somewhere within each.

    On a log scale within where the knob has one. `often`: how many patches are struck so.
    """

    often: float
    materials: tuple[int, ...]
    strike_seconds: Range = (1e-5, 3e-4)
    burst_level: Range = (0.0, 0.0)
    burst_seconds: Range = (0.01, 0.1)
    burst_hz: Range = (1000.0, 10000.0)
    hits: Range = (1.0, 1.0)
    hit_hz: Range = (3.0, 10.0)
    hit_jitter: Range = (0.0, 0.3)
    hit_spread: Range = (0.0, 0.3)


_HARD = (1e-5, 1e-4)
_SHORT = (0.004, 0.03)

GESTURES = {
    "once": Gesture(6.0, ANYTHING),
    "soft mallet": Gesture(3.0, (WOOD, METAL, GLASS, SKIN, FLOOR, PLATE), (5e-4, 8e-3)),
    "brush": Gesture(1.0, ANYTHING, (2e-4, 5e-3), (0.3, 1.0), (0.02, 0.2), (2000.0, 16000.0)),
    "scrape": Gesture(
        1.5, (WOOD, METAL, GLASS, STONE, PLATE), (4e-3, 0.02), (0.6, 1.0), (0.2, 1.0), (800.0, 1e4)
    ),
    "footsteps on gravel": Gesture(
        1.0,
        (FLOOR, STONE, WOOD),
        (1e-4, 3e-3),
        (0.6, 1.0),
        (0.04, 0.2),
        (2000.0, 1e4),
        hits=(3.0, 8.0),
        hit_hz=(1.4, 2.6),
        hit_jitter=(0.0, 0.12),
    ),
    "applause": Gesture(
        1.0,
        (STONE,),
        _HARD,
        (0.2, 1.0),
        _SHORT,
        (2000.0, 12000.0),
        hits=(36.0, 48.0),
        hit_hz=(14.0, 50.0),
        hit_jitter=(0.8, 1.0),
        hit_spread=(0.2, 0.9),
    ),
    "rain on tin": Gesture(
        1.0,
        (METAL, GLASS, PLATE, STONE),
        (1e-5, 5e-4),
        (0.0, 0.4),
        _SHORT,
        hits=(30.0, 48.0),
        hit_hz=(10.0, 40.0),
        hit_jitter=(0.9, 1.0),
        hit_spread=(0.5, 1.0),
    ),
    "crackle": Gesture(
        1.0,
        (STONE, WOOD),
        _HARD,
        hits=(12.0, 48.0),
        hit_hz=(6.0, 30.0),
        hit_jitter=(0.9, 1.0),
        hit_spread=(0.5, 1.0),
    ),
    "breaking glass": Gesture(
        1.0,
        (GLASS,),
        _HARD,
        (0.0, 0.8),
        (0.02, 0.2),
        (5000.0, 16000.0),
        hits=(10.0, 48.0),
        hit_hz=(15.0, 60.0),
        hit_jitter=(0.7, 1.0),
        hit_spread=(0.3, 0.9),
    ),
    "coins": Gesture(
        0.7,
        (GLASS, METAL),
        _HARD,
        hits=(3.0, 12.0),
        hit_hz=(6.0, 20.0),
        hit_jitter=(0.4, 1.0),
        hit_spread=(0.2, 0.8),
    ),
    "dice": Gesture(
        0.7,
        (WOOD, STONE),
        _HARD,
        hits=(3.0, 9.0),
        hit_hz=(7.0, 20.0),
        hit_jitter=(0.4, 1.0),
        hit_spread=(0.2, 0.8),
    ),
    "knocking": Gesture(
        1.0,
        (WOOD, SKIN, FLOOR),
        (1e-4, 2e-3),
        hits=(3.0, 4.0),
        hit_hz=(3.0, 6.0),
        hit_jitter=(0.0, 0.08),
        hit_spread=(0.0, 0.2),
    ),
    "typing": Gesture(
        0.7,
        (STONE, WOOD),
        _HARD,
        (0.0, 0.5),
        _SHORT,
        hits=(8.0, 24.0),
        hit_hz=(5.0, 12.0),
        hit_jitter=(0.4, 0.9),
        hit_spread=(0.2, 0.5),
    ),
    "drops": Gesture(
        0.7,
        (GLASS,),
        (1e-4, 1e-3),
        hits=(3.0, 10.0),
        hit_hz=(1.5, 6.0),
        hit_jitter=(0.5, 1.0),
        hit_spread=(0.2, 0.8),
    ),
    "roll": Gesture(
        0.7,
        (SKIN, METAL, WOOD),
        (1e-4, 4e-3),
        (0.0, 0.5),
        hits=(12.0, 40.0),
        hit_hz=(12.0, 28.0),
        hit_jitter=(0.0, 0.15),
    ),
}


def gestures(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Materials [count], rows of `starts.IMPACT_MATERIALS`, and knobs [count, 8] to strike them."""
    kinds = tuple(GESTURES.values())
    often = torch.tensor([kind.often for kind in kinds], dtype=torch.float64)
    which = torch.multinomial(often, count, replacement=True, generator=generator).tolist()
    share = torch.rand(count, len(STRIKE), generator=generator, dtype=torch.float64)
    on = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
    materials, rows = [], []
    for k, place, x in zip(which, on, share.tolist(), strict=True):
        materials.append(kinds[k].materials[int(place * len(kinds[k].materials))])
        row = []
        for part, p in zip(x, STRIKE, strict=True):
            low, high = (p.position(end) for end in getattr(kinds[k], p.name))
            row.append(p.value(low + part * (high - low)))
        rows.append(row)
    return torch.tensor(materials), torch.tensor(rows, dtype=torch.float64)
