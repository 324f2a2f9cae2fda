"""Dexed, the free DX7, by dexed-py: the engine of the plug-in without the plug-in."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from presets import Note
from presets.dx7 import Voice
from presets.dx7_file import read
from presets.dx7_sysex import write_single
from renderers.engines.base import Engine


def render_voice(voice: Voice, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    """One note of a voice, float32 [1, T]."""
    dexed = importlib.import_module("dexed")  # an extra of the tests: not everybody has it
    synth = dexed.DexedSynth(float(rate))
    # the engine wants the 155 numbers and the operator switches that follow them
    synth._synth.load_sysex(write_single(voice)[6:-2] + b"\x3f")
    audio = synth.render(round(note.number), note.velocity, min(note.held, seconds), seconds)
    return np.asarray(audio, np.float32)[None, : round(seconds * rate)]


def _missing() -> str:
    found = importlib.util.find_spec("dexed") is not None
    return "" if found else "dexed-py is not installed: pip install dexed-py"


def _render(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    return render_voice(read(file.read_bytes()).voices[0], note, seconds, rate)


ENGINE = Engine("Dexed (dexed-py)", _missing, _render)
