"""FluidSynth in this process: a sound font loaded once, many parts played."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sds.datasets.clips import Audio
from sds.train.corpus.midi import Played

GAIN = 0.4
VOICES = 128
BLOCK = 64  # frames that FluidSynth computes at once: events fall on their borders

_VOID, _INT, _NUMBER, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_double, ctypes.c_char_p
_FUNCTIONS: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "new_fluid_settings": (_VOID, ()),
    "delete_fluid_settings": (None, (_VOID,)),
    "fluid_settings_setnum": (_INT, (_VOID, _TEXT, _NUMBER)),
    "fluid_settings_setint": (_INT, (_VOID, _TEXT, _INT)),
    "new_fluid_synth": (_VOID, (_VOID,)),
    "delete_fluid_synth": (None, (_VOID,)),
    "fluid_synth_sfload": (_INT, (_VOID, _TEXT, _INT)),
    "fluid_synth_system_reset": (_INT, (_VOID,)),
    "fluid_synth_program_change": (_INT, (_VOID, _INT, _INT)),
    "fluid_synth_cc": (_INT, (_VOID, _INT, _INT, _INT)),
    "fluid_synth_noteon": (_INT, (_VOID, _INT, _INT, _INT)),
    "fluid_synth_noteoff": (_INT, (_VOID, _INT, _INT)),
    "fluid_synth_reverb_on": (_INT, (_VOID, _INT, _INT)),
    "fluid_synth_chorus_on": (_INT, (_VOID, _INT, _INT)),
    "fluid_synth_set_reverb": (_INT, (_VOID, _NUMBER, _NUMBER, _NUMBER, _NUMBER)),
    "fluid_synth_write_float": (_INT, (_VOID, _INT, _VOID, _INT, _INT, _VOID, _INT, _INT)),
}


@dataclass(frozen=True, slots=True)
class Room:
    """Settings of FluidSynth's reverberation: size, damping and level 0..1; whether chorus is on.

    A level of 0 is no reverberation.
    """

    name: str
    size: float = 0.2
    damping: float = 0.0
    level: float = 0.0
    chorus: bool = False


ROOMS = (
    Room("dry"),
    Room("dry, chorus", chorus=True),
    Room("small room", 0.25, 0.4, 0.55),
    Room("room", 0.5, 0.3, 0.6, chorus=True),
    Room("hall", 0.75, 0.25, 0.7),
    Room("large hall", 0.9, 0.1, 0.65, chorus=True),
)


def _library() -> ctypes.CDLL:
    path = ctypes.util.find_library("fluidsynth")
    if path is None:
        raise ValueError("libfluidsynth was not found: install the package libfluidsynth3")
    library = ctypes.CDLL(path)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, list(arguments)
    return library


class Synth:
    """A synthesizer with one sound font at a rate in Hz. Raises `ValueError` for a font that does
    not load.
    """

    def __init__(self, font: Path, rate: int) -> None:
        self._library = library = _library()
        self.rate = rate
        self._settings = library.new_fluid_settings()
        library.fluid_settings_setnum(self._settings, b"synth.sample-rate", float(rate))
        library.fluid_settings_setnum(self._settings, b"synth.gain", GAIN)
        library.fluid_settings_setint(self._settings, b"synth.polyphony", VOICES)
        library.fluid_settings_setint(self._settings, b"synth.threadsafe-api", 0)
        self._synth = library.new_fluid_synth(self._settings)
        if library.fluid_synth_sfload(self._synth, str(font).encode(), 1) < 0:
            raise ValueError(f"a sound font must be a file that FluidSynth loads, got {font}")

    def close(self) -> None:
        """Let go of the font."""
        self._library.delete_fluid_synth(self._synth)
        self._library.delete_fluid_settings(self._settings)

    def play(
        self,
        notes: Sequence[Played],
        programs: Sequence[tuple[int, int]],
        seconds: float,
        room: Room,
        *,
        send: int = 40,
    ) -> Audio:
        """Notes (second, seconds, channel, key, velocity) with (channel, program) as mono [T];
        `send` 0..127 is how much goes into the room.
        """
        library, synth = self._library, self._synth
        library.fluid_synth_system_reset(synth)
        library.fluid_synth_reverb_on(synth, -1, int(room.level > 0))
        library.fluid_synth_chorus_on(synth, -1, int(room.chorus))
        if room.level > 0:
            library.fluid_synth_set_reverb(synth, room.size, room.damping, 0.6, room.level)
        for channel, program in programs:
            library.fluid_synth_program_change(synth, channel, program)
            library.fluid_synth_cc(synth, channel, 91, send)
        events: list[tuple[int, int, int, int]] = []
        for start, length, channel, key, velocity in notes:
            on = int(start * self.rate) // BLOCK * BLOCK
            off = max(int((start + length) * self.rate) // BLOCK * BLOCK, on + BLOCK)
            events += [(on, velocity, channel, key), (off, 0, channel, key)]
        events.sort()
        frames = round(seconds * self.rate)
        whole = -(-frames // BLOCK) * BLOCK
        both = np.zeros((2, whole), np.float32)
        at = 0
        for when, velocity, channel, key in events:
            if when >= whole:
                break
            if when > at:
                self._write(both, at, when)
                at = when
            if velocity:
                library.fluid_synth_noteon(synth, channel, key, velocity)
            else:
                library.fluid_synth_noteoff(synth, channel, key)
        self._write(both, at, whole)
        return both[:, :frames].mean(axis=0)

    def _write(self, both: Audio, start: int, stop: int) -> None:
        data = both.ctypes.data
        self._library.fluid_synth_write_float(
            self._synth, stop - start, data, start, 1, data, both.shape[1] + start, 1
        )
