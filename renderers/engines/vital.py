"""Vital's own engine, by vita: `.vital` presets, and wavetables played as our exporter means."""

from __future__ import annotations

import importlib
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presets import Note
from presets.export import vital_patch, wavetable
from renderers.engines.base import Engine

SETTLE = 1.0  # seconds: after a preset is loaded its knobs glide to their places


def _missing() -> str:
    here = importlib.util.find_spec("vita") is not None
    return "" if here else "vita is not installed: pip install vita"


def _play(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    return play(file.read_text(encoding="utf-8"), note, seconds, rate)


def play(text: str, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    """One note of a preset: float32 [2, T]. Raises `ValueError` when Vital refuses it."""
    if note.number != round(note.number):
        raise ValueError(f"Vital plays whole note numbers, got {note.number}")
    # Vital leaves its thread flushing denormals to zero: one of its own takes that with it.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_render_note, text, note, seconds, rate).result()


def _render_note(text: str, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    synth: Any = importlib.import_module("vita").Synth()
    synth.set_sample_rate(rate)
    if not synth.load_json(text):
        raise ValueError("Vital refused the preset")
    synth.render(round(note.number), 1 / 127, 0.01, SETTLE)
    held = min(note.held, seconds)
    audio = synth.render(round(note.number), note.velocity / 127, held, seconds)
    return np.asarray(audio, np.float32)[:, : round(seconds * rate)]


def _play_table(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    table = wavetable.read(file.read_bytes())
    when = vital_patch.times(table.seconds, len(table.frames))
    text = vital_patch.wavetable_patch(table.frames, when, table.cycles, file.stem)
    return play(text, note, seconds, rate)


PRESETS = Engine("Vital's engine (vita)", _missing, _play)
WAVETABLES = Engine("Vital's engine (vita), scanned in time", _missing, _play_table)
