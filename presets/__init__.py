"""Sounds as data: what a patch is, before any array library is imported.

- `presets.params`: `Param` (one knob: name, range, unit, curve) and `Note` (what was played).
- `presets.preset`: `Preset`, the file format; `load` and `save` are inverses.
- `presets.prompt_words`: What the words of a prompt ask for besides the sound: effects, length,
  movement, pitch.
"""

from presets.params import Note, Param
from presets.preset import Effect, Preset, Provenance, load, save

__all__ = ["Effect", "Note", "Param", "Preset", "Provenance", "load", "save"]
