"""pedalboard's Convolution, JUCE's convolver: what most hosts do with an impulse response."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pedalboard
from numpy.typing import NDArray

from presets import Note
from renderers.engines.base import Engine


def convolve(dry: NDArray[np.float32], file: Path, rate: int) -> NDArray[np.float32]:
    """`dry` [C, T] through the impulse response in `file`, all wet, at the host's own level.

    JUCE scales an impulse response h to 0.125 / sqrt(sum h^2).
    """
    wet: NDArray[np.float32] = pedalboard.Convolution(str(file), mix=1.0)(dry, rate)
    return wet


def _render(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    """The space itself, struck by one sample: the note does not matter."""
    dry = np.zeros((1, round(seconds * rate)), np.float32)
    dry[0, 0] = note.gain
    return convolve(dry, file, rate)


ENGINE = Engine("pedalboard.Convolution (JUCE)", lambda: "", _render)
