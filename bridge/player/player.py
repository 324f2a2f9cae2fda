"""Take a player's lines: steer slots, notes and devices, and answer each command."""

from __future__ import annotations

import contextlib
import logging
import queue
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

import numpy as np
from pydantic import BaseModel, ValidationError

from bridge.player import protocol
from bridge.player.audio_outputs import NoDevice
from bridge.player.device import Device
from bridge.player.instrument import LINES, MissingNote, RetiredSound
from bridge.player.options import Options
from bridge.player.slots import Slots
from bridge.protocol.jobs import sentence

log = logging.getLogger(__name__)


class CommandRefused(ValueError):
    """A command that cannot be done, with its code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Player:
    """Take commands, say what happens; owns the slots and the device."""

    def __init__(self, options: Options, out: TextIO) -> None:
        self._out = out
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._leaving = False
        self.slots = Slots(options.rate, self.inbox.put, self._say)
        self._device = Device(options, self.slots.play_function, self._say)

    def run(self) -> None:
        """Until `quit`, the end of stdin or a signal to leave."""
        try:
            while not self._leaving:
                if self._device.check():
                    self._silence()  # who shall let go of held keys?
                if not self._device.is_open:
                    self.slots.instrument.catch_up()  # no audio thread does
                self._attempt(self.slots.rebuild)
                self.slots.free()
                with contextlib.suppress(queue.Empty):
                    self._attempt(partial(self._take, self.inbox.get(timeout=0.05)))
                    for _ in range(self.inbox.qsize()):  # a turned knob is built once for all
                        self._attempt(partial(self._take, self.inbox.get_nowait()))
        finally:
            self._silence()
            self._device.close()
            self.slots.close()

    def _silence(self) -> None:
        self.slots.instrument.later(self.slots.instrument.silence)

    # what comes in

    def _take(self, item: Any) -> None:
        if item is None:
            self._leaving = True
        elif isinstance(item, str):
            self._line(item)
        elif isinstance(item, MissingNote):
            self.slots.render(item)
        elif isinstance(item, RetiredSound):
            self.slots.retire(item)
        elif isinstance(item, BaseModel):
            if isinstance(item, protocol.Turned):
                self.slots.turn(item.slot, item.name, item.position)
            self._say(item)
        else:
            item()

    def _line(self, line: str) -> None:
        try:
            command = protocol.command_adapter.validate_json(line)
        except ValidationError as error:
            self._say(protocol.Refused(id="", code="bad-line", reason=sentence(error)))
            return
        slot = command.slot if isinstance(command, protocol.Load) else None
        if self._attempt(partial(self._do, command), command.id, slot) and command.id:
            self._say(protocol.Ok(id=command.id))

    def _attempt(self, work: Callable[[], Any], command: str = "", slot: int | None = None) -> Any:
        """What `work` returns; None where it fails, which is `refused`, and the player lives.

        Nothing that one line or one preset asks for may silence the other slots.
        """
        try:
            return work()
        except CommandRefused as error:
            self._refuse(command, error.code, str(error), slot)
        except ValueError as error:
            self._refuse(command, "bad-input", str(error), slot)
        except OSError as error:
            reason = f"{error.filename or 'a file'}: {error.strerror or error}"
            self._refuse(command, "bad-input", reason, slot)
        except RecursionError:
            self._refuse(command, "bad-input", "the file is nested too deep to be a preset", slot)
        except Exception as error:  # one line's fault must not end the others' sound
            log.exception("the player goes on")
            reason = f"this cannot be done: {type(error).__name__}: {error}"
            self._refuse(command, "failed", reason, slot)
        return None

    def _do(self, command: protocol.Command) -> bool:
        """Whether it is done already; else it answers later."""
        later, it = self.slots.instrument.later, self.slots.instrument
        match command:
            case protocol.Load():
                return self.slots.load(command)
            case protocol.Unload(slot=slot):
                self.slots.unload(slot)
            case protocol.Trigger(slot=slot):
                self._need(slot)
                later(it.strike, slot, command.note, command.velocity, command.seconds)
            case protocol.NoteOn(slot=slot):
                self._need(slot)
                later(it.press, slot, LINES, command.note, command.velocity)
            case protocol.NoteOff(slot=slot):
                later(it.let_go, LINES, command.note, slot)
            case protocol.Knob(slot=slot):
                later(it.turn, slot, command.name, command.position)
                self.slots.turn(slot, command.name, command.position)
            case protocol.Learn(name=name):
                later(self.slots.midi.learn, name)
            case protocol.Assign():
                later(self.slots.midi.assign, command.channel - 1, command.slot)
            case protocol.Panic(slot=slot):
                later(it.silence, *(() if slot is None else (slot,)))
            case protocol.SysEx(data=data):
                self._send(bytes.fromhex(data))
            case protocol.Status():
                self._say(self._report(command.id))
                return False
            case protocol.Quit():
                self._leaving = True
        return True

    def _send(self, data: bytes) -> None:
        try:
            self._device.send(data)
        except NoDevice as error:
            raise CommandRefused("no-midi", str(error)) from None

    # answers

    def _need(self, slot: int) -> None:
        state = self.slots.state(slot)
        if state != "playable":
            raise CommandRefused("empty-slot", f"slot {slot} is {state}")
        if not self._device.is_open:
            raise CommandRefused("no-device", f"there is nothing to play on: {self._device.why}")

    def _report(self, command: str) -> protocol.StatusReport:
        instrument = self.slots.instrument
        spent = np.array(list(instrument.spent) or [0.0]) * 1e6
        return protocol.StatusReport(
            id=command,
            voices=instrument.sounding,
            xruns=self._device.xruns,
            block_us=(float(np.median(spent)), float(np.quantile(spent, 0.99)), float(spent.max())),
            budget_us=1e6 * self._device.frames / instrument.rate,
            slots=self.slots.names,
        )

    def _refuse(self, command: str, code: Any, reason: str, slot: int | None = None) -> None:
        self._say(protocol.Refused(id=command, code=code, reason=reason, slot=slot))

    def _say(self, happening: BaseModel) -> None:
        try:
            self._out.write(happening.model_dump_json() + "\n")
            self._out.flush()
        except BrokenPipeError:  # nobody listens any more
            self._leaving = True
