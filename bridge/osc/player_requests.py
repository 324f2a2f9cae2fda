"""Answer OSC requests for slots and knobs, and send the player's own events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from bridge.osc.addresses import REPLIES, UNKNOWN, Call, Refused, Target
from bridge.osc.endpoint import OscEndpoint
from bridge.player import protocol
from bridge.service import file_access
from bridge.service.player_process import NotPlayed, PlayerProcess
from presets.library import Library

PATIENCE = 2.0  # seconds for a library that another process changes: OSC waits meanwhile


def send_player_event(
    endpoint: OscEndpoint, target: Target, req: int, happening: protocol.Happening
) -> None:
    """Tell a subscriber what the player did by itself."""
    address = f"/scorewire/play/{happening.kind}"
    if address in REPLIES:
        names = [name[2:] for name in REPLIES[address].split()[1:]]
        endpoint.send(target, address, req, *(getattr(happening, name) for name in names))


def _player_command(kind: type[protocol.Command]) -> Callable[[OscEndpoint, Call], None]:
    """The answer to a request whose arguments and options are the fields of a player's command."""

    def answer(endpoint: OscEndpoint, call: Call) -> None:
        fields = {name: value for name, value in call.values.items() if name != "req"}
        if "strength" in fields:  # of a pad: how hard; 0 when it is let go
            fields["velocity"] = round(127 * fields.pop("strength"))
            if not fields["velocity"]:
                return
        command = kind.model_validate(fields | call.options)
        if isinstance(command, protocol.Load):
            command = command.model_copy(update={"preset": _preset_file(endpoint, command.preset)})
        endpoint.later(
            _send_answer(endpoint, call, partial(_player(endpoint).do, command, by=call.target))
        )

    return answer


def _send_voice(endpoint: OscEndpoint, call: Call) -> None:
    work = partial(_player(endpoint).send_voice, call.values["slot"])
    endpoint.later(_send_answer(endpoint, call, work))


def _player(endpoint: OscEndpoint) -> PlayerProcess:
    if endpoint.server.player is None:
        raise Refused("no-player", "this server does not play: start it with serve --play")
    return endpoint.server.player


async def _send_answer(
    endpoint: OscEndpoint, call: Call, work: Callable[[], Awaitable[protocol.Happening | None]]
) -> None:
    """Answer with what the player says."""
    try:
        happening = await work()
    except NotPlayed as error:
        endpoint.fail(call.target, call.req, call.said, error.code, str(error))
        return
    except (ValueError, OSError) as error:
        endpoint.fail(call.target, call.req, call.said, "bad-input", str(error))
        return
    if isinstance(happening, protocol.StatusReport):
        for slot, name in sorted(happening.slots.items()):
            endpoint.send(call.target, "/scorewire/play/slot", call.req, slot, name)
        spent, budget = happening.block_us[1], happening.budget_us
        state = (call.req, happening.voices, happening.xruns, spent, budget)
        endpoint.send(call.target, "/scorewire/play/state", *state)
    elif call.req != UNKNOWN:  # a fader that has no req waits for no answer
        endpoint.send(call.target, "/scorewire/ok", call.req)


def _preset_file(endpoint: OscEndpoint, called: str) -> str:
    """A preset by its absolute path, or by what the library calls it."""
    if Path(called).is_absolute():
        file_access.check_input("preset", called, endpoint.server.config.readable)
        return called
    return str(Library(endpoint.server.config.library, patience=PATIENCE).get(called).path)


ANSWERS: dict[str, Callable[[OscEndpoint, Call], None]] = {
    "/scorewire/slot/N/load": _player_command(protocol.Load),
    "/scorewire/slot/N/unload": _player_command(protocol.Unload),
    "/scorewire/slot/N/trigger": _player_command(protocol.Trigger),
    "/scorewire/slot/N/on": _player_command(protocol.NoteOn),
    "/scorewire/slot/N/off": _player_command(protocol.NoteOff),
    "/scorewire/slot/N/param/NAME": _player_command(protocol.Knob),
    "/scorewire/slot/N/sysex": _send_voice,
    "/scorewire/play/learn": _player_command(protocol.Learn),
    "/scorewire/play/assign": _player_command(protocol.Assign),
    "/scorewire/play/panic": _player_command(protocol.Panic),
    "/scorewire/play/sysex": _player_command(protocol.SysEx),
    "/scorewire/play/status": _player_command(protocol.Status),
}
