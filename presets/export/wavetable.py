"""A wavetable WAV: the periods of a harmonic FM patch, one after another, for any wavetable synth.

Frames of 2048 floats, and a chunk `clm ` that says so, as Serum writes them and most others read
them. A table has no time of its own: what the synth must do to play it as it was is written into
the chunk's free text, and `read` finds it there.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass

from presets.export import laws
from presets.export.audio import chunk
from presets.export.base import Exported, Exporter, Source, without_effects
from presets.export.vital_patch import FRAMES, SIZE, times
from presets.params import Note
from presets.preset import Preset

# 2048 samples a frame; flags: cross-fade between frames, not a factory table
MARK = "<!>2048 10000000 wavetable (Scorewire: {cycles} cycles, {seconds:.4f} s)"
FLOAT, RATE = 3, 44100


@dataclass(frozen=True, slots=True)
class Table:
    """Frames of 2048 little-endian floats, `cycles` of the note each, scanned in `seconds`."""

    frames: tuple[bytes, ...]
    cycles: int
    seconds: float


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """One WAV file of 128 frames; frame i is the sound at seconds * (i / 127)^2.

    Raises `ValueError` when the patch has no period.
    """
    voice = laws.voice(preset.values)
    seconds = laws.settled(voice) if laws.holds(voice) else source.seconds
    frames = source.cycles(Note(preset.note, 100), times(seconds, FRAMES), SIZE)
    cycles = laws.cycles(voice) or 1
    lost = [
        f"time: scan the table from first to last in {seconds:.2f} s, at the square root of time:"
        " frames are dense in the attack",
        f"the note: the frames are those of note {preset.note:g} and velocity 100,"
        " whatever key plays them",
        *laws.whole_ratio_losses(voice, cycles),
    ]
    if cycles > 1:
        semitones = 12.0 * math.log2(cycles)
        lost.append(
            f"pitch: a frame holds {cycles} cycles: tune the oscillator {semitones:.2f} down"
        )
    if laws.holds(voice):
        lost.append("a held key: stay at the last frame while it is down")
    moving = voice.movement
    if moving is not None:
        lost.append(f"release: the synth's own, of {laws.release_of(voice):.2g} s")
        if moving.noise_level > 0.0:
            lost.append("noise: it has no period")
        if moving.pitch_start or laws.lfo_cycle(voice):
            lost.append("pitch envelope and LFO: the table stands still")
    lost += without_effects(preset)
    return Exported(
        {f"{stem}_wavetable.wav": write(Table(tuple(frames), cycles, seconds))}, tuple(lost)
    )


def write(table: Table) -> bytes:
    """The WAV file of a table. The inverse of `read`."""
    mark = MARK.format(cycles=table.cycles, seconds=table.seconds).encode()
    data = b"".join(table.frames)
    form = struct.pack("<HHIIHH", FLOAT, 1, RATE, 4 * RATE, 4, 32)
    count = struct.pack("<I", len(data) // 4)
    chunks = ((b"fmt ", form), (b"fact", count), (b"clm ", mark), (b"data", data))
    return chunk(b"RIFF", b"WAVE" + b"".join(chunk(*parts) for parts in chunks))


def read(file: bytes) -> Table:
    """The table of a file that `write` made. Raises `ValueError` for any other."""
    found, at = {}, 12
    while at + 8 <= len(file):
        name, size = struct.unpack_from("<4sI", file, at)
        found[name] = file[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    mark = found.get(b"clm ", b"").decode("ascii", "replace")
    said = re.fullmatch(r"<!>2048 \d{8} wavetable \(Scorewire: (\d+) cycles, ([\d.]+) s\)", mark)
    data = found.get(b"data", b"")
    if said is None or not data or len(data) % (4 * SIZE):
        raise ValueError("not a wavetable of ours: it needs frames of 2048 floats and a clm chunk")
    frames = tuple(data[i : i + 4 * SIZE] for i in range(0, len(data), 4 * SIZE))
    return Table(frames, int(said[1]), float(said[2]))


EXPORTER = Exporter("Wavetable", ".wav", frozenset({"fm"}), export)
