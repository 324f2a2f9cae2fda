"""Slots, MIDI, swaps, effects and samples, block by block and without a device."""

import math

import numpy as np
import pytest
import torch

from bridge.player import loading, macros, prerender
from bridge.player.instrument import HEADROOM, LINES, Instrument, MissingNote, RetiredSound
from bridge.player.midi import BAR, Midi
from bridge.player.protocol import Learned, Program, Turned
from bridge.player.sampler import Store, notes
from presets import Effect, Note, Preset, load, ranges
from presets.library import FACTORY
from presets.preset import Plugin
from renderers import RENDERERS, effects, random_patches, to_values, voice, voice_patch
from renderers.limiter import CEILING, LOOK_AHEAD

RATE, BLOCK = 48000, 128


def sine(ratio=1.0, **fields):
    """A preset of one operator: a sine that lasts."""
    values = {"op1_ratio": ratio, "op1_attack": 0.001, "op1_decay": 10.0, "op1_mix": 0.5}
    values |= {"op1_from_op1": 0.0, "level": 0.5}
    return Preset(name="sine", renderer="fm", renderer_version=1, values=values, **fields)


def impact():
    instrument = RENDERERS["impact"]
    u = random_patches(instrument, 1, generator=torch.Generator().manual_seed(3))[0]
    return Preset(
        name="pot", renderer="impact", renderer_version=1, values=to_values(instrument, u)
    )


class Rig:
    """An instrument, its MIDI, what it said."""

    def __init__(self):
        self.said = []
        self.instrument = Instrument(RATE, 1024, self.said.append)
        self.midi = Midi(self.instrument, self.said.append)

    def load(self, slot, preset, places=None):
        sound = loading.build(
            preset, places or macros.neutral(), loading.effect_board(preset, RATE)
        )
        self.instrument.put(slot, sound)
        return sound

    def hear(self, *data, wait=0):
        self.midi.hear(bytes(data), wait)

    def play(self, samples):
        """What goes into the limiter: no later and no softer than the presets."""
        blocks = [self.instrument.mix(BLOCK).copy() for _ in range(-(-samples // BLOCK))]
        return np.concatenate(blocks)[:samples]


def hz(x):
    """The loudest frequency of x."""
    spectrum = np.abs(np.fft.rfft(x * np.hanning(x.size), 1 << 17))
    return float(np.argmax(spectrum)) * RATE / (1 << 17)


def peak(x):
    return float(np.abs(x).max())


def test_a_preset_with_effects_sounds_as_its_file():
    """Up to 32-bit rounding; the reverberation runs in blocks as it does in one piece."""
    reverb = Effect(kind="Reverb", values={"room_size": 0.5, "wet_level": 0.4, "dry_level": 0.6})
    preset = sine(effects=(reverb, Effect(kind="Distortion", values={"drive_db": 6.0})))
    rig = Rig()
    rig.load(1, preset)
    rig.hear(0x90, 64, 90)
    expected = effects.render(preset, note=64, velocity=90, seconds=0.5, rate=RATE)[0]
    assert np.abs(rig.play(expected.size) - expected).max() < 1e-5 * peak(expected)


def test_a_note_begins_at_its_sample():
    rig = Rig()
    rig.load(1, sine())
    rig.hear(0x90, 60, 100, wait=101)
    sound = rig.play(BLOCK)
    assert np.nonzero(sound)[0][0] == 102  # the first sample of a sine is 0
    rig.hear(0x80, 60, 0, wait=7)
    assert peak(rig.play(RATE)[-RATE // 2 :]) == 0.0


def test_bank_and_program_choose_a_slot():
    rig = Rig()
    rig.load(1, sine(1.0))
    rig.load(128, sine(2.0))
    for message in ((0xB0, 0, 0), (0xB0, 32, 0), (0xC0, 127), (0x90, 69, 100)):
        rig.hear(*message)
    assert Program(channel=1, slot=128) in rig.said
    assert hz(rig.play(RATE)) == pytest.approx(880.0, abs=0.5)
    rig.hear(0xB0, 32, 5)
    rig.hear(0xC0, 3)  # nothing there
    assert rig.midi.channels[0].slot == 128


def test_note_off_reaches_a_note_whose_channel_went_elsewhere():
    rig = Rig()
    rig.load(1, sine())
    rig.hear(0x90, 60, 100)
    rig.play(BLOCK)
    rig.hear(0xC0, 5)
    rig.hear(0x90, 60, 0)
    assert peak(rig.play(RATE)[-1000:]) == 0.0


def test_bend_sustain_and_all_notes_off():
    rig = Rig()
    rig.load(1, sine())
    rig.hear(0x90, 69, 100)
    rig.hear(0xE0, 0, 96)  # half of two semitones up
    assert hz(rig.play(RATE)[4800:]) == pytest.approx(Note(70).hz, abs=0.5)
    for message in ((0xB0, 101, 0), (0xB0, 100, 0), (0xB0, 6, 12), (0xE0, 127, 127)):
        rig.hear(*message)
    assert hz(rig.play(RATE)[4800:]) == pytest.approx(Note(81).hz, abs=1.0)
    rig.hear(0xB0, 64, 127)
    rig.hear(0x80, 69, 0)
    assert peak(rig.play(RATE)[-1000:]) > 0.01
    rig.hear(0xB0, 64, 0)
    assert peak(rig.play(RATE)[-1000:]) == 0.0
    rig.hear(0x90, 69, 100)
    rig.hear(0xB0, 64, 127)
    rig.hear(0xB0, 123, 0)
    assert peak(rig.play(RATE)[-1000:]) > 0.01  # the pedal holds what all notes off lets go
    rig.hear(0xB0, 64, 0)
    rig.hear(0x90, 69, 100)
    rig.hear(0xB0, 123, 0)
    assert peak(rig.play(RATE)[-1000:]) == 0.0
    rig.hear(0x90, 69, 100)
    rig.play(BLOCK)
    rig.hear(0xB0, 120, 0)
    assert peak(rig.play(1000)[round(voice.STEAL * RATE) + 1 :]) == 0.0


ECHO = Effect(kind="Delay", values={"delay_seconds": 0.05, "feedback": 0.8, "mix": 0.5})


def test_panic_ends_echoes_without_a_click_and_lifts_the_pedal():
    rig = Rig()
    rig.load(1, sine(effects=(ECHO,)))
    rig.instrument.turn(1, "reverb", 0.5)
    rig.hear(0xB0, 64, 127)
    rig.hear(0x90, 69, 100)
    before = rig.play(RATE)
    steepest = float(np.abs(np.diff(before)).max())
    rig.instrument.silence()
    after = np.concatenate([before[-1:], rig.play(RATE)])
    assert np.abs(np.diff(after)).max() < 1.2 * steepest
    assert peak(after[1000:]) == 0.0
    rig.hear(0x90, 69, 100)
    rig.hear(0x80, 69, 0)
    rig.play(RATE // 2)
    assert rig.instrument.sounding == 0


def test_all_sound_off_of_a_channel_leaves_the_echoes_of_others():
    rig = Rig()
    for slot, key in ((1, 60), (2, 72)):
        rig.load(slot, sine(effects=(ECHO,)))
        rig.hear(0x90 + slot - 1, key, 100)
    rig.play(RATE // 2)
    rig.hear(0x80, 60, 0)
    rig.play(round(voice.RELEASE * RATE) + BLOCK)
    rig.hear(0xB1, 120, 0)
    assert hz(rig.play(RATE // 4)[1000:]) == pytest.approx(Note(60).hz, abs=3.0)


def test_effects_that_diverge_are_silent_for_a_block_only():
    class Diverging:
        ill = False

        def process(self, x, _rate, *, reset):
            assert not reset
            return np.full_like(x, np.nan) if self.ill else x

        def reset(self):
            self.ill = False

    rig, board = Rig(), Diverging()
    rig.instrument.put(1, loading.build(sine(), macros.neutral(), board))
    rig.load(2, sine())
    rig.hear(0x90, 69, 100)
    rig.play(RATE // 10)
    board.ill = True
    assert peak(rig.play(BLOCK)) == 0.0
    assert peak(rig.play(RATE // 10)) > 0.1


def chord(preset, rate, seconds=0.5):
    """The output of ten keys at velocity 127, struck together on as many channels."""
    instrument = Instrument(rate, 1024, lambda _: None)
    sound = loading.build(preset, macros.neutral(), loading.effect_board(preset, rate))
    if sound.patch is None:
        audio = prerender.note(preset, 60, rate)
        instrument.use_store(audio)
        sound.samples = {60: loading.Sample(0, audio.size)}
    instrument.put(1, sound)
    for key, note in enumerate((36, 48, 52, 55, 60, 60, 64, 67, 72, 76)):
        instrument.press(1, key, note, 127)
    return np.concatenate(
        [instrument.block(BLOCK).copy() for _ in range(int(seconds * rate / BLOCK))]
    )


@pytest.mark.parametrize("path", sorted(FACTORY.glob("*.json"))[::3], ids=lambda path: path.stem)
@pytest.mark.parametrize("rate", [44100, 96000])
def test_no_chord_of_a_factory_preset_exceeds_full_scale(path, rate):
    heard = chord(load(path), rate, 0.5 if rate == 44100 else 0.1)
    assert peak(heard) <= CEILING * (1 + 1e-6) < 1.0


@pytest.mark.parametrize("rate", [22050, 48000])
def test_a_chord_that_is_far_too_loud_is_held_at_the_ceiling(rate):
    preset = sine(effects=(Effect(kind="Gain", values={"gain_db": 12.0}),))
    heard = chord(preset, rate)
    assert peak(heard) <= CEILING * (1 + 1e-6)
    assert peak(heard[rate // 4 :]) > 0.8 * CEILING


def test_the_output_is_what_is_played_with_headroom_and_a_little_later():
    sounds = []
    for name in ("mix", "block"):
        rig = Rig()
        rig.load(1, sine())
        for note in (60, 64, 67, 72):
            rig.hear(0x90, note, 127)
        sounds.append(
            np.concatenate([getattr(rig.instrument, name)(BLOCK).copy() for _ in range(200)])
        )
    late = int(np.nonzero(sounds[1])[0][0] - np.nonzero(sounds[0])[0][0])
    assert late / RATE == pytest.approx(LOOK_AHEAD, rel=0.02)
    assert peak(sounds[0]) > 1.0
    assert (sounds[1][late:] == np.float32(HEADROOM) * sounds[0][:-late]).all()


def test_velocity_is_squared():
    peaks = []
    for velocity in (50, 100):
        rig = Rig()
        rig.load(1, sine())
        rig.hear(0x90, 60, velocity)
        peaks.append(peak(rig.play(4800)))
    assert peaks[1] / peaks[0] == pytest.approx(4.0, rel=1e-5)


def test_a_controller_takes_over_when_it_passes_the_knob():
    rig = Rig()
    rig.load(1, sine())
    places = rig.instrument.slots[1].places
    rig.hear(0xB0, 7, 20)  # the fader stands low: nothing jumps
    assert places["level"] == pytest.approx(100 / 127)
    rig.hear(0xB0, 7, 90)
    assert places["level"] == pytest.approx(100 / 127)
    rig.hear(0xB0, 7, 110)  # passed 100
    rig.hear(0xB0, 7, 64)
    assert places["level"] == pytest.approx(64 / 127)
    assert rig.said[-1] == Turned(slot=1, name="level", position=64 / 127)
    rig.hear(0x90, 60, 100)
    quiet = peak(rig.play(9600)[4800:])
    rig.instrument.turn(1, "level", 100 / 127)
    rig.play(BLOCK)
    assert peak(rig.play(4800)) / quiet == pytest.approx((100 / 64) ** 2, rel=0.02)


def test_a_learned_controller_moves_its_knob():
    rig = Rig()
    rig.load(1, sine())
    rig.midi.learn("reverb")
    rig.hear(0xB0, 1, 0)
    assert rig.said[-2:] == [
        Learned(controller=1, name="reverb"),
        Turned(slot=1, name="reverb", position=0.0),
    ]
    rig.hear(0xB0, 1, 100)
    assert rig.instrument.slots[1].places["reverb"] == pytest.approx(100 / 127)
    rig.hear(0x90, 60, 100)
    rig.hear(0x80, 60, 0)
    assert peak(rig.play(RATE)[RATE // 2 :]) > 1e-4  # the room rings on


def test_what_is_no_knob_cannot_be_learned():
    rig = Rig()
    rig.midi.learn("decay")
    for number in (0, 6, 32, 38, 64, 98, 99, 100, 101, 120, 123):
        rig.hear(0xB0, number, 0)
    assert rig.said == []
    rig.hear(0xB0, 2, 5)
    assert rig.said[0] == Learned(controller=2, name="decay")


def test_data_for_other_parameters_leave_the_bend_range():
    rig = Rig()
    for number, value in ((101, 0), (100, 0), (6, 12), (99, 1), (98, 8), (6, 64)):
        rig.hear(0xB0, number, value)
    assert rig.midi.channels[0].range == 12.0


def test_a_better_patch_waits_for_the_next_note():
    rig = Rig()
    rig.load(1, sine(1.0))
    rig.hear(0x90, 69, 100)
    rig.play(4800)
    old = rig.instrument.slots[1].sound
    rig.load(1, sine(2.0))
    assert hz(rig.play(RATE)) == pytest.approx(440.0, abs=0.5)
    rig.hear(0x80, 69, 0)
    rig.play(RATE)
    rig.hear(0x90, 69, 100)
    assert hz(rig.play(RATE)) == pytest.approx(880.0, abs=0.5)
    assert RetiredSound(old) in rig.said


def test_while_a_clock_runs_it_waits_for_the_bar():
    rig = Rig()
    rig.load(1, sine(1.0))
    rig.hear(0xFA)
    for _ in range(BAR // 2):
        rig.hear(0xF8)
    rig.load(1, sine(2.0))
    rig.hear(0x90, 69, 100)
    assert hz(rig.play(RATE // 2)) == pytest.approx(440.0, abs=1.0)
    for _ in range(BAR // 2 + 1):
        rig.hear(0xF8)
    rig.hear(0x90, 69, 100)
    rig.play(RATE // 4)
    assert hz(rig.play(RATE // 2)) == pytest.approx(880.0, abs=1.0)
    rig.load(1, sine(4.0))
    rig.play(RATE)  # the clock falls silent without a word
    rig.hear(0x90, 69, 100)
    rig.play(RATE // 4)
    assert hz(rig.play(RATE // 2)) == pytest.approx(1760.0, abs=1.0)


def test_a_struck_note_is_released_after_its_seconds():
    rig = Rig()
    rig.load(4, sine(note=72.0))
    rig.instrument.later(rig.instrument.strike, 4, None, 100, 0.25)
    sound = rig.play(RATE)
    assert hz(sound[: RATE // 4]) == pytest.approx(Note(72).hz, abs=0.5)
    end = round((0.25 + voice.RELEASE) * RATE)
    assert peak(sound[end + 2 :]) == 0.0
    assert peak(sound[end - 960 : end]) > 0.0
    assert (rig.instrument._voices.key[0], rig.instrument._voices.slot[0]) == (LINES, 4)


def test_a_strike_of_what_holds_ends_as_its_preset_does():
    """Nobody lets go of a lone strike: the preset says how long its key is down."""
    values = {p.name: p.value(0.5) for p in ranges.fm(operators=1, voice="full")}
    values |= {"op1_release": 0.1, "noise_level": 0.0, "filter_hz": 20000.0}
    values |= {"filter_mode": 0.0, "level": 0.5, "lfo_to_level": 0.0}
    for held, seconds in ((0.3, 0.3), (None, 0.5)):
        rig = Rig()
        preset = Preset(
            name="pad", renderer="fm", renderer_version=1, values=values, held=held, seconds=0.5
        )
        rig.load(4, preset)
        rig.instrument.later(rig.instrument.strike, 4, None, 100, None)
        sound = rig.play(RATE)
        end = round(seconds * RATE)
        assert peak(sound[end - 480 : end]) > 0.01
        assert peak(sound[end + round(0.11 * RATE) :]) < 1e-5
        assert rig.instrument.sounding == 0


def test_the_end_of_a_strike_is_not_the_end_of_the_next():
    rig = Rig()
    rig.load(4, sine())
    for _ in range(2):
        rig.instrument.later(rig.instrument.strike, 4, 60, 100, 0.5)
        rig.play(RATE // 4)
    assert peak(rig.play(RATE // 4)[-4800:]) > 0.0
    assert peak(rig.play(RATE // 2)[RATE // 4 :]) == 0.0


def test_a_sampled_note_plays_at_once_and_exactly_when_it_is_rendered():
    rig = Rig()
    preset = impact()
    sound = rig.load(1, preset)
    assert sound.patch is None
    rig.hear(0x90, 62, 100)
    assert rig.said == [MissingNote(1, 62)]
    assert peak(rig.play(BLOCK)) == 0.0  # nothing is there yet
    audio = {n: prerender.note(preset, n, RATE) for n in (60, 62)}
    store = np.concatenate(list(audio.values()))
    rig.instrument.use_store(store)
    sound.samples = {60: loading.Sample(0, audio[60].size)}
    rig.hear(0x90, 62, 100)
    pitched = rig.play(RATE)
    sound.samples = {**sound.samples, 62: loading.Sample(audio[60].size, audio[62].size)}
    assert rig.said.count(MissingNote(1, 62)) == 2
    rig.instrument.silence()
    rig.play(4800)
    rig.hear(0x90, 62, 50)
    exact = rig.play(RATE)
    expected = effects.render(preset, note=62, velocity=50, seconds=1.0, rate=RATE)[0]
    kept = min(RATE, audio[62].size - round(prerender.FADE * RATE))
    assert np.abs(exact - expected)[:kept].max() < 1e-4 * peak(expected)
    assert hz(pitched) == pytest.approx(hz(exact), rel=0.2)
    assert rig.said.count(MissingNote(1, 62)) == 2


def test_an_emptied_slot_rings_out_and_then_is_silent():
    rig = Rig()
    rig.load(1, sine())
    rig.hear(0x90, 60, 100)
    rig.play(BLOCK)
    rig.instrument.put(1, None)
    assert peak(rig.play(BLOCK)) > 0.01
    rig.hear(0x80, 60, 0)
    rig.play(RATE)
    rig.hear(0x90, 60, 100)
    assert peak(rig.play(4800)) == 0.0


def test_any_bytes_are_survived():
    rig = Rig()
    rig.load(1, sine())
    random = np.random.default_rng(1)
    for _ in range(3000):
        rig.hear(*random.integers(0, 256, random.integers(0, 4)).tolist(), wait=5)
        if random.random() < 0.05:
            assert np.isfinite(rig.play(BLOCK)).all()
    assert rig.instrument.faults == 0


def test_many_slots_with_effects_share_the_ways_there_are():
    rig = Rig()
    for slot in range(1, 101):
        rig.load(slot, sine(effects=(Effect(kind="Gain", values={"gain_db": -20.0}),)))
        rig.instrument.press(slot, LINES, 60, 10)
        rig.play(BLOCK)
    assert 0.0 < peak(rig.play(BLOCK)) < 4.0
    assert rig.instrument.sounding <= 64 + 8


@pytest.mark.parametrize("name", ["attack", "decay", "damping"])
def test_macros_change_a_patch_both_ways_and_not_in_the_middle(name):
    instrument = RENDERERS["fm"]
    u = random_patches(instrument, 2, generator=torch.Generator().manual_seed(3))[1]
    preset = Preset(name="x", renderer="fm", renderer_version=1, values=to_values(instrument, u))
    plain = voice_patch.patch(preset.values)
    for place, factor in ((0.0, 1 / 8), (0.5, 1.0), (1.0, 8.0)):
        patch = loading.build(preset, macros.neutral() | {name: place}, None).patch
        if name == "attack":
            assert patch.attack == pytest.approx(plain.attack * factor)
        else:
            heard = plain.mix > 0.0
            factors = np.where(heard, 1.0, 1 / factor) if name == "damping" else factor
            assert patch.decay[:4] == pytest.approx((plain.decay[:8] * factors)[:4])


def test_macros_of_an_impact_stay_in_the_renderers_ranges():
    preset = impact()
    assert macros.struck(preset.values, macros.neutral()) == preset.values
    table = {p.name: p for p in RENDERERS["impact"].params}
    for place in (0.0, 0.3, 1.0):
        places = macros.neutral() | {"decay": place, "brightness": place, "damping": place}
        for name, value in macros.struck(preset.values, places).items():
            assert table[name].low <= value * (1 + 1e-9)
            assert value * (1 - 1e-9) <= table[name].high
    bright = macros.struck(preset.values, macros.neutral() | {"brightness": 0.75})
    inside = [n for n, x in bright.items() if n.endswith("_gain") and 2e-4 < x < 0.9]
    mode = next(n.removesuffix("gain") for n in inside if n.startswith("mode"))
    above = preset.values[mode + "hz"] / 1000.0
    change = bright[mode + "gain"] / preset.values[mode + "gain"]
    assert 20 * math.log10(change) == pytest.approx(20 * math.log10(above), abs=1e-6)


def test_the_store_gives_and_takes_back():
    store = Store(100)
    places = [store.take(30) for _ in range(4)]
    assert places == [0, 30, 60, None]
    store.give(30, 30)
    store.give(0, 30)
    assert store.take(60) == 0
    assert store.take(11) is None
    assert store.take(10) == 90


def test_every_note_is_rendered_once_and_octaves_first():
    order = notes(61)
    assert sorted(order) == list(range(24, 97))
    assert order[:7] == [61, 49, 73, 37, 85, 25, 55]


def test_a_plugin_is_left_out_by_name_and_the_rest_is_heard():
    guest = Effect(kind="VST3", plugin=Plugin(file="Hall.vst3"))
    preset = sine(effects=(guest, Effect(kind="Gain", values={"gain_db": -6.0})))
    assert loading.missing_plugins(preset) == ("Hall.vst3",)
    assert len(loading.effect_board(preset, RATE)) == 1
    assert loading.missing_plugins(sine()) == ()
