"""A folder of preset files that a musician finds things in again.

- `presets.library.folder`: `Library`, everything that can be done with one; `Entry`, one preset.
- `presets.library.names`: file names from preset names.
- `presets.library.disk`: changes of several files that happen wholly or not at all.
- `presets.library.slots`: which preset a MIDI program number plays.
- `presets.library.index`: the search index, made from the files.
- `presets.library.search`: what the index answers.
- `presets.library.likeness`: how far presets are from each other.
"""

from pathlib import Path

from presets.library.folder import Entry, Library, Taken
from presets.library.slots import SLOTS

__all__ = ["FACTORY", "SLOTS", "Entry", "Library", "Taken"]

FACTORY = Path(__file__).parents[1] / "factory"
"""The presets that come with Scorewire, each with a preview."""
