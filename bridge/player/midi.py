"""Turn MIDI bytes into an instrument's notes, programs, controllers, clock. On the audio thread.

A controller moves a knob only after it has passed the knob's position (soft take-over), so that a
fader left elsewhere by another slot or another program does not make it jump. The channels of an
MPE zone (MIDI Polyphonic Expression, M1-100-UM) play one slot, each finger its own bend and touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bridge.player import macros
from bridge.player.instrument import Instrument
from bridge.player.protocol import SLOTS, Learned, Program

BEND = 2.0  # semitones, unless RPN 0 says otherwise
MEMBER_BEND = 48.0  # semitones, of a channel in an MPE zone
WIDEST = 127.0  # semitones
CAUGHT = 1.5 / 127  # so near the knob's position a controller has it
SOFT = 0.8  # x velocity while the soft pedal is down: -4 dB
PRESSED = 1.0  # added to the factor on modulation by all of a finger's pressure
TICKS = 24  # of the clock, a quarter note
BAR = 4 * TICKS
BANK, FINE_BANK, DATA, FINE_DATA, MORE, LESS, RPN, FINE_RPN = 0, 32, 6, 38, 96, 97, 101, 100
SUSTAIN, SOSTENUTO, SOFT_PEDAL, TIMBRE = 64, 66, 67, 74
SOUND_OFF, RESET, NOTES_OFF = 120, 121, 123
NRPN = (98, 99)
NO_KNOBS = {
    BANK, FINE_BANK, DATA, FINE_DATA, MORE, LESS, RPN, FINE_RPN, *NRPN,
    SUSTAIN, SOSTENUTO, SOFT_PEDAL, *range(SOUND_OFF, 128),
}  # fmt: skip
FINE = range(32, 64)  # the low bytes of controllers 0..31, where a keyboard sends 14 bits
NO_PARAMETER, BEND_RANGE, ZONE = (127, 127), (0, 0), (0, 6)  # RPN, high byte first
MASTERS = (0, 15)  # of the lower and the upper zone
LENGTHS = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
SYSTEM_LENGTHS = {0xF1: 1, 0xF2: 2, 0xF3: 1}


@dataclass(slots=True)
class Channel:
    """The state of a MIDI channel: its slot, bank, bend, and the values of its controllers."""

    slot: int
    bank: list[int] = field(default_factory=lambda: [0, 0])
    parameter: tuple[int, int] = NO_PARAMETER  # the RPN that data are for
    range: float = BEND  # semitones
    bent: float = 0.0  # share of the range, -1..1
    soft: bool = False
    master: int | None = None  # the channel whose MPE zone this one belongs to, as a finger's
    pressure: int = 0
    timbre: int = 64
    before: dict[int, float] = field(default_factory=dict)  # position of a controller by its number
    moved: set[int] = field(default_factory=set)  # controllers that have moved


class Midi:
    """Plays an instrument. `hear` takes one message and its place in the block."""

    def __init__(self, instrument: Instrument, post: Callable[[Any], None]) -> None:
        """Channel 1 plays slot 1, and so on, until a program change says otherwise."""
        self._instrument, self._post = instrument, post
        self.channels = [Channel(slot) for slot in range(1, 17)]
        self.controllers = {macro.controller: macro.name for macro in macros.MACROS.values()}
        self.learning: str | None = None
        self._low: int | None = None  # a controller of `FINE` that may be half of a pair
        self._status = 0  # running status; 0: data bytes belong to nothing
        self._ticks = 0
        self._clocked = False

    def assign(self, channel: int, slot: int) -> None:
        """Let channel 0..15 play a slot."""
        self.channels[channel].slot = slot
        self._post(Program(channel=channel + 1, slot=slot))

    def learn(self, name: str | None) -> None:
        """Give the next controller that moves to a knob; None gives up."""
        self.learning, self._low = name, None

    def hear(self, data: bytes, wait: int = 0) -> None:
        """Act on what came at once, `wait` samples into the block. What is cut short is ignored.

        Mostly that is one message; some drivers pack several, by running status.
        """
        for message in self._messages(data):
            if message[0] >= 0xF0:
                self._system(message)
            else:
                self._act(message, wait)

    def _messages(self, data: bytes) -> Iterator[bytes]:
        """Whole messages with their status byte; running status goes on from one call to the next.

        Clock and the like may stand anywhere, also within another message, and end nothing.
        """
        part = bytearray()
        for byte in data:
            if byte >= 0xF8:
                yield bytes([byte])
                continue
            if byte >= 0x80:
                self._status, part = byte, bytearray()
            elif self._status:
                part.append(byte)
            status = self._status
            count = LENGTHS.get(status & 0xF0, SYSTEM_LENGTHS.get(status))
            if status >= 0xF0 and (count is None or len(part) == count):
                self._status = 0  # nothing runs on after a system message, nor in SysEx
            if count is not None and len(part) == count:
                yield bytes([status, *part])
                part = bytearray()

    def _act(self, message: bytes, wait: int) -> None:
        kind, key = message[0] & 0xF0, message[0] & 0x0F
        channel, first, second = self.channels[key], message[1], message[-1]
        if kind == 0x90 and second > 0:
            velocity = max(1, round(second * SOFT)) if self._leader(key).soft else second
            self._instrument.press(self._leader(key).slot, key, first, velocity, wait)
        elif kind in (0x80, 0x90):  # how fast a key is let go makes no difference
            self._instrument.let_go(key, first, wait=wait)
        elif kind == 0xB0:
            self._control(key, channel, first, second, wait)
        elif kind == 0xC0 and channel.master is None:  # a zone's program is its master's
            self._program(key, channel, first)
        elif kind == 0xD0 and channel.master is not None:
            channel.pressure = first
            self._touch(key, channel)
        elif kind == 0xE0:
            channel.bent = ((second << 7) + first - 8192) / 8192
            self._bend(key)

    def _leader(self, key: int) -> Channel:
        """The channel that says what channel `key` plays: its own, or its zone's master."""
        master = self.channels[key].master
        return self.channels[key if master is None else master]

    def _zone(self, key: int) -> list[int]:
        """A channel, and those whose master it is."""
        return [key, *(k for k, channel in enumerate(self.channels) if channel.master == key)]

    def _bend(self, key: int) -> None:
        """A finger's bend is added to that of its zone."""
        for k in self._zone(key):
            channel, whole = self.channels[k], 0.0
            if channel.master is not None:
                master = self.channels[channel.master]
                whole = master.bent * master.range
            self._instrument.bend(k, whole + channel.bent * channel.range)

    def _touch(self, key: int, channel: Channel) -> None:
        """A finger's place (controller 74) and pressure open the modulation of its note."""
        place = 2.0 * macros.position("brightness", channel.timbre)
        self._instrument.touch(key, place + PRESSED * channel.pressure / 127)

    def _program(self, key: int, channel: Channel, program: int) -> None:
        slot = (channel.bank[0] * 128 + channel.bank[1]) * 128 + program + 1
        if slot <= SLOTS:  # there is nothing in the other banks
            self.assign(key, slot)

    def _control(self, key: int, channel: Channel, number: int, value: int, wait: int) -> None:
        if number == TIMBRE and channel.master is not None:
            channel.timbre = value
            self._touch(key, channel)
            return
        if self.learning is not None and number not in NO_KNOBS:
            self._learn_controller(channel, number)
        channel.moved.add(number)
        if number in self.controllers:
            self._turn(self._leader(key), number, value)
        elif number in (BANK, FINE_BANK):
            channel.bank[number == FINE_BANK] = value
        elif number in (RPN, FINE_RPN):
            high, low = channel.parameter
            channel.parameter = (value, low) if number == RPN else (high, value)
        elif number in NRPN:  # the data that follow are not for the bend range
            channel.parameter = NO_PARAMETER
        elif number in (DATA, FINE_DATA, MORE, LESS):
            self._data(key, channel, number, value)
        elif number in (SUSTAIN, SOSTENUTO, SOFT_PEDAL):
            self._pedal(key, number, value >= 64, wait)
        elif number >= SOUND_OFF:
            self._mode(key, number, wait)

    def _pedal(self, key: int, number: int, down: bool, wait: int) -> None:
        """A pedal of a master is that of its whole zone."""
        if number == SOFT_PEDAL:
            self.channels[key].soft = down
            return
        act = self._instrument.pedal if number == SUSTAIN else self._instrument.sostenuto
        for k in self._zone(key):
            act(k, down, wait)

    def _mode(self, key: int, number: int, wait: int) -> None:
        """Sound off, reset (RP-015: volume, pan, program and ranges stay), notes off."""
        for k in self._zone(key):
            if number == SOUND_OFF:
                self._instrument.silence(key=k)
            elif number == RESET:
                self._reset(k, wait)
            elif number >= NOTES_OFF:  # those above are omni, mono and poly, which end notes too
                self._instrument.release_all(k)

    def _reset(self, key: int, wait: int) -> None:
        channel = self.channels[key]
        channel.parameter = NO_PARAMETER
        channel.bent, channel.pressure, channel.timbre, channel.soft = 0.0, 0, 64, False
        self._instrument.pedal(key, False, wait)
        self._instrument.sostenuto(key, False, wait)
        self._instrument.touch(key, 1.0)
        self._bend(key)

    def _data(self, key: int, channel: Channel, number: int, value: int) -> None:
        """Data for the parameter chosen: bend range in semitones and cents, or an MPE zone."""
        if channel.parameter == ZONE and number == DATA and key in MASTERS:
            self._make_zone(key, min(value, 15))
        elif channel.parameter == BEND_RANGE:
            steps = {
                DATA: float(value),
                FINE_DATA: int(channel.range) + min(value, 99) / 100,
                MORE: channel.range + 1.0,
                LESS: channel.range - 1.0,
            }
            whose = [key]
            if channel.master is not None:  # one range for all fingers of a zone
                whose = self._zone(channel.master)[1:]
            for k in whose:
                self.channels[k].range = min(WIDEST, max(0.0, steps[number]))
                self._bend(k)

    def _make_zone(self, master: int, count: int) -> None:
        """An MPE zone of `count` fingers beside its master, none for 0.

        The lower one has the channels above channel 1, the upper one those below channel 16; the
        newer takes from the older what both want. Bends and ranges of its channels start anew.
        """
        wanted = range(1, 1 + count) if master == 0 else range(15 - count, 15)
        other = MASTERS[master == 0]
        if other in wanted:  # fifteen fingers: there is no room for another zone
            for k in self._zone(other):
                self._join(k, None)
        for k, channel in enumerate(self.channels):
            if k in wanted:
                self._join(k, master)
            elif channel.master == master:
                self._join(k, None)
        self.channels[master].range = BEND
        self._join(master, None)

    def _join(self, key: int, master: int | None) -> None:
        """Make a channel a finger of a zone, or one of its own, with nothing bent or held."""
        channel = self.channels[key]
        channel.master = master
        channel.range = BEND if master is None else MEMBER_BEND
        self._reset(key, 0)
        self._instrument.release_all(key)

    def _learn_controller(self, channel: Channel, number: int) -> None:
        """Give a controller to the knob that waits for one.

        Of a pair that sends 14 bits, number - 32 is the coarse one: a low byte is taken for itself
        only when it moves twice and its partner never did.
        """
        if number in FINE:
            if number - 32 in channel.moved:
                number -= 32
            elif self._low != number:
                self._low = number
                return
        if self.learning is not None:
            self.controllers[number] = self.learning
            self._post(Learned(controller=number, name=self.learning))
        self.learn(None)

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
        if status == 0xF8 and self._clocked:
            if self._ticks % BAR == 0:
                self._instrument.bar()
            self._ticks += 1
            self._instrument.clock(True)
        elif status in (0xFA, 0xFB, 0xFC):
            self._ticks = 0 if status == 0xFA else self._ticks
            self._clocked = status != 0xFC
            self._instrument.clock(self._clocked)
        elif status == 0xF2:
            self._ticks = ((data[2] << 7) + data[1]) * TICKS // 4  # in sixteenth notes
