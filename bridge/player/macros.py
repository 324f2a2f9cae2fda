"""The six macro knobs of every patch, and the MIDI controllers that move them.

A macro's position is in [0, 1]; at `neutral` the patch sounds as it was designed. No array library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RANGE = 8.0  # attack and decay of FM: from an eighth to eight times
RING = 4.0  # decay of impacts, as far as the renderer's knob `ring` allows
MIDDLE_HZ = 1000.0  # impacts tilt around this


@dataclass(frozen=True, slots=True)
class Macro:
    """One knob: where the patch is as designed, and the controller that moves it unless learned."""

    name: str
    neutral: float
    controller: int


MACROS = {
    macro.name: macro
    for macro in (
        Macro("attack", 0.5, 73),
        Macro("decay", 0.5, 75),
        Macro("brightness", 0.5, 74),
        Macro("damping", 0.5, 71),
        Macro("reverb", 0.0, 91),
        Macro("level", 100 / 127, 7),
    )
}


def neutral() -> dict[str, float]:
    """Positions of a patch as designed."""
    return {name: macro.neutral for name, macro in MACROS.items()}


def position(name: str, value: int) -> float:
    """Position of a controller's value 0..127. Where neutral is the middle, it is 64.

    >>> position("attack", 64), position("attack", 127), position("level", 127)
    (0.5, 1.0, 1.0)
    """
    if MACROS[name].neutral != 0.5:
        return value / 127
    return value / 128 if value <= 64 else 0.5 + (value - 64) / 126


def times(place: float, span: float) -> float:
    """A factor from 1 / span at 0 over 1 at 0.5 to span at 1."""
    return float(span ** (2.0 * place - 1.0))


def gain(place: float) -> float:
    """Amplitude of a level's position: the law of velocity, (value / 100)^2, 1 at neutral."""
    return (place / MACROS["level"].neutral) ** 2


def struck(values: Mapping[str, float], places: Mapping[str, float]) -> dict[str, float]:
    """An impact patch with its macros moved: `decay`, `brightness` and `damping` re-rendered.

    Decay is `ring`; brightness tilts the gains of the modes by up to 12 dB an octave around 1 kHz,
    damping their decays by up to a factor 2 an octave.
    """
    moved = dict(values)
    tilt = 4.0 * (places["brightness"] - 0.5)
    damp = 2.0 * (places["damping"] - 0.5)
    moved["ring"] = _within(values["ring"] * times(places["decay"], RING), 0.25, 4.0)
    if tilt == 0.0 and damp == 0.0:
        return moved
    for name, hz in values.items():
        if not (name.startswith("mode") and name.endswith("_hz")):
            continue
        above, mode = hz / MIDDLE_HZ, name.removesuffix("hz")
        moved[mode + "gain"] = _within(values[mode + "gain"] * above**tilt, 1e-4, 1.0)
        moved[mode + "decay"] = _within(values[mode + "decay"] * above**-damp, 0.01, 10.0)
    return moved


def _within(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))
