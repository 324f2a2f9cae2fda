"""Make a preset ready to play: apply limits, build effects, off the audio thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.player import macros
from presets import Preset
from presets.preset import VST3
from renderers import effects, voice_patch

SPAN = macros.RANGE
LONGEST_RISE = 0.5  # seconds: a sample's attack at 1


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a rendered note lies in the store."""

    first: int
    samples: int


@dataclass(eq=False, slots=True)
class Sound:
    """What a slot plays: an FM patch, or samples by note, which come as they are rendered."""

    preset: Preset
    values: Mapping[str, float]  # with the macros that change them
    patch: voice_patch.Patch | None
    depth: float
    rise: float  # seconds in which samples fade in
    board: Any  # a Pedalboard, or None; the same for every position of the macros
    samples: dict[int, Sample] = field(default_factory=dict)
    noise: Sample | None = None  # of a full FM voice: played round and round

    def nearest(self, note: int) -> int | None:
        """The rendered note nearest to `note`."""
        return min(self.samples, key=lambda ready: abs(ready - note), default=None)


def effect_board(preset: Preset, rate: int) -> Any:
    """The effects of a preset that can be played live, warmed up; None where it has none.

    Plugins in child processes are too late for a block (`missing_plugins`). Raises `ValueError`.
    """
    native = [effect for effect in preset.effects if effect.kind != VST3]
    if not native:
        return None
    return warm_up(effects.chain(native), rate)


def warm_up(board: Any, rate: int) -> Any:
    """A board whose first block allocates nothing, as long as it comes at this rate."""
    board.process(np.zeros((1, 64), np.float32), rate, reset=False)
    board.reset()
    return board


def missing_plugins(preset: Preset) -> tuple[str, ...]:
    """Effects of a preset that `effect_board` has not: the files of its plugins."""
    guests = (effect.plugin for effect in preset.effects if effect.kind == VST3)
    return tuple(guest.file if guest is not None else VST3 for guest in guests)


def build(preset: Preset, places: Mapping[str, float], board: Any) -> Sound:
    """The sound of a preset with its macros at `places`; raises `ValueError` for a wrong preset.

    FM is synthesised; every other renderer's notes are to be rendered.
    """
    if preset.renderer != "fm":
        try:
            values = macros.struck(preset.values, places) if preset.renderer == "impact" else {}
        except KeyError as missing:
            raise ValueError(f"an impact preset needs a value {missing}") from None
        rise = max(0.0, 2.0 * places["attack"] - 1.0) ** 2 * LONGEST_RISE
        return Sound(preset, values or preset.values, None, 1.0, rise, board)
    patch = voice_patch.patch(
        preset.values,
        attack=macros.times(places["attack"], SPAN),
        decay=macros.times(places["decay"], SPAN),
        damping=1.0 / macros.times(places["damping"], SPAN),
    )
    depth = voice_patch.depth(preset.values, 2.0 * places["brightness"])
    return Sound(preset, preset.values, patch, depth, 0.0, board)
