"""Knobs and notes: the unit interval an optimiser moves in, the physical value a musician reads.

Every curve has a finite, non-zero slope on [0, 1], so gradients through it never vanish or blow up
(torchsynth's log2(u) curves are NaN at u = 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

A4_HZ = 440.0
A4_NUMBER = 69


@dataclass(frozen=True, slots=True)
class Param:
    """One knob: `value` and `position` are inverses between [0, 1] and [low, high].

    `scale="log"` needs 0 < low. Raises `ValueError` for an empty or impossible range.

    >>> cutoff = Param("cutoff", 20.0, 20000.0, "Hz", "log")
    >>> round(cutoff.value(0.5), 3)
    632.456
    >>> round(cutoff.position(cutoff.value(0.25)), 12)
    0.25
    """

    name: str
    low: float
    high: float
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"{self.name}: needs finite low < high, got {self.low} .. {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"{self.name}: a log scale needs low > 0, got {self.low}")

    def value(self, u: float) -> float:
        """Physical value at position `u`, clipped to [0, 1]. The inverse of `position`."""
        u = min(1.0, max(0.0, u))
        if self.scale == "log":
            return float(self.low * (self.high / self.low) ** u)
        return self.low + (self.high - self.low) * u

    def position(self, value: float) -> float:
        """Position in [0, 1] of a physical `value`, clipped to the range. Undoes `value`."""
        value = min(self.high, max(self.low, value))
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Note:
    """What was played: MIDI `number` (60 = middle C, may be fractional), `velocity` 1..127, and for
    how many seconds the key was `held`.

    >>> Note(69).hz
    440.0
    """

    number: float = 60.0
    velocity: int = 100
    held: float = math.inf

    def __post_init__(self) -> None:
        if not self.held >= 0:
            raise ValueError(f"held must be at least 0 seconds, got {self.held:g}")
        if not 0 <= self.number <= 127:
            raise ValueError(f"note number must be in range 0..127, got {self.number}")
        if not 1 <= self.velocity <= 127:
            raise ValueError(f"velocity must be in range 1..127, got {self.velocity}")

    @property
    def hz(self) -> float:
        """Equal-tempered frequency in Hz, A4 = 440."""
        return float(A4_HZ * 2.0 ** ((self.number - A4_NUMBER) / 12.0))

    @property
    def gain(self) -> float:
        """Amplitude for the velocity: (v / 127) ** 2 scaled to 1 at velocity 100."""
        return (self.velocity / 100.0) ** 2
