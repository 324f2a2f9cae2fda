"""hexter, another free DX7: a DSSI plug-in, which this file hosts through ctypes, without JACK."""

from __future__ import annotations

import ctypes as c
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from presets import Note
from renderers.engines.base import Engine

LIBRARY = Path("/usr/lib/dssi/hexter.so")
BLOCK = 64  # samples, hexter's control block
BANK = 4096  # bytes of 32 voices in a bank message, after its header of 6
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NOTE_ON, NOTE_OFF = 6, 7  # of the ALSA sequencer

_Handle = c.c_void_p


class _Ladspa(c.Structure):
    """LADSPA_Descriptor, up to what a host of one synth calls."""

    _fields_ = (
        ("unique_id", c.c_ulong),
        ("label", c.c_char_p),
        ("properties", c.c_int),
        ("name", c.c_char_p),
        ("maker", c.c_char_p),
        ("copyright", c.c_char_p),
        ("port_count", c.c_ulong),
        ("port_descriptors", c.c_void_p),
        ("port_names", c.POINTER(c.c_char_p)),
        ("port_hints", c.c_void_p),
        ("implementation", c.c_void_p),
        ("instantiate", c.CFUNCTYPE(_Handle, c.c_void_p, c.c_ulong)),
        ("connect_port", c.CFUNCTYPE(None, _Handle, c.c_ulong, c.POINTER(c.c_float))),
        ("activate", c.CFUNCTYPE(None, _Handle)),
        ("run", c.c_void_p),
        ("run_adding", c.c_void_p),
        ("set_run_adding_gain", c.c_void_p),
        ("deactivate", c.CFUNCTYPE(None, _Handle)),
        ("cleanup", c.CFUNCTYPE(None, _Handle)),
    )


class _Dssi(c.Structure):
    """DSSI_Descriptor, up to `run_synth`."""

    _fields_ = (
        ("version", c.c_int),
        ("ladspa", c.POINTER(_Ladspa)),
        ("configure", c.CFUNCTYPE(c.c_char_p, _Handle, c.c_char_p, c.c_char_p)),
        ("get_program", c.c_void_p),
        ("select_program", c.CFUNCTYPE(None, _Handle, c.c_ulong, c.c_ulong)),
        ("get_midi_controller_for_port", c.c_void_p),
        ("run_synth", c.CFUNCTYPE(None, _Handle, c.c_ulong, c.c_char_p, c.c_ulong)),
    )


def render_bank(
    bank: bytes, program: int, note: Note, seconds: float, rate: int
) -> NDArray[np.float32]:
    """One note of voice `program` (0..31) of a 4104-byte bank message, float32 [1, T]."""
    if len(bank) != BANK + 8:
        raise ValueError(f"hexter plays banks of {BANK + 8} bytes, got {len(bank)}")
    library = c.CDLL(str(LIBRARY))
    library.dssi_descriptor.restype = c.POINTER(_Dssi)
    dssi = library.dssi_descriptor(c.c_ulong(0)).contents
    ladspa = dssi.ladspa.contents
    handle = ladspa.instantiate(dssi.ladspa, rate)
    try:
        out = np.zeros(BLOCK, np.float32)
        knobs = {b"Tuning": c.c_float(440.0), b"Volume": c.c_float(0.0)}
        for port in range(ladspa.port_count):
            name = ladspa.port_names[port]
            knob = knobs.get(name)
            place = out.ctypes.data_as(c.POINTER(c.c_float)) if knob is None else c.pointer(knob)
            ladspa.connect_port(handle, port, place)
        ladspa.activate(handle)
        dssi.configure(handle, b"patches0", _text(bank[6:-2]).encode())
        dssi.select_program(handle, 0, program)
        off = math.inf if note.held == math.inf else round(note.held * rate / BLOCK) * BLOCK
        blocks = []
        for start in range(0, round(seconds * rate), BLOCK):
            event = bytearray(28)
            event[0] = NOTE_ON if start == 0 else NOTE_OFF
            event[17], event[18] = round(note.number), note.velocity
            dssi.run_synth(handle, BLOCK, bytes(event), 1 if start in (0, off) else 0)
            blocks.append(out.copy())
        ladspa.deactivate(handle)
    finally:
        ladspa.cleanup(handle)
    return np.concatenate(blocks)[None, : round(seconds * rate)]


def _text(data: bytes) -> str:
    """7-bit bytes as hexter keeps them in a session: 6 bits a letter, between size and sum."""
    bits = "".join(f"{byte:07b}" for byte in data)
    bits += "0" * (-len(bits) % 6)
    letters = "".join(DIGITS[int(bits[i : i + 6], 2)] for i in range(0, len(bits), 6))
    return f"{len(data)} {letters} {sum(data)}"


def _missing() -> str:
    return "" if LIBRARY.exists() else "hexter is not installed: apt-get install hexter"


def _render(file: Path, note: Note, seconds: float, rate: int) -> NDArray[np.float32]:
    return render_bank(file.read_bytes(), 0, note, seconds, rate)


ENGINE = Engine("hexter", _missing, _render)
