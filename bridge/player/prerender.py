"""Render notes that cannot be rendered in real time: `python -m bridge.player.prerender`.

Lines of JSON in and out, run by `live.sampler`. A note is rendered dry, at velocity 100 (velocity
is a gain in every renderer), cut where it has died away, and written as raw float32.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from presets import Note, Preset
from presets.reading import read_json
from renderers import for_preset, from_values

SECONDS = 6.0  # at least this much is rendered, whatever the preset's length
QUIET = 1e-4  # of the peak: the rest is not kept
FADE = 0.02  # seconds
NICE = 10  # behind whatever plays


def note(preset: Preset, number: int, rate: int) -> NDArray[np.float32]:
    """The preset's note at velocity 100, float32 [T], cut at -80 dB and faded out."""
    renderer = for_preset(preset)
    samples = round(max(preset.seconds, SECONDS) * rate)
    with torch.inference_mode():
        u = from_values(renderer, preset.values).float()[None]
        audio = renderer.render(u, Note(number), rate, samples)[0].mean(0).numpy()
    loud = np.nonzero(np.abs(audio) > QUIET * np.abs(audio).max())[0]
    fade = round(FADE * rate)
    audible = np.array(audio[: int(loud[-1]) + 1 + fade if loud.size else fade])
    tail = min(fade, audible.size)
    audible[audible.size - tail :] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(tail) / tail)
    return audible.astype(np.float32)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Render one request {number, preset, note, rate, file} into its file: {number, samples}."""
    try:
        audio = note(Preset.model_validate(request["preset"]), request["note"], request["rate"])
    except ValueError as error:
        return {"number": request["number"], "reason": str(error)}
    Path(request["file"]).write_bytes(audio.tobytes())
    return {"number": request["number"], "samples": audio.size}


def main() -> None:
    """Answer until stdin ends."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what libraries print is not the protocol
        if hasattr(os, "nice"):
            os.nice(NICE)
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        for line in sys.stdin:
            out.write(json.dumps(answer(read_json(line))) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
