"""What an engine is: its name, whether it is here, and the sound it makes of a file."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from presets import Note


@dataclass(frozen=True, slots=True)
class Engine:
    """A real synth or sampler, run without a screen or a sound card.

    `missing()` is "" when it can be used, else one sentence that says how to get it. `play` is its
    own way to `render`.
    """

    name: str
    missing: Callable[[], str]
    play: Callable[[Path, Note, float, int], NDArray[np.float32]]

    # Some engines make their thread flush denormals to zero and leave it so (Vital's does); ours
    # are float64 and mean it. A thread of its own takes that with it when it ends.
    def render(self, file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
        """Play the exported file at `rate`: float32 [C, T], C 1 or 2.

        Level and a lag of some samples are the engine's own.
        """
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self.play, file, note, seconds, rate).result()
