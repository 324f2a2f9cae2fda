"""The live player: `python -m bridge.player [--output auto|jack|portaudio|offline] ...`.

A process of its own, so that no lock is shared with the server. It is driven by lines of JSON on
stdin and answers on stdout, one object a line; every kind is described in `bridge.live.lines`.
Try it from a shell (it leaves when stdin ends):

    (echo '{"kind": "load", "slot": 1, "preset": "bell.json", "id": "a"}'; sleep 2;
     echo '{"kind": "trigger", "slot": 1, "note": 60}'; sleep 5) | python -m bridge.player

First comes `ready` with the device, or `gone` with the reason why there is none; it is tried again
twice a second, by its name, and loads are taken meanwhile. Commands: load, unload, trigger,
note_on, note_off, param, learn, assign, panic, sysex, status, quit. A `load` into a slot that
sounds is heard from the next note on, or from the next bar while MIDI clock runs.

MIDI: bank select 0 and program change p let a channel play slot p + 1 (before, channel c plays
slot c); notes with velocity, pitch bend (2 semitones, or RPN 0), sustain (64), all sound off
(120), all notes off (123); controllers 73, 75, 74, 71, 91, 7 are attack, decay, brightness,
damping, reverb and level of the slot, after they have passed its position.

SIGTERM and Ctrl-C do what `quit` does. Three threads: audio (JACK's or PortAudio's), stdin, and
the main thread, which builds sounds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from bridge.jobs import sentence
from bridge.live import lines, macros, sampler, sounds
from bridge.live.instrument import LINES, Instrument, Retired, Wanted, warm
from bridge.live.midi import Midi
from bridge.live.outputs import LONGEST_BLOCK, Jack, Message, NoDevice, Offline, Output, PortAudio
from bridge.live.priority import raise_priority
from presets import Preset, load

log = logging.getLogger(__name__)

REOPEN = 0.5  # seconds between two tries
SETTLE = 0.15  # seconds that knobs rest before notes are rendered anew
PLAYED = frozenset({"level", "reverb"})  # knobs that the instrument turns by itself


@dataclass(frozen=True, slots=True)
class Options:
    """From the command line."""

    output: Literal["auto", "jack", "portaudio", "offline"]
    name: str  # of the JACK client
    device: str  # part of a sound card's name
    connect: bool  # JACK: to the speakers
    capture: Path  # offline: the file
    rate: int  # offline
    frames: int  # offline and PortAudio


class Refuse(ValueError):
    """A command that cannot be done, with its code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class Held:
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
        self._held: dict[int, Held] = {}
        self._loading: dict[int, Loading] = {}  # by slot
        self._places = [macros.neutral() for _ in range(lines.SLOTS + 1)]
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
                self._rebuild()
                self._free()
                with contextlib.suppress(queue.Empty):
                    self._take(self.inbox.get(timeout=0.05))
                    for _ in range(self.inbox.qsize()):  # a turned knob is built once for all
                        self._take(self.inbox.get_nowait())
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
            if isinstance(item, lines.Turned):
                self._turned(item.slot, item.name, item.position)
            self._say(item)
        else:
            item()

    def _line(self, line: str) -> None:
        try:
            command = lines.command_adapter.validate_json(line)
        except ValidationError as error:
            self._say(lines.Refused(id="", code="bad-line", reason=sentence(error)))
            return
        try:
            done = self._do(command)
        except Refuse as error:
            self._refuse(command.id, error.code, str(error))
        except ValueError as error:
            self._refuse(command.id, "bad-input", str(error))
        except OSError as error:
            reason = f"{error.filename or 'a file'}: {error.strerror or error}"
            self._refuse(command.id, "bad-input", reason)
        else:
            if done and command.id:
                self._say(lines.Ok(id=command.id))

    def _do(self, command: lines.Command) -> bool:
        """Whether it is done already; else it answers later."""
        later, it = self.instrument.later, self.instrument
        match command:
            case lines.Load():
                return self._load(command)
            case lines.Unload(slot=slot):
                self._held.pop(slot, None)
                self._supersede(slot)
                later(it.put, slot, None)
            case lines.Trigger(slot=slot):
                self._need(slot)
                later(it.strike, slot, command.note, command.velocity, command.seconds)
            case lines.NoteOn(slot=slot):
                self._need(slot)
                later(it.press, slot, LINES, command.note, command.velocity)
            case lines.NoteOff(slot=slot):
                later(it.let_go, LINES, command.note, slot)
            case lines.Knob(slot=slot):
                later(it.turn, slot, command.name, command.position)
                self._turned(slot, command.name, command.position)
            case lines.Learn(name=name):
                later(self._midi.learn, name)
            case lines.Assign():
                later(self._midi.assign, command.channel - 1, command.slot)
            case lines.Panic(slot=slot):
                later(it.silence, *(() if slot is None else (slot,)))
            case lines.SysEx(data=data):
                self._send(bytes.fromhex(data))
            case lines.Status():
                self._say(self._report(command.id))
                return False
            case lines.Quit():
                self._leaving = True
        return True

    # sounds

    def _load(self, command: lines.Load) -> bool:
        slot, preset = command.slot, load(command.preset)
        board = sounds.board(preset, self.instrument.rate)
        sound = sounds.build(preset, self._places[slot], board)
        self._supersede(slot)
        if sound.patch is not None:
            self._hold(slot, Held(preset, board, sound))
            return True
        self._loading[slot] = Loading(command.id, sound)

        def playable(_note: int) -> None:
            del self._loading[slot]
            self._hold(slot, Held(preset, board, sound))
            self._fill(slot, sound)
            if command.id:
                self._say(lines.Ok(id=command.id))

        def failed(reason: str) -> None:
            del self._loading[slot]
            self._refuse(command.id, "bad-input", reason)

        self._sampler.want(sampler.Request(sound, round(preset.note), playable, failed))
        return False

    def _supersede(self, slot: int) -> None:
        """A load that is not playable yet never will be."""
        old = self._loading.pop(slot, None)
        if old is not None:
            self._sampler.drop(old.sound)
            self._refuse(old.command, "failed", f"slot {slot} was loaded anew or emptied meanwhile")

    def _hold(self, slot: int, held: Held) -> None:
        if slot in self._held:
            self._sampler.drop(self._held[slot].sound)
        self._held[slot] = held
        self.instrument.later(self.instrument.put, slot, held.sound)
        preset = held.preset
        loaded = lines.Loaded(
            slot=slot,
            name=preset.name,
            note=preset.note,
            sampled=held.sound.patch is None,
            without=sounds.left_out(preset),
        )
        self._say(loaded)

    def _fill(self, slot: int, sound: sounds.Sound) -> None:
        """Render what was not asked for, in an order that brings a near note soon."""
        for urgency, note in enumerate(sampler.notes(round(sound.preset.note))):
            self._sampler.want(self._request(slot, sound, note), float(urgency))

    def _request(self, slot: int, sound: sounds.Sound, note: int) -> sampler.Request:
        def done(note: int) -> None:
            self._say(lines.Rendered(slot=slot, note=note))

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

    def _replace(self, slot: int, held: Held, sound: sounds.Sound) -> None:
        held.sound = sound
        self.instrument.later(self.instrument.renew, slot, sound)

    def _render_anew(self, slot: int, held: Held, sound: sounds.Sound) -> None:
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
                sounds.warmed(held.board, rate)
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
                self._say(lines.Xrun(count=total))
            if self._output.gone:
                self._why = self._output.gone
                self._say(lines.Gone(name=self._output.name, reason=self._why))
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
                    self._say(lines.Gone(name=self._options.name, reason=self._why))
            else:
                self._why = ""
                o = self._output
                self._say(lines.Ready(output=o.kind, name=o.name, rate=o.rate, frames=o.frames))

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
            raise Refuse("no-midi", "there is no device to send to")
        try:
            self._output.send(data)
        except NoDevice as error:
            raise Refuse("no-midi", str(error)) from None

    # answers

    def _need(self, slot: int) -> None:
        if slot not in self._held:
            state = "still being loaded" if slot in self._loading else "empty"
            raise Refuse("empty-slot", f"slot {slot} is {state}")
        if self._output is None:
            raise Refuse("no-device", f"there is nothing to play on: {self._why}")

    def _report(self, command: str) -> lines.StatusReport:
        spent = np.array(list(self.instrument.spent) or [0.0]) * 1e6
        frames = self._output.frames if self._output is not None else self._options.frames
        return lines.StatusReport(
            id=command,
            voices=self.instrument.sounding,
            xruns=self._xruns,
            block_us=(float(np.median(spent)), float(np.quantile(spent, 0.99)), float(spent.max())),
            budget_us=1e6 * frames / self.instrument.rate,
            slots={slot: held.preset.name for slot, held in self._held.items()},
        )

    def _refuse(self, command: str, code: Any, reason: str) -> None:
        self._say(lines.Refused(id=command, code=code, reason=reason))

    def _say(self, happening: BaseModel) -> None:
        try:
            self._out.write(happening.model_dump_json() + "\n")
            self._out.flush()
        except BrokenPipeError:  # nobody listens any more
            self._leaving = True


def options(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bridge.player")
    parser.add_argument(
        "--output", choices=("auto", "jack", "portaudio", "offline"), default="auto"
    )
    parser.add_argument("--name", default="scorewire", help="name of the JACK client")
    parser.add_argument("--device", default="", help="part of a sound card's name")
    parser.add_argument("--no-connect", dest="connect", action="store_false")
    parser.add_argument(
        "--capture", type=Path, default=Path("capture.f32"), help="offline: to here"
    )
    parser.add_argument("--rate", type=int, default=48000, help="offline: Hz")
    parser.add_argument("--frames", type=int, default=256, help="a block, where it can be chosen")
    chosen = Options(**vars(parser.parse_args(arguments)))
    for name, low, high in (("rate", 8000, 192000), ("frames", 1, LONGEST_BLOCK)):
        if not low <= getattr(chosen, name) <= high:
            parser.error(f"--{name} must be {low} to {high}, got {getattr(chosen, name)}")
    return chosen


def main() -> None:
    """Run a player on this process's stdin and stdout."""
    chosen = options()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # what libraries print is not the protocol
        logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
        sys.setswitchinterval(0.0001)  # the audio thread waits at most this long for the lock
        warm()
        gc.freeze()  # no collection walks through what is here for good
        raise_priority()
        player = Player(chosen, out)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: player.inbox.put(None))
        threading.Thread(target=read, args=(player.inbox,), daemon=True).start()
        player.run()


def read(inbox: queue.SimpleQueue[Any]) -> None:
    """Put the lines of stdin into an inbox, then None."""
    with os.fdopen(os.dup(0), encoding="utf-8", errors="replace") as stdin:
        for line in stdin:
            if line.strip():
                inbox.put(line)
    inbox.put(None)


if __name__ == "__main__":
    main()
