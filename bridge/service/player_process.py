"""Run the player process: send commands, pass on events, restart it and load its slots again.

The player (`bridge.player`) is a child of its own, so that no lock is shared with the server. When
it dies it is started again, with the patches that were in its slots; one that was being loaded when
it died is left out, as it would end the next player too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.execution.child_process import Child
from bridge.player import protocol
from bridge.processes.background_threads import beside
from presets import load, ranges
from presets.dx7_sysex import write_single
from presets.export import dx7
from presets.library import Library

log = logging.getLogger(__name__)

PATIENCE = 180.0  # seconds for an answer: a new player may have its kernels to compile first
CLOSING = 3.0
RESTART = (0.5, 30.0)  # seconds before a player that died is started again: at first, at most
HEALTHY = 60.0  # seconds after which a death is a first one again

Deliver = Callable[[protocol.Happening], None]


class NotPlayed(ValueError):
    """The player did not do it: a stable short `code` and a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _dx7_voice(file: str) -> bytes:
    preset = load(file)
    ranges.check(preset)
    if preset.renderer not in dx7.EXPORTER.renderers:
        raise ValueError(f"a DX7 plays fm presets, and {preset.name!r} is {preset.renderer}")
    return write_single(dx7.to_voice(preset)[0])


class PlayerProcess:
    """A supervised player.

    async with Stage(command, library) as stage:
        await stage.do(lines.Trigger(slot=1))

    The slots of `library` are loaded at the start; one that cannot be is logged, and stays empty.
    """

    def __init__(self, command: Sequence[str], library: Library) -> None:
        self._command, self.library = tuple(command), library
        self._player: Child | None = None
        self._runner: asyncio.Task[None] | None = None
        self._asked: dict[str, asyncio.Future[protocol.Happening]] = {}
        self._count = 0
        self._loaded: dict[int, str] = {}  # preset files, by slot
        self._begun: dict[int, str] = {}  # those the player is loading, the newest last
        self._listeners: dict[Hashable, Deliver] = {}
        self._device: protocol.Ready | protocol.Gone | None = None  # the newest word of it

    async def __aenter__(self) -> PlayerProcess:
        self._loaded = {slot: str(path) for slot, path in self.library.slots().items()}
        self._runner = asyncio.create_task(self._keep_playing(), name="stage")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
        if self._player is not None:
            await self._player.close(CLOSING)

    async def do(self, command: protocol.Command, *, by: Hashable = None) -> protocol.Happening:
        """The player's answer to a command; raises `NotPlayed`.

        Listeners other than `by` are told what it changed, as several controllers share a player.
        """
        if self._player is None or not self._player.alive:
            raise NotPlayed("no-player", "the player is not running; it is being started")
        self._count += 1
        numbered = command.model_copy(update={"id": f"s{self._count}"})
        answer: asyncio.Future[protocol.Happening] = asyncio.get_running_loop().create_future()
        self._asked[numbered.id] = answer
        self._player.send(numbered.model_dump_json())
        try:
            happening = await asyncio.wait_for(answer, PATIENCE)
        except TimeoutError:
            raise NotPlayed("stalled", f"the player said nothing for {PATIENCE:g} s") from None
        finally:
            self._asked.pop(numbered.id, None)
        if isinstance(happening, protocol.Refused):
            raise NotPlayed(happening.code, happening.reason)
        if isinstance(command, protocol.Load):
            self._loaded[command.slot] = command.preset
        elif isinstance(command, protocol.Unload):
            self._loaded.pop(command.slot, None)
            self._begun.pop(command.slot, None)
            self._tell(protocol.Unloaded(slot=command.slot), but=by)
        elif isinstance(command, protocol.Knob):
            turned = protocol.Turned(
                slot=command.slot, name=command.name, position=command.position
            )
            self._tell(turned, but=by)
        return happening

    @property
    def loaded(self) -> frozenset[int]:
        """The slots that hold a preset."""
        return frozenset(self._loaded)

    def describe(self) -> dict[str, Any]:
        """The device, or why there is none, and the presets in its slots."""
        device, loaded = self._device, sorted(self._loaded.items())
        return {
            "device": device.model_dump() if isinstance(device, protocol.Ready) else None,
            "reason": device.reason if isinstance(device, protocol.Gone) else "",
            "slots": {str(slot): Path(preset).name for slot, preset in loaded},
        }

    async def send_voice(self, slot: int) -> None:
        """Send a slot's patch to the MIDI output as a DX7 voice; raises `NotPlayed`, `ValueError`.

        It goes into the edit buffer of a DX7 on MIDI channel 1.
        """
        if slot not in self._loaded:
            raise NotPlayed("empty-slot", f"slot {slot} is empty")
        data = await beside(_dx7_voice, self._loaded[slot])
        await self.do(protocol.SysEx(data=data.hex()))

    def put(self, slot: int, preset: Path | str) -> None:
        """Load a preset without waiting for the answer; a refusal is logged."""
        self._loaded[slot] = str(preset)  # a player that is being started gets it then
        if self._player is not None:
            self._player.send(protocol.Load(slot=slot, preset=str(preset)).model_dump_json())

    def listen(self, key: Hashable, deliver: Deliver) -> None:
        """Call `deliver` with what happens by itself, until `ignore`."""
        self._listeners[key] = deliver

    def ignore(self, key: Hashable) -> None:
        """Undo `listen`."""
        self._listeners.pop(key, None)

    async def _keep_playing(self) -> None:
        loop = asyncio.get_running_loop()
        wait = RESTART[0]
        while True:
            began = loop.time()
            try:
                self._player = await Child.start(self._command)
            except OSError as error:
                self._tell(protocol.Gone(name="player", reason=f"it cannot be started: {error}"))
            else:
                for slot, preset in self._loaded.items():
                    self.put(slot, preset)
                await self._hear(self._player)
                self._bury(self._player)
                await self._player.close(0.0)
            wait = RESTART[0] if loop.time() - began > HEALTHY else min(2 * wait, RESTART[1])
            await asyncio.sleep(wait)

    async def _hear(self, player: Child) -> None:
        """Pass on the player's events until it has ended."""
        while (line := await player.lines.get()) is not None:
            try:
                happening = protocol.happening_adapter.validate_json(line)
            except ValidationError:
                log.warning("player stdout, not a line of ours: %r", line[:200])
                continue
            if isinstance(happening, protocol.LoadBegun):
                self._begun.pop(happening.slot, None)
                self._begun[happening.slot] = happening.preset
                continue
            if (
                isinstance(happening, (protocol.Loaded, protocol.Refused))
                and happening.slot is not None
            ):
                self._begun.pop(happening.slot, None)
            answer = self._asked.get(getattr(happening, "id", ""))
            if answer is not None and not answer.done():
                answer.set_result(happening)
            elif isinstance(happening, protocol.Refused):
                where = "" if happening.slot is None else f" slot {happening.slot}"
                log.warning("the player refused%s: %s", where, happening.reason)
            else:
                self._tell(happening)

    def _bury(self, player: Child) -> None:
        words = f"; its last words: {player.tail[-1][:200]}" if player.tail else ""
        reason = (
            f"the player ended ({player.ending}) and is started again{self._leave_out()}{words}"
        )
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(NotPlayed("crashed", reason))
        self._tell(protocol.Gone(name="player", reason=reason))

    def _leave_out(self) -> str:
        """Empty the slot that was being loaded when the player died; what is said of it."""
        if not self._begun:
            return ""
        slot, preset = self._begun.popitem()
        self._begun.clear()
        if self._loaded.get(slot) == preset:
            del self._loaded[slot]
            self._tell(protocol.Unloaded(slot=slot))
        text = f" without {Path(preset).name}, which slot {slot} was loading then"
        return f"{text}; load it again to try it once more"

    def _tell(self, happening: protocol.Happening, *, but: Hashable = None) -> None:
        if isinstance(happening, protocol.Ready | protocol.Gone):
            self._device = happening
        often = isinstance(happening, protocol.Turned | protocol.Rendered)  # hundreds a second
        log.log(logging.DEBUG if often else logging.INFO, "player: %s", happening)
        for key, deliver in list(self._listeners.items()):
            if but is None or key != but:
                deliver(happening)
