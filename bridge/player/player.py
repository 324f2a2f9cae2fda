"""The player: slots, audio and MIDI devices, and the lines that steer them."""

from __future__ import annotations

import contextlib
import logging
import queue
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from bridge.player import loading as sounds
from bridge.player import macros, protocol, sampler
from bridge.player.audio_outputs import (
    LONGEST_BLOCK,
    Jack,
    Message,
    NoDevice,
    Offline,
    Output,
    PortAudio,
)
from bridge.player.instrument import LINES, Instrument, Retired, Wanted
from bridge.player.midi import Midi
from bridge.player.options import Options
from bridge.protocol.jobs import sentence
from presets import Preset, load, ranges

log = logging.getLogger(__name__)
REOPEN = 0.5  # seconds between two tries
SETTLE = 0.15  # seconds that knobs rest before notes are rendered anew
PLAYED = frozenset({"level", "reverb"})  # knobs that the instrument turns by itself


class CommandRefused(ValueError):
    """A command that cannot be done, with its code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class HeldLoad:
    """What the main thread knows of a loaded slot."""

    preset: Preset
    board: Any
    sound: sounds.Sound


@dataclass(frozen=True, slots=True)
class Loading:
    """A load that waits for its first note to be rendered."""

    command: str  # its id
    sound: sounds.Sound


class Player:
    """Commands in, happenings out; owns the instrument, the device and the rendering child."""

    def __init__(self, options: Options, out: TextIO) -> None:
        self._options, self._out = options, out
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._output: Output | None = None
        self._why = ""  # there is no device
        self._tried = -REOPEN
        self._xruns = self._xruns_before = 0
        self._leaving = False
        self._held: dict[int, HeldLoad] = {}
        self._loading: dict[int, Loading] = {}  # by slot
        self._places = [macros.neutral() for _ in range(protocol.SLOTS + 1)]
        self._moved: dict[int, float] = {}  # slots whose sound is to be built anew, and when
        self._retired: list[sounds.Sound] = []
        self._equip(options.rate)

    def run(self) -> None:
        """Until `quit`, the end of stdin or a signal to leave."""
        try:
            while not self._leaving:
                self._keep_device()
                if self._output is None:
                    self.instrument.catch_up()  # no audio thread does
                self._attempt(self._rebuild)
                self._free()
                with contextlib.suppress(queue.Empty):
                    self._attempt(partial(self._take, self.inbox.get(timeout=0.05)))
                    for _ in range(self.inbox.qsize()):  # a turned knob is built once for all
                        self._attempt(partial(self._take, self.inbox.get_nowait()))
        finally:
            self.instrument.later(self.instrument.silence)
            if self._output is not None:
                time.sleep(0.03)  # the fade
                self._output.close()
            self._sampler.close()

    # what comes in

    def _take(self, item: Any) -> None:
        if item is None:
            self._leaving = True
        elif isinstance(item, str):
            self._line(item)
        elif isinstance(item, Wanted):
            self._wanted(item)
        elif isinstance(item, Retired):
            self._sampler.drop(item.sound)
            self._retired.append(item.sound)
        elif isinstance(item, BaseModel):
            if isinstance(item, protocol.Turned):
                self._turned(item.slot, item.name, item.position)
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
        later, it = self.instrument.later, self.instrument
        match command:
            case protocol.Load():
                return self._load(command)
            case protocol.Unload(slot=slot):
                self._held.pop(slot, None)
                self._supersede(slot)
                later(it.put, slot, None)
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
                self._turned(slot, command.name, command.position)
            case protocol.Learn(name=name):
                later(self._midi.learn, name)
            case protocol.Assign():
                later(self._midi.assign, command.channel - 1, command.slot)
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

    # sounds

    def _load(self, command: protocol.Load) -> bool:
        slot = command.slot
        self._say(protocol.LoadBegun(slot=slot, preset=command.preset))
        preset = load(command.preset)
        ranges.check(preset)
        board = sounds.effect_board(preset, self.instrument.rate)
        sound = sounds.build(preset, self._places[slot], board)
        self._supersede(slot)
        if sound.patch is not None:
            self._hold(slot, HeldLoad(preset, board, sound))
            return True
        self._loading[slot] = Loading(command.id, sound)

        def playable(_note: int) -> None:
            del self._loading[slot]
            self._hold(slot, HeldLoad(preset, board, sound))
            self._fill(slot, sound)
            if command.id:
                self._say(protocol.Ok(id=command.id))

        def failed(reason: str) -> None:
            del self._loading[slot]
            self._refuse(command.id, "bad-input", reason, slot)

        self._sampler.want(sampler.Request(sound, round(preset.note), playable, failed))
        return False

    def _supersede(self, slot: int) -> None:
        """A load that is not playable yet never will be."""
        old = self._loading.pop(slot, None)
        if old is not None:
            self._sampler.drop(old.sound)
            reason = f"slot {slot} was loaded anew or emptied meanwhile"
            self._refuse(old.command, "failed", reason)

    def _hold(self, slot: int, held: HeldLoad) -> None:
        if slot in self._held:
            self._sampler.drop(self._held[slot].sound)
        self._held[slot] = held
        self.instrument.later(self.instrument.put, slot, held.sound)
        preset = held.preset
        loaded = protocol.Loaded(
            slot=slot,
            name=preset.name,
            note=preset.note,
            sampled=held.sound.patch is None,
            without=sounds.missing_plugins(preset),
        )
        self._say(loaded)

    def _fill(self, slot: int, sound: sounds.Sound) -> None:
        """Render what was not asked for, in an order that brings a near note soon."""
        for urgency, note in enumerate(sampler.notes(round(sound.preset.note))):
            self._sampler.want(self._request(slot, sound, note), float(urgency))

    def _request(self, slot: int, sound: sounds.Sound, note: int) -> sampler.Request:
        def done(note: int) -> None:
            self._say(protocol.Rendered(slot=slot, note=note))

        return sampler.Request(sound, note, done, log.warning)

    def _wanted(self, wanted: Wanted) -> None:
        held = self._held.get(wanted.slot)
        if held is not None and held.sound.patch is None:
            self._sampler.want(self._request(wanted.slot, held.sound, wanted.note))

    def _turned(self, slot: int, name: str, place: float) -> None:
        self._places[slot][name] = place
        held = self._held.get(slot)
        if held is not None and name not in PLAYED:
            wait = 0.0 if held.sound.patch is not None else SETTLE
            self._moved[slot] = time.monotonic() + wait

    def _rebuild(self) -> None:
        """Sounds whose knobs moved: FM at once, samples when their first note is rendered."""
        due = [slot for slot, when in self._moved.items() if when <= time.monotonic()]
        for slot in due:
            del self._moved[slot]
            held = self._held.get(slot)
            if held is not None:
                sound = sounds.build(held.preset, self._places[slot], held.board)
                if sound.patch is not None:
                    self._replace(slot, held, sound)
                else:
                    self._render_anew(slot, held, sound)

    def _replace(self, slot: int, held: HeldLoad, sound: sounds.Sound) -> None:
        held.sound = sound
        self.instrument.later(self.instrument.renew, slot, sound)

    def _render_anew(self, slot: int, held: HeldLoad, sound: sounds.Sound) -> None:
        self._sampler.drop(held.sound)

        def first(_note: int) -> None:
            if self._held.get(slot) is held:
                self._replace(slot, held, sound)
                self._fill(slot, sound)
            else:
                self._sampler.forget(sound)

        self._sampler.want(sampler.Request(sound, round(held.preset.note), first, log.warning))

    def _free(self) -> None:
        """Give back the memory of sounds that nothing plays any more."""
        for sound in [sound for sound in self._retired if not self.instrument.reads(sound)]:
            self._retired.remove(sound)
            self._sampler.forget(sound)

    # the device

    def _equip(self, rate: int) -> None:
        """An instrument for this rate, with everything loaded so far."""
        self.instrument = Instrument(rate, LONGEST_BLOCK, self.inbox.put)
        self._midi = Midi(self.instrument, self.inbox.put)
        self._sampler = sampler.Sampler(rate, self.inbox.put)
        self.instrument.use_store(self._sampler.store.audio)
        for slot, held in self._held.items():
            held.sound.samples = {}
            self.instrument.later(self.instrument.put, slot, held.sound)
            if held.board is not None:
                sounds.warm_up(held.board, rate)
            if held.sound.patch is None:
                self._moved[slot] = 0.0  # to be rendered anew
        for slot, places in enumerate(self._places):
            for name, place in places.items():
                self.instrument.turn(slot, name, place)

    def _make(self, rate: int) -> Callable[[Iterable[Message], int], Any]:
        if rate != self.instrument.rate:
            loading, midi = [one.sound for one in self._loading.values()], self._midi
            left = [request for request in self._sampler.close() if request.sound in loading]
            self._retired = []
            self._equip(rate)
            self._midi.channels, self._midi.controllers = midi.channels, midi.controllers
            for request in left:
                self._sampler.want(request)

        def play(events: Iterable[Message], count: int) -> NDArray[np.float32]:
            for wait, data in events:
                self._midi.hear(data, wait)
            return self.instrument.block(count)

        return play

    def _keep_device(self) -> None:
        """Notice late blocks and a vanished device; open one again by its name."""
        now = time.monotonic()
        if self._output is not None:
            total = self._xruns_before + self._output.xruns
            if total > self._xruns:
                self._xruns = total
                self._say(protocol.Xrun(count=total))
            if self._output.gone:
                self._why = self._output.gone
                self._say(protocol.Gone(name=self._output.name, reason=self._why))
                self._xruns_before = self._xruns
                self._output.close()
                self._output, self._tried = None, now
                self.instrument.later(self.instrument.silence)  # who shall let go of held keys?
        elif now - self._tried >= REOPEN:
            self._tried = now
            try:
                self._output = self._open()
            except NoDevice as error:
                if str(error) != self._why:
                    self._why = str(error)
                    self._say(protocol.Gone(name=self._options.name, reason=self._why))
            else:
                self._why = ""
                o = self._output
                self._say(protocol.Ready(output=o.kind, name=o.name, rate=o.rate, frames=o.frames))

    def _open(self) -> Output:
        o = self._options
        if o.output == "offline":
            return Offline(o.capture, self._make, rate=o.rate, frames=o.frames)
        reasons = []
        if o.output in ("auto", "jack"):
            try:
                return Jack(o.name, self._make, connect=o.connect)
            except NoDevice as error:
                reasons.append(str(error))
        if o.output in ("auto", "portaudio"):
            try:
                return PortAudio(o.name, self._make, device=o.device, frames=o.frames)
            except NoDevice as error:
                reasons.append(str(error))
        raise NoDevice("; ".join(reasons))

    def _send(self, data: bytes) -> None:
        if self._output is None:
            raise CommandRefused("no-midi", "there is no device to send to")
        try:
            self._output.send(data)
        except NoDevice as error:
            raise CommandRefused("no-midi", str(error)) from None

    # answers

    def _need(self, slot: int) -> None:
        if slot not in self._held:
            state = "still being loaded" if slot in self._loading else "empty"
            raise CommandRefused("empty-slot", f"slot {slot} is {state}")
        if self._output is None:
            raise CommandRefused("no-device", f"there is nothing to play on: {self._why}")

    def _report(self, command: str) -> protocol.StatusReport:
        spent = np.array(list(self.instrument.spent) or [0.0]) * 1e6
        frames = self._output.frames if self._output is not None else self._options.frames
        return protocol.StatusReport(
            id=command,
            voices=self.instrument.sounding,
            xruns=self._xruns,
            block_us=(float(np.median(spent)), float(np.quantile(spent, 0.99)), float(spent.max())),
            budget_us=1e6 * frames / self.instrument.rate,
            slots={slot: held.preset.name for slot, held in self._held.items()},
        )

    def _refuse(self, command: str, code: Any, reason: str, slot: int | None = None) -> None:
        self._say(protocol.Refused(id=command, code=code, reason=reason, slot=slot))

    def _say(self, happening: BaseModel) -> None:
        try:
            self._out.write(happening.model_dump_json() + "\n")
            self._out.flush()
        except BrokenPipeError:  # nobody listens any more
            self._leaving = True
