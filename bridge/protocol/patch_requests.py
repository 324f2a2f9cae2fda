"""What is asked about patches and done at once: keep one that a search found, play or hear some."""

from __future__ import annotations

from pydantic import Field

from bridge.protocol.base import Frozen
from presets import Preset


class Keep(Frozen):
    """Keep a patch that a search found: the library tags it `kept`, and no more `inbox`.

    - `number`: of the patch, 1 for the best, >= 1
    - `star`: whether it is tagged `star` too; default False
    - `job`: id of the search; default "": the newest that is done

    Answer: number, name, preset (its file in the library), tags.
    """

    number: int = Field(ge=1)
    star: bool = False
    job: str = ""


class Play(Frozen):
    """Put presets into the slots 1, 2, ... of library and player; start a player where none is.

    - `presets`: what the library calls them, at most 128; default (): the slots stay as they are

    Answer: slots (file in the library by number), started (whether no player was there before).
    """

    presets: tuple[str, ...] = Field(default=(), max_length=128)


class Knobs(Frozen):
    """Say what the values of a preset may be.

    - `preset`: the preset itself, as its file has it

    Answer: params and effects, by kind: [{name, low, high, unit, scale}].
    """

    preset: Preset


class Sound(Frozen):
    """Render a preset at once, and keep nothing of it.

    - `preset`: the preset itself, as its file has it
    - `note`: MIDI note, fractions allowed, 0..127; default None: the preset's
    - `velocity`: of the note, 1..127; default 100
    - `duration`: seconds, above 0 to 60, as of `RenderPreset`; default None: the preset's

    Answer: the WAV.
    """

    preset: Preset
    note: float | None = Field(default=None, ge=0, le=127)
    velocity: int = Field(default=100, ge=1, le=127)
    duration: float | None = Field(default=None, gt=0, le=60)
