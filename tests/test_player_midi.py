"""MIDI as keyboards, pedals and MPE controllers send it, without a device."""

import random

import numpy as np
import pytest

from bridge.player import loading, macros
from bridge.player.instrument import Instrument
from bridge.player.midi import Midi
from bridge.player.protocol import Learned, Program
from presets import Note, Preset

RATE, BLOCK = 48000, 128
SINE = {"op1_ratio": 1.0, "op1_attack": 0.001, "op1_decay": 10.0, "op1_mix": 0.5}
SINE |= {"op1_from_op1": 0.0, "level": 0.5}
PAIR = SINE | {
    "op2_ratio": 1.0, "op2_attack": 0.001, "op2_decay": 10.0, "op2_mix": 0.5,
    "op2_from_op1": 0.05, "op2_from_op2": 0.0, "op1_mix": 0.0,
}  # fmt: skip


class Keyboard:
    """An instrument with a sine in each of `slots`, played by hexadecimal messages."""

    def __init__(self, *slots, values=SINE):
        self.said = []
        self.instrument = Instrument(RATE, 1024, self.said.append)
        self.midi = Midi(self.instrument, self.said.append)
        preset = Preset(name="x", renderer="fm", renderer_version=1, values=values)
        for slot in slots or (1,):
            self.instrument.put(slot, loading.build(preset, macros.neutral(), None))

    def send(self, *messages):
        for message in messages:
            self.midi.hear(bytes.fromhex(message))
        return self

    def play(self, seconds):
        blocks = [self.instrument.mix(BLOCK).copy() for _ in range(round(seconds * RATE / BLOCK))]
        return np.concatenate(blocks)

    def held(self):
        """How many notes sound once all that was let go has faded out."""
        self.play(0.2)
        return self.instrument.sounding

    def hz(self):
        x = self.play(1.0)[4800:]
        spectrum = np.abs(np.fft.rfft(x * np.hanning(x.size), 1 << 18))
        return float(np.argmax(spectrum)) * RATE / (1 << 18)


def rpn(channel, high, low, *data):
    """Choose a parameter and send its data: `06 0c` is 12 coarse, `26 32` is 50 fine."""
    chosen = (f"b{channel:x} 65 {high:02x}", f"b{channel:x} 64 {low:02x}")
    return [*chosen, *(f"b{channel:x} {bytes_}" for bytes_ in data)]


@pytest.mark.parametrize(
    ("data", "semitones"),
    [
        (["06 0c"], 12.0),
        (["06 02", "26 32"], 2.5),
        (["06 02", "26 32", "06 03"], 3.0),  # a new coarse byte begins anew
        (["06 05", "60 00", "60 00"], 7.0),
        (["06 05", "61 00"], 4.0),
        (["06 00", "61 00"], 0.0),
        (["06 02", "26 32", "60 00"], 3.5),
    ],
)
def test_the_bend_range_in_semitones_cents_and_steps(data, semitones):
    keys = Keyboard().send(*rpn(0, 0, 0, *data), "90 45 64", "e0 7f 7f")
    assert keys.hz() == pytest.approx(440.0 * 2 ** (semitones / 12 * 8191 / 8192), abs=0.3)


def test_a_range_that_changes_bends_what_is_bent():
    keys = Keyboard().send("90 45 64", "e0 7f 7f", *rpn(0, 0, 0, "06 0c"))
    assert keys.hz() == pytest.approx(Note(81).hz, rel=1e-3)


def test_sostenuto_holds_what_was_down_and_nothing_later():
    keys = Keyboard().send("90 3c 64")
    keys.play(0.1)
    keys.send("b0 42 7f", "90 40 64", "80 3c 00", "80 40 00")
    assert keys.held() == 1
    keys.send("b0 40 7f", "b0 40 00")  # sustain comes and goes: not its business
    assert keys.held() == 1
    keys.send("90 3c 64", "80 3c 00")  # struck again: its damper is still up
    assert keys.held() == 1
    keys.send("b0 42 00")
    assert keys.held() == 0


def test_sostenuto_goes_while_sustain_holds():
    keys = Keyboard().send("90 3c 64", "b0 42 7f", "b0 40 7f", "80 3c 00", "b0 42 00")
    assert keys.held() == 1
    keys.send("b0 40 00")
    assert keys.held() == 0


def test_a_key_that_is_still_down_outlives_every_pedal():
    keys = Keyboard().send("90 3c 64", "b0 42 7f", "b0 40 7f", "b0 42 00", "b0 40 00")
    assert keys.held() == 1


def test_a_second_strike_under_the_pedal_is_a_note_of_its_own():
    keys = Keyboard().send("b0 40 7f", "90 3c 64", "80 3c 00", "90 3c 64")
    assert keys.held() == 1  # the first strike made room
    keys.send("b0 40 00")
    assert keys.held() == 1  # its key is down
    keys.send("80 3c 00")
    assert keys.held() == 0


def test_the_soft_pedal_is_softer():
    """A velocity of 0.8 is a gain of 0.64: 3.9 dB less."""
    peaks = []
    for pedal in ("b0 43 00", "b0 43 7f"):
        peaks.append(np.abs(Keyboard().send(pedal, "90 3c 64").play(0.1)).max())
    assert peaks[1] / peaks[0] == pytest.approx(0.64, rel=1e-5)


def test_reset_lifts_pedals_and_bends_and_keeps_volume_pan_program_and_range():
    keys = Keyboard(1, 5)
    keys.send("c0 04", *rpn(0, 0, 0, "06 0c"), "b0 07 64", "b0 07 50", "b0 0a 20", "90 45 64")
    before = dict(keys.instrument.slots[5].places)
    keys.send("b0 40 7f", "b0 42 7f", "b0 43 7f", "e0 7f 7f", "b0 79 00")
    assert keys.hz() == pytest.approx(440.0, abs=0.3)
    assert keys.instrument.slots[5].places == before
    assert before["level"] == 0x50 / 127
    assert (keys.midi.channels[0].slot, keys.midi.channels[0].range) == (5, 12.0)
    keys.send("b0 06 30")  # data that no parameter waits for any more
    assert keys.midi.channels[0].range == 12.0
    keys.send("80 45 00")
    assert keys.held() == 0


@pytest.mark.parametrize("mode", ["7b 00", "7c 00", "7d 00", "7e 01", "7f 00"])
def test_notes_end_with_all_notes_off_and_every_mode(mode):
    keys = Keyboard().send("90 3c 64", "90 40 64", f"b0 {mode}")
    assert keys.held() == 0


def test_local_control_ends_nothing():
    assert Keyboard().send("90 3c 64", "b0 7a 00").held() == 1


def test_the_speed_of_letting_go_and_pressure_on_a_key_change_nothing():
    """Notes off with velocities 0 and 127, polyphonic and channel pressure: sample by sample."""
    heard = []
    for messages in (("80 3c 00",), ("a0 3c 7f", "d0 7f", "80 3c 7f")):
        keys = Keyboard().send("90 3c 64")
        sound = [keys.play(0.1)]
        sound.append(keys.send(*messages).play(0.2))
        heard.append(np.concatenate(sound))
    assert (heard[0] == heard[1]).all()
    assert heard[0][-100:].max() == 0.0


def test_a_program_change_leaves_what_sounds_and_lets_it_go():
    keys = Keyboard(1, 5).send("90 3c 64", "c0 04", "90 40 64")
    assert keys.held() == 2
    assert sorted(keys.instrument._voices.slot[keys.instrument._voices.kind > 0]) == [1, 5]
    keys.send("80 3c 00")
    assert keys.held() == 1
    keys.send("80 40 00")
    assert keys.held() == 0


def test_a_bank_that_is_not_there_leaves_the_channel_where_it_was():
    keys = Keyboard().send("b0 00 79", "b0 20 00", "c0 04")  # bank 121, as General MIDI 2 says
    assert keys.midi.channels[0].slot == 1
    keys.send("b0 00 00", "c0 04")
    assert keys.said[-1] == Program(channel=1, slot=5)


@pytest.mark.parametrize(
    "parts",
    [
        ["90 3c 64 40 64 43 64"],
        ["90 3c 64", "40 64", "43 64"],
        ["90 3c f8 64 40 fe 64 43 64"],  # clock within a message
        ["90 3c 64", "fe", "40 64", "f8", "43 64"],
        ["90 3c 64", "f0 43 10 f7", "90 40 64 43 64"],
    ],
)
def test_running_status(parts):
    assert Keyboard().send(*parts).held() == 3


def test_running_status_with_velocity_0():
    assert Keyboard().send("90 3c 64 40 64", "3c 00 40 00").held() == 0


@pytest.mark.parametrize(
    "parts",
    [
        ["f0 43 10", "3c 64", "40 64 f7"],  # SysEx in pieces
        ["90", "3c", "64"],  # nothing is put together from pieces
        ["3c 64 40 64"],
        ["90 3c 64 80 3c 00", "f1 00", "3c 64"],  # a system message ends running status
    ],
)
def test_data_bytes_of_no_message_are_not_notes(parts):
    assert Keyboard().send(*parts).held() == 0


def learned(*messages):
    keys = Keyboard()
    keys.midi.learn("decay")
    keys.send(*messages)
    return [one.controller for one in keys.said if isinstance(one, Learned)]


def test_a_knob_is_learned_from_the_coarse_half_of_a_pair():
    assert learned("b0 0a 40", "b0 2a 11") == [10]
    assert learned("b0 2a 11", "b0 0a 40") == [10]
    assert learned("b0 2a 11", "b0 2a 12") == [42]  # no pair: it is alone
    keys = Keyboard().send("b0 0a 40", "b0 2a 11")
    keys.midi.learn("decay")
    keys.send("b0 2a 15")  # the coarse half stands still while the fine one moves
    assert keys.said[0] == Learned(controller=10, name="decay")


def test_pedals_parameters_and_modes_are_never_learned():
    passed = (0, 6, 32, 38, 64, 66, 67, 96, 97, 98, 99, 100, 101, *range(120, 128))
    assert learned(*(f"b0 {number:02x} 40" for number in passed)) == []


# MPE


def test_a_zone_plays_the_slot_of_its_master():
    keys = Keyboard(1, 2, 3).send(*rpn(0, 0, 6, "06 02"), "91 3c 64", "92 40 64", "93 43 64")
    keys.play(0.05)
    slots = keys.instrument._voices.slot[keys.instrument._voices.kind > 0]
    assert sorted(slots) == [1, 1]  # channel 4 is no finger, and its slot 4 is empty
    keys.send("c1 04")  # a finger's program is not its own
    assert keys.midi.channels[1].slot == 2
    keys.send("81 3c 00", "82 40 00")
    assert keys.held() == 0


def test_a_finger_bends_its_note_alone_and_the_master_all():
    keys = Keyboard().send(*rpn(0, 0, 6, "06 0f"), "91 45 64", "92 51 64")
    bends = keys.instrument._hands.bend
    keys.send("e1 00 50")  # a quarter of 48 semitones
    assert keys.instrument._hands.bend[1:3] == pytest.approx([2.0, 1.0])
    keys.send("e0 00 60")  # half of two semitones
    assert bends[1:3] == pytest.approx([2 ** (13 / 12), 2 ** (1 / 12)])
    keys.send(*rpn(5, 0, 0, "06 18"))  # the range of all fingers
    assert bends[1:3] == pytest.approx([2 ** (7 / 12), 2 ** (1 / 12)])
    keys.send("82 51 00")
    assert keys.hz() == pytest.approx(440.0 * 2 ** (7 / 12), abs=1.0)


def test_pedals_and_ends_of_the_master_are_for_the_zone():
    zone = rpn(0, 0, 6, "06 03")
    keys = Keyboard().send(*zone, "b0 40 7f", "91 3c 64", "92 40 64", "81 3c 00", "82 40 00")
    assert keys.held() == 2
    keys.send("b0 40 00")
    assert keys.held() == 0
    for end in ("b0 7b 00", "b0 78 00"):
        assert Keyboard().send(*zone, "91 3c 64", "92 40 64", end).held() == 0


def test_zones_below_and_above_share_the_channels():
    keys = Keyboard().send(*rpn(0, 0, 6, "06 07"), *rpn(15, 0, 6, "06 07"))
    masters = [channel.master for channel in keys.midi.channels]
    assert masters == [None, *[0] * 7, *[15] * 7, None]
    assert [channel.range for channel in keys.midi.channels[:9:8]] == [2.0, 48.0]
    keys.send(*rpn(15, 0, 6, "06 0a"))  # the newer one takes
    assert [channel.master for channel in keys.midi.channels] == [None, *[0] * 4, *[15] * 10, None]
    keys.send(*rpn(0, 0, 6, "06 0f"))
    assert [channel.master for channel in keys.midi.channels] == [None, *[0] * 15]
    keys.send(*rpn(0, 0, 6, "06 00"))
    assert [channel.master for channel in keys.midi.channels] == [None] * 16
    assert [channel.range for channel in keys.midi.channels] == [2.0] * 16


def modulation(*messages):
    """The second harmonic over the first of a note that is modulated by 0.05 radians."""
    keys = Keyboard(values=PAIR).send(*rpn(0, 0, 6, "06 0f"), "91 45 64", *messages)
    x = keys.play(1.2)[9600:]
    spectrum = np.abs(np.fft.rfft(x * np.hanning(x.size), RATE * 4))
    return spectrum[880 * 4] / spectrum[440 * 4]


def test_place_and_pressure_open_the_modulation_of_one_finger():
    """Up to twice as designed, as the knob does; another finger's touch changes nothing."""
    plain = modulation()
    assert modulation("b2 4a 7f", "d2 7f") == pytest.approx(plain, rel=1e-6)
    assert modulation("b1 4a 20") == pytest.approx(0.5 * plain, rel=0.02)
    for most in ("b1 4a 7f", "d1 7f"):
        assert modulation(most) == pytest.approx(2.0 * plain, rel=0.02)
    assert modulation("b1 4a 7f", "d1 7f") == pytest.approx(2.0 * plain, rel=0.02)
    assert modulation("b1 4a 00") == pytest.approx(0.0, abs=0.01 * plain)


def test_a_finger_turns_and_teaches_no_knob():
    keys = Keyboard().send(*rpn(0, 0, 6, "06 0f"))
    keys.midi.learn("reverb")
    keys.send("b1 4a 40", "b1 4a 41", "b1 4a 7f")
    assert keys.instrument.slots[1].places["brightness"] == 0.5
    assert keys.said == []


def test_any_bytes_are_survived_and_nothing_hangs():
    """10,000 random messages with many zones, ranges and pedals among them; then all sound off."""
    chance = random.Random(13)
    keys = Keyboard(1, 2, 3)
    for _ in range(10_000):
        count = chance.randrange(6)
        data = bytes(chance.randrange(256) for _ in range(count))
        if chance.random() < 0.3:
            number = chance.choice((0, 6, 32, 38, 64, 66, 67, 74, 96, 97, 100, 101, 121))
            value = chance.choice((0, 6, chance.randrange(128)))
            data = bytes([0xB0 + chance.randrange(16), number, value])
        keys.midi.hear(data, chance.randrange(64))
        if chance.random() < 0.02:
            assert np.isfinite(keys.instrument.block(64)).all()
    for channel in range(16):
        keys.send(f"b{channel:x} 78 00")
    assert keys.held() == 0
