"""MIDI bytes to what an instrument does: notes, programs, controllers, clock. On the audio thread.

A controller moves a knob only after it has passed the knob's position (soft take-over), so that a
fader left elsewhere by another slot or another program does not make it jump.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.player import macros
from bridge.player.instrument import Instrument
from bridge.player.protocol import SLOTS, Learned, Program

BEND = 2.0  # semitones, unless RPN 0 says otherwise
CAUGHT = 1.5 / 127  # so near the knob's position a controller has it
TICKS = 24  # of the clock, a quarter note
BAR = 4 * TICKS
SUSTAIN, SOUND_OFF, RESET, NOTES_OFF = 64, 120, 121, 123
BANK, FINE_BANK, DATA, RPN, FINE_RPN = 0, 32, 6, 101, 100
NRPN = (98, 99)
NO_KNOBS = {BANK, FINE_BANK, DATA, 38, RPN, FINE_RPN, *NRPN, SUSTAIN, *range(SOUND_OFF, 128)}


class Channel:
    """What one MIDI channel was told: its slot, bank, bend range, where its controllers are."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.bank = [0, 0]
        self.rpn = [127, 127]
        self.range = BEND
        self.before: dict[int, float] = {}  # position of a controller by its number


class Midi:
    """Plays an instrument. `hear` takes one message and its place in the block."""

    def __init__(self, instrument: Instrument, post: Callable[[Any], None]) -> None:
        """Channel 1 plays slot 1, and so on, until a program change says otherwise."""
        self._instrument, self._post = instrument, post
        self.channels = [Channel(slot) for slot in range(1, 17)]
        self.controllers = {macro.controller: macro.name for macro in macros.MACROS.values()}
        self.learning: str | None = None
        self._ticks = 0
        self._running = False

    def assign(self, channel: int, slot: int) -> None:
        """Let channel 0..15 play a slot."""
        self.channels[channel].slot = slot
        self._post(Program(channel=channel + 1, slot=slot))

    def learn(self, name: str | None) -> None:
        """Give the next controller that moves to a knob; None gives up."""
        self.learning = name

    def hear(self, data: bytes, wait: int = 0) -> None:
        """Act on one message `wait` samples into the block. What is cut short is ignored."""
        if not data or data[0] < 0x80:
            return
        if data[0] >= 0xF0:
            self._system(data)
            return
        kind, key = data[0] & 0xF0, data[0] & 0x0F
        if len(data) < (2 if kind in (0xC0, 0xD0) else 3):
            return
        channel, first, second = self.channels[key], data[1] & 0x7F, data[-1] & 0x7F
        if kind == 0x90 and second > 0:
            self._instrument.press(channel.slot, key, first, second, wait)
        elif kind in (0x80, 0x90):
            self._instrument.let_go(key, first, wait=wait)
        elif kind == 0xB0:
            self._control(key, channel, first, second, wait)
        elif kind == 0xC0:
            self._program(key, channel, first)
        elif kind == 0xE0:
            share = ((second << 7) + first - 8192) / 8192
            self._instrument.bend(key, share * channel.range)

    def _program(self, key: int, channel: Channel, program: int) -> None:
        slot = (channel.bank[0] * 128 + channel.bank[1]) * 128 + program + 1
        if slot <= SLOTS:  # there is nothing in the other banks
            self.assign(key, slot)

    def _control(self, key: int, channel: Channel, number: int, value: int, wait: int) -> None:
        if self.learning is not None and number not in NO_KNOBS:
            self.controllers[number] = self.learning
            self._post(Learned(controller=number, name=self.learning))
            self.learning = None
        if number in self.controllers:
            self._turn(channel, number, value)
        elif number in (BANK, FINE_BANK):
            channel.bank[number == FINE_BANK] = value
        elif number in (RPN, FINE_RPN):
            channel.rpn[number == FINE_RPN] = value
        elif number in NRPN:  # the data that follow are not for the bend range
            channel.rpn = [127, 127]
        elif number == DATA and channel.rpn == [0, 0]:
            channel.range = float(value)
        elif number == SUSTAIN:
            self._instrument.pedal(key, value >= 64, wait)
        elif number == SOUND_OFF:
            self._instrument.silence(key=key)
        elif number == RESET:
            self._instrument.pedal(key, False, wait)
            self._instrument.bend(key, 0.0)
            channel.rpn = [127, 127]
        elif number >= NOTES_OFF:  # those above are modes, which end notes too
            self._instrument.release_all(key)

    def _turn(self, channel: Channel, number: int, value: int) -> None:
        name = self.controllers[number]
        place = macros.position(name, value)
        here = self._instrument.slots[channel.slot].places[name]
        before = channel.before.get(number, place)
        channel.before[number] = place
        caught = min(abs(place - here), abs(before - here)) <= CAUGHT
        if caught or (before - here) * (place - here) < 0.0:
            self._instrument.turn(channel.slot, name, place, tell=True)

    def _system(self, data: bytes) -> None:
        """Clock: while it runs, new sounds wait for the bar."""
        status = data[0]
        if status == 0xF8 and self._running:
            if self._ticks % BAR == 0:
                self._instrument.bar()
            self._ticks += 1
            self._instrument.clock(True)
        elif status in (0xFA, 0xFB, 0xFC):
            self._ticks = 0 if status == 0xFA else self._ticks
            self._running = status != 0xFC
            self._instrument.clock(self._running)
        elif status == 0xF2 and len(data) >= 3:
            self._ticks = ((data[2] << 7) + data[1]) * TICKS // 4  # in sixteenth notes
