"""The commands and events of the player: one JSON object a line, distinguished by `kind`.

Every command may carry an `id`; it is answered by `ok` or `refused` with the same id, commands
without one by `refused` only. Slots are 1..128, MIDI channels 1..16, notes MIDI numbers.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

SLOTS = 128
MAX_SYSEX = 4 * 1024  # bytes a message; a bank of 32 voices of a DX7 is 4104 and goes in pieces

SlotNumber = Annotated[int, Field(ge=1, le=SLOTS)]
NoteNumber = Annotated[int, Field(ge=0, le=127)]
Velocity = Annotated[int, Field(ge=1, le=127)]
Channel = Annotated[int, Field(ge=1, le=16)]
MacroName = Literal["attack", "decay", "brightness", "damping", "reverb", "level"]
Place = Annotated[float, Field(ge=0, le=1)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Command(_Line):
    id: str = ""


class Load(_Command):
    """Put a preset file into a slot. Answered by `ok` once it is playable, after `loaded`.

    What sounds goes on with the old patch; notes struck from the next note boundary on (the next
    bar while MIDI clock runs) play the new one. Knob positions of the slot stay.
    """

    kind: Literal["load"] = "load"
    slot: SlotNumber
    preset: str


class Unload(_Command):
    """Empty a slot; what sounds rings out."""

    kind: Literal["unload"] = "unload"
    slot: SlotNumber


class Trigger(_Command):
    """Strike a slot once: at the preset's own note unless given, until it has rung out.

    With `seconds` it is released after that time; else, where it would hold for ever, after those
    that its preset is held.
    """

    kind: Literal["trigger"] = "trigger"
    slot: SlotNumber
    note: NoteNumber | None = None
    velocity: Velocity = 100
    seconds: float | None = Field(default=None, gt=0, le=60)


class NoteOn(_Command):
    """Press a key of a slot."""

    kind: Literal["note_on"] = "note_on"
    slot: SlotNumber
    note: NoteNumber
    velocity: Velocity = 100


class NoteOff(_Command):
    """Release a key of a slot."""

    kind: Literal["note_off"] = "note_off"
    slot: SlotNumber
    note: NoteNumber


class Knob(_Command):
    """Turn a slot's knob to a position; 0.5 (reverb 0, level 100/127) is as designed."""

    kind: Literal["param"] = "param"
    slot: SlotNumber
    name: MacroName
    position: Place


class Learn(_Command):
    """Arm MIDI learn: the next controller that moves, on any channel, is this knob's from then on.

    Answered by `ok` now and by `learned` then. Without a name: disarm.
    """

    kind: Literal["learn"] = "learn"
    name: MacroName | None = None


class Assign(_Command):
    """Let a MIDI channel play a slot, as bank select and program change do."""

    kind: Literal["assign"] = "assign"
    channel: Channel
    slot: SlotNumber


class Panic(_Command):
    """Silence at once, without a click: one slot, or all."""

    kind: Literal["panic"] = "panic"
    slot: SlotNumber | None = None


class SysEx(_Command):
    """Send bytes, hexadecimal and framed by f0 and f7, to the MIDI output."""

    kind: Literal["sysex"] = "sysex"
    data: str = Field(pattern=r"^[fF]0([0-7][0-9a-fA-F])*[fF]7$", max_length=2 * 64 * 1024)


class Status(_Command):
    """Answered by `status`."""

    kind: Literal["status"] = "status"


class Quit(_Command):
    """Fade out, close the device, leave. The end of stdin does the same."""

    kind: Literal["quit"] = "quit"


class Ready(_Line):
    """A device is open and sounds: the first event, and again after each reopening."""

    kind: Literal["ready"] = "ready"
    output: Literal["jack", "portaudio", "offline"]
    name: str  # of the JACK client or of the device
    rate: int
    frames: int  # a block


class LoadBegun(_Line):
    """A load is taken up now: should the player end before `loaded` or `refused`, it was this one.

    Heard by the server, which passes it on to nobody.
    """

    kind: Literal["load_begun"] = "load_begun"
    slot: int
    preset: str


class Loaded(_Line):
    """A slot is playable. `sampled`: notes are rendered as they are needed, not synthesised.

    `without` names effects of the preset that are not heard here: plugins are too late for a block.
    """

    kind: Literal["loaded"] = "loaded"
    slot: int
    name: str
    note: float
    sampled: bool
    without: tuple[str, ...] = ()


class Unloaded(_Line):
    """A slot is empty: a client asked for it. Said by the server, not by the player."""

    kind: Literal["unloaded"] = "unloaded"
    slot: int


class Rendered(_Line):
    """A note of a sampled slot is exact from now on."""

    kind: Literal["rendered"] = "rendered"
    slot: int
    note: int


class Turned(_Line):
    """A MIDI controller moved a knob; of one that a client moved, the server says so."""

    kind: Literal["turned"] = "turned"
    slot: int
    name: str
    position: float


class Program(_Line):
    """A MIDI channel plays another slot."""

    kind: Literal["program"] = "program"
    channel: int
    slot: int


class Learned(_Line):
    """A controller (0..127) belongs to a knob."""

    kind: Literal["learned"] = "learned"
    controller: int
    name: str


class Xrun(_Line):
    """Blocks came late; `count` since the start."""

    kind: Literal["xrun"] = "xrun"
    count: int


class Gone(_Line):
    """The device vanished; it is reopened by its name as soon as it is back."""

    kind: Literal["gone"] = "gone"
    name: str
    reason: str


class StatusReport(_Line):
    """The moment: voices that sound, late blocks, microseconds a block took (median, 99 %, most).

    `slots` are the loaded ones with their presets' names.
    """

    kind: Literal["report"] = "report"
    id: str
    voices: int
    xruns: int
    block_us: tuple[float, float, float]
    budget_us: float
    slots: dict[int, str]


class Ok(_Line):
    """A command with an id is done."""

    kind: Literal["ok"] = "ok"
    id: str


class Refused(_Line):
    """A command is not done: a stable short `code` and a sentence; of a load, its `slot`, too."""

    kind: Literal["refused"] = "refused"
    id: str
    code: Literal["bad-line", "bad-input", "empty-slot", "no-device", "no-midi", "failed"]
    reason: str
    slot: int | None = None


Command: TypeAlias = (
    Load
    | Unload
    | Trigger
    | NoteOn
    | NoteOff
    | Knob
    | Learn
    | Assign
    | Panic
    | SysEx
    | Status
    | Quit
)
Happening: TypeAlias = (
    Ready
    | LoadBegun
    | Loaded
    | Unloaded
    | Rendered
    | Turned
    | Program
    | Learned
    | Xrun
    | Gone
    | StatusReport
    | Ok
    | Refused
)

command_adapter: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="kind")])
happening_adapter: TypeAdapter[Happening] = TypeAdapter(
    Annotated[Happening, Field(discriminator="kind")]
)
