"""What is asked about patches and done at once: keep, change, put into slots, play, hear."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bridge.protocol.base import Frozen
from presets import Preset

NoteNumber = Annotated[int, Field(ge=0, le=127)]
Velocity = Annotated[int, Field(ge=1, le=127)]


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


class AddPreset(Frozen):
    """Keep a preset in the library.

    - `preset`: the preset, as its file has it
    - `tags`: given to it beside its own; default ()
    - `sound`: an upload (`sha256:HASH`), a WAV file kept beside it; default "": none
    """

    preset: Preset
    tags: tuple[str, ...] = Field(default=(), max_length=64)
    sound: str = ""


class ChangePreset(Frozen):
    """Give a preset of the library another name or other tags.

    - `name`: the new name; default "": as it is
    - `add_tags`, `remove_tags`: case does not tell tags apart; default ()
    """

    name: str = Field(default="", max_length=200)
    add_tags: tuple[str, ...] = Field(default=(), max_length=64)
    remove_tags: tuple[str, ...] = Field(default=(), max_length=64)


class FillSlot(Frozen):
    """Put a preset into a slot.

    - `preset`: what the library calls it
    """

    preset: str


class Strike(Frozen):
    """Strike a slot once, as its pad does.

    - `note`: MIDI number, 0..127; default None: the preset's own
    - `velocity`: 1..127; default 100
    """

    note: NoteNumber | None = None
    velocity: Velocity = 100


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
    velocity: Velocity = 100
    duration: float | None = Field(default=None, gt=0, le=60)
