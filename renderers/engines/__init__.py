"""The real synths and samplers that read what we export: one file an engine, none of them needed.

An engine is asked for the sound of an exported file, which `renderers.fidelity` then compares with
ours. `ENGINES` is the whole list, by format, the first available one is used.
"""

from __future__ import annotations

from renderers.engines import (
    convolution,
    dexed,
    faust,
    hexter,
    sfizz,
    sixsines,
    soundfont,
    vital,
)
from renderers.engines.base import Engine

__all__ = ["ENGINES", "Engine"]

ENGINES: dict[str, tuple[Engine, ...]] = {
    "wav": (sfizz.WAV,),
    "sfz": (sfizz.ENGINE,),
    "sf2": (soundfont.FLUIDSYNTH, soundfont.TINY),
    "ir": (convolution.ENGINE,),
    "dx7": (dexed.ENGINE, hexter.ENGINE),
    "faust": (faust.COMPILED, faust.DAWDREAMER),
    "sixsines": (sixsines.MODEL,),
    "vital": (vital.PRESETS,),
    "wavetable": (vital.WAVETABLES,),
}
