"""The room of an impact preset as an impulse response for convolution reverbs."""

from __future__ import annotations

import array
import sys

from presets.export.audio import integers, wav
from presets.export.base import Exported, Exporter, Source, without_effects
from presets.preset import Preset
from presets.ranges import has_centres

PEAK = 10 ** (-1 / 20)  # -1 dBFS


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """Two mono 24-bit WAVs: direct sound and room for inserts; the room alone for sends."""
    whole = source.impulse(source.rate)
    files = {
        f"{stem}_ir{end}.wav": wav(integers(data), rate=source.rate, channels=1, bits=24)
        for end, data in (("", whole), ("_wet", _wet(whole)))
    }
    lost = (
        "the struck object: only its space is kept",
        "level: convolvers bring impulse responses to a level of their own",
        *(("the right side's noise: this is the left's",) if has_centres(preset.values) else ()),
        *without_effects(preset),
    )
    return Exported(files, lost)


def _wet(whole: bytes) -> bytes:
    """The floats without the first one, which is the direct sound (and one sample of noise)."""
    values = array.array("f", whole)
    if sys.byteorder == "big":
        values.byteswap()
    values[0] = 0.0
    loudest = max(map(abs, values))
    scaled = array.array("f", (PEAK * value / loudest for value in values))
    if sys.byteorder == "big":
        scaled.byteswap()
    return scaled.tobytes()


EXPORTER = Exporter("Impulse response", ".wav", frozenset({"impact"}), export)
