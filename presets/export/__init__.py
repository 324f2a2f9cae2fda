"""Presets to the files of other synths and samplers: one file a format.

`EXPORTERS` is the whole list, by the name that `scorewire export --to` takes. Writers are standard
library only; the sound comes as bytes from a `Source` (`renderers.source`).
"""

from __future__ import annotations

from presets.export import (
    decent_sampler,
    dx7,
    faust,
    multisample,
    sfz,
    sixsines,
    soundfont,
    space,
    vital,
    wavetable,
)
from presets.export.base import Exported, Exporter, Source

__all__ = ["EXPORTERS", "Exported", "Exporter", "Source"]

EXPORTERS: dict[str, Exporter] = {
    "wav": sfz.WAV,
    "sfz": sfz.SFZ,
    "decent": decent_sampler.EXPORTER,
    "multisample": multisample.EXPORTER,
    "sf2": soundfont.EXPORTER,
    "ir": space.EXPORTER,
    "dx7": dx7.EXPORTER,
    "faust": faust.EXPORTER,
    "sixsines": sixsines.EXPORTER,
    "vital": vital.EXPORTER,
    "wavetable": wavetable.EXPORTER,
}
