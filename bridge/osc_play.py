"""The OSC answers of a server that plays: slots, knobs and the player's own news."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import paths
from bridge.addresses import REPLIES, Call, Refused, Target
from bridge.live import lines
from bridge.stage import NotPlayed, Stage
from presets.library import Library

if TYPE_CHECKING:
    from bridge.osc import Face


def pass_on(face: Face, target: Target, req: int, happening: lines.Happening) -> None:
    """Tell a subscriber what the player did by itself."""
    address = f"/scorewire/play/{happening.kind}"
    if address in REPLIES:
        names = [name[2:] for name in REPLIES[address].split()[1:]]
        face.send(target, address, req, *(getattr(happening, name) for name in names))


def _plays(kind: type[lines.Command]) -> Callable[[Face, Call], None]:
    """The answer to a request whose arguments and options are the fields of a player's command."""

    def answer(face: Face, call: Call) -> None:
        fields = {name: value for name, value in call.values.items() if name != "req"}
        command = kind.model_validate(fields | call.options)
        if isinstance(command, lines.Load):
            command = command.model_copy(update={"preset": _preset_file(face, command.preset)})
        face.later(_told(face, call, partial(_stage(face).do, command, by=call.target)))

    return answer


def _send_voice(face: Face, call: Call) -> None:
    work = partial(_stage(face).send_voice, call.values["slot"])
    face.later(_told(face, call, work))


def _stage(face: Face) -> Stage:
    if face.server.stage is None:
        raise Refused("no-player", "this server does not play: start it with serve --play")
    return face.server.stage


async def _told(
    face: Face, call: Call, work: Callable[[], Awaitable[lines.Happening | None]]
) -> None:
    """Answer with what the player says."""
    try:
        happening = await work()
    except NotPlayed as error:
        face.fail(call.target, call.req, call.said, error.code, str(error))
        return
    except (ValueError, OSError) as error:
        face.fail(call.target, call.req, call.said, "bad-input", str(error))
        return
    if isinstance(happening, lines.StatusReport):
        for slot, name in sorted(happening.slots.items()):
            face.send(call.target, "/scorewire/play/slot", call.req, slot, name)
        spent, budget = happening.block_us[1], happening.budget_us
        state = (call.req, happening.voices, happening.xruns, spent, budget)
        face.send(call.target, "/scorewire/play/state", *state)
    else:
        face.send(call.target, "/scorewire/ok", call.req)


def _preset_file(face: Face, called: str) -> str:
    """A preset by its absolute path, or by what the library calls it."""
    if Path(called).is_absolute():
        paths.check_input("preset", called, face.server.config.readable)
        return called
    return str(Library(face.server.config.library).get(called).path)


ANSWERS: dict[str, Callable[[Face, Call], None]] = {
    "/scorewire/slot/N/load": _plays(lines.Load),
    "/scorewire/slot/N/unload": _plays(lines.Unload),
    "/scorewire/slot/N/trigger": _plays(lines.Trigger),
    "/scorewire/slot/N/on": _plays(lines.NoteOn),
    "/scorewire/slot/N/off": _plays(lines.NoteOff),
    "/scorewire/slot/N/param/NAME": _plays(lines.Knob),
    "/scorewire/slot/N/sysex": _send_voice,
    "/scorewire/play/learn": _plays(lines.Learn),
    "/scorewire/play/assign": _plays(lines.Assign),
    "/scorewire/play/panic": _plays(lines.Panic),
    "/scorewire/play/sysex": _plays(lines.SysEx),
    "/scorewire/play/status": _plays(lines.Status),
}
