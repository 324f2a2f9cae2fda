"""SoundFont 2 players: FluidSynth, the reference, and TinySoundFont, which games carry."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
from numpy.typing import NDArray

from presets import Note
from renderers.engines.base import Engine

TICKS = 1000  # a second, at 120 beats a minute
DRY = ("-R", "0", "-C", "0")  # no reverb, no chorus


def _fluidsynth_missing() -> str:
    here = shutil.which("fluidsynth") is not None
    return "" if here else "fluidsynth is not installed: apt install fluidsynth"


def _fluidsynth(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    with tempfile.TemporaryDirectory() as folder:
        _midi(note, seconds).save(Path(folder, "note.mid"))
        font = str(file.resolve())
        only = ["-o", f"synth.default-soundfont={font}"]  # when it fails, not the system's instead
        into = ["-q", "-g", "0.5", "-O", "float", "-T", "wav", "-F", "out.wav"]
        command = ["fluidsynth", "-n", "-i", "-r", str(rate), *DRY, *only, *into, font, "note.mid"]
        done = subprocess.run(
            command,
            cwd=folder, capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
        out = Path(folder, "out.wav")
        if done.returncode != 0 or "Failed to load" in done.stdout + done.stderr:
            raise ValueError(f"fluidsynth refused {file.name}: {done.stderr.strip()[-300:]}")
        audio: NDArray[np.float32] = soundfile.read(out, dtype="float32", always_2d=True)[0].T
    return audio[:, : round(seconds * rate)]


def _midi(note: Note, seconds: float) -> mido.MidiFile:
    """One note, and a moment more than `seconds` so that the file is not cut."""
    key, length = _key(note), round(min(note.held, seconds) * TICKS)
    track = mido.MidiTrack(
        [
            mido.Message("note_on", note=key, velocity=note.velocity),
            mido.Message("note_off", note=key, time=length),
            mido.MetaMessage("end_of_track", time=round(seconds * TICKS) - length + TICKS // 4),
        ]
    )
    return mido.MidiFile(ticks_per_beat=TICKS // 2, tracks=[track])


def _tiny_missing() -> str:
    found = importlib.util.find_spec("tinysoundfont") is not None
    hint = "pip install --no-deps tinysoundfont"
    return "" if found else f"tinysoundfont is not installed: {hint}"


def _tiny(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    import tinysoundfont

    synth = tinysoundfont.Synth(samplerate=rate)
    synth.program_select(0, synth.sfload(str(file)), 0, 0)
    synth.noteon(0, _key(note), note.velocity)
    held, samples = round(min(note.held, seconds) * rate), round(seconds * rate)
    parts = [bytes(synth.generate(held))] if held else []
    if held < samples:
        synth.noteoff(0, _key(note))
        parts.append(bytes(synth.generate(samples - held)))
    return np.frombuffer(b"".join(parts), np.float32).reshape(-1, 2).T.copy()


def _key(note: Note) -> int:
    if note.number != round(note.number):
        raise ValueError(f"SoundFont players take whole note numbers, got {note.number}")
    return round(note.number)


FLUIDSYNTH = Engine("FluidSynth", _fluidsynth_missing, _fluidsynth)
TINY = Engine("TinySoundFont", _tiny_missing, _tiny)
