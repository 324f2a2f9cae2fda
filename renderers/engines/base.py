"""What an engine is: its name, whether it is here, and the sound it makes of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from presets import Note


@dataclass(frozen=True, slots=True)
class Engine:
    """A real synth or sampler, run without a screen or a sound card.

    `missing()` is "" when it can be used, else one sentence that says how to get it.
    `render(file, note, seconds, rate)` plays the exported file, its key down for `note.held`:
    float32 [C, T], C 1 or 2.
    Level and a lag of some samples are the engine's own.
    """

    name: str
    missing: Callable[[], str]
    render: Callable[[Path, Note, float, int], NDArray[np.float32]]
