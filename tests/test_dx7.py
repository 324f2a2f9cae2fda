"""The numbers of a DX7 voice against what Dexed plays, and its messages byte by byte."""

import importlib
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import jv

from presets import Note
from presets.dx7 import (
    ALGORITHMS,
    TOP_INDEX,
    Operator,
    Voice,
    detune_cents,
    feedback_index,
    gain,
    level_db,
    octaves_per_second,
    output,
    ratio,
    scaled_output,
)
from presets.dx7_file import read as read_file
from presets.dx7_sysex import write_bank, write_single
from renderers.engines.dexed import render_voice
from tests.peers import peer

peer("dexed")
dexed = importlib.import_module("dexed")

RATE = 44100
HELD = Operator(output=99)


@pytest.mark.parametrize("number", ALGORITHMS)
def test_algorithms_are_those_of_dexed(number: int) -> None:
    ours = ALGORITHMS[number]
    matrix = np.zeros((6, 6), int)
    for modulator, target in ours.edges:
        matrix[target - 1, modulator - 1] = 1
    assert (matrix == dexed.get_mod_matrix(number - 1)).all()
    assert [c - 1 for c in ours.carriers] == list(dexed.get_carriers(number - 1))
    assert tuple(op - 1 for op in ours.feedback) == tuple(dexed.get_feedback_edge(number - 1))


def one(operator: Operator, *, modulator: Operator | None = None, **common: int) -> Voice:
    return Voice((operator, modulator or Operator(), *(Operator(),) * 4), **common)


def play(voice: Voice, seconds: float = 1.0, note: int = 69) -> np.ndarray:
    return render_voice(voice, Note(note), seconds, RATE)[0].astype(float)


def db(x: np.ndarray) -> float:
    return 10 * math.log10(float(np.mean(x**2)))


@pytest.mark.parametrize("level", [99, 90, 75, 50, 35])
def test_output_levels_are_those_of_dexed(level: int) -> None:
    softer = play(one(replace(HELD, output=level)))
    wanted = 20 * math.log10(gain(level))
    assert db(softer) - db(play(one(HELD))) == pytest.approx(wanted, abs=0.05)
    assert output(gain(level)) == level


@pytest.mark.parametrize("curve", [0, 1, 2, 3])
@pytest.mark.parametrize("note", [24, 50, 60, 69, 100])
def test_keyboard_scaling_is_that_of_dexed(note: int, curve: int) -> None:
    scaling = {"left_depth": 40, "right_depth": 30, "left_curve": curve, "right_curve": curve}
    plain = replace(HELD, output=70)
    scaled = replace(plain, **scaling)
    moved = db(play(one(scaled), note=note)) - db(play(one(plain), note=note))
    wanted = 20 * math.log10(scaled_output(scaled, note) / gain(70))
    assert moved == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("level", [90, 70, 50])
def test_envelope_levels_are_those_of_dexed(level: int) -> None:
    softer = play(one(replace(HELD, levels=(level, level, level, 0))))
    assert db(softer) - db(play(one(HELD))) == pytest.approx(level_db(level), abs=0.05)


@pytest.mark.parametrize("rate", [40, 50, 60])
def test_falls_are_those_of_dexed(rate: int) -> None:
    audio = play(one(replace(HELD, rates=(99, rate, rate, rate), levels=(99, 0, 0, 0))), 4.0)
    wanted = 6.0206 * octaves_per_second(rate)
    first, second = round(0.05 * RATE), round((0.05 + 30 / wanted) * RATE)
    size = 440
    fall = db(audio[first : first + size]) - db(audio[second : second + size])
    assert fall == pytest.approx(30.0, rel=0.02)


@pytest.mark.parametrize("level", [91, 75, 59])
def test_modulation_is_a_bessel_function_of_the_index(level: int) -> None:
    """Carrier w, modulator 5 w: sin(w + I sin 5w) has J0(I) at w and J1(I) at 4 w and 6 w."""
    audio = play(one(HELD, modulator=Operator(output=level, coarse=5)))
    index = TOP_INDEX * gain(level)
    partials = np.abs(np.fft.rfft(audio * np.hanning(audio.size)))
    assert partials[4 * 440] / partials[440] == pytest.approx(
        abs(jv(1, index) / jv(0, index)), rel=0.02
    )


def test_feedback_is_of_the_level() -> None:
    """sin(w + b u), its own feedback, is the sum of 2 J_n(n b) / (n b) sin(n w)."""
    voice = Voice((*(Operator(),) * 5, HELD), algorithm=32, feedback=6)
    spectrum = np.abs(np.fft.rfft(play(voice) * np.hanning(RATE)))
    b = feedback_index(99, 6) / 4.0  # Dexed divides by 4 in this algorithm
    # the engine feeds back the mean of two samples, a little less than b
    assert spectrum[880] / spectrum[440] == pytest.approx(jv(2, 2 * b) / jv(1, b) / 2, rel=0.05)


@pytest.mark.parametrize(("note", "detune"), [(36, 14), (60, 14), (60, 0), (84, 10)])
def test_detune_is_that_of_dexed(note: int, detune: int) -> None:
    def hz(audio: np.ndarray) -> float:
        size = 1 << 20
        spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size), size))
        return float(np.argmax(spectrum)) * RATE / size

    plain, moved = (hz(play(one(replace(HELD, detune=d)), 3.0, note)) for d in (7, detune))
    cents = 1200 * math.log2(moved / plain)
    assert cents == pytest.approx(detune_cents(detune, Note(note).hz), abs=0.6)
    assert ratio(0, 50) == 0.75
    assert ratio(3, 99) == pytest.approx(5.97)


def random_voices() -> list[Voice]:
    g = random.Random(0)

    def some(top: int, count: int = 1) -> tuple[int, ...]:
        return tuple(g.randint(0, top) for _ in range(count))

    def operator() -> Operator:
        tops = (99, 99, 99, 3, 3, 7, 3, 7, 99, 1, 31, 99, 14)
        return Operator(some(99, 4), some(99, 4), *(g.randint(0, top) for top in tops))

    return [
        Voice(
            tuple(operator() for _ in range(6)),
            some(99, 4),
            some(99, 4),
            g.randint(1, 32),
            *(g.randint(0, top) for top in (7, 1, 99, 99, 99, 99, 1, 5, 7, 48)),
            name=f"VOICE {n:02}",
        )
        for n in range(32)
    ]


def test_banks_and_voices_come_back_equal() -> None:
    voices = random_voices()
    bank = write_bank(voices)
    assert len(bank) == 4104
    assert read_file(bank).voices == tuple(voices)
    for voice in voices:
        single = write_single(voice, channel=16)
        assert (len(single), single[2]) == (163, 15)
        assert read_file(single).voices == (voice,)


def test_bytes_are_those_of_dexed() -> None:
    voices = random_voices()
    bank = write_bank(voices)
    for n, voice in enumerate(voices):
        theirs = dexed.Patch.from_packed(bank[6 + 128 * n : 134 + 128 * n])
        assert theirs.to_sysex()[:155] == write_single(voice)[6:-2]


def changed(data: bytes, place: int, byte: int) -> bytes:
    return data[:place] + bytes((byte,)) + data[place + 1 :]


SINGLE = write_single(Voice())


def test_numbers_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"byte 121 of a DX7 voice must be in 0\.\.99, got 100"):
        write_single(one(replace(HELD, output=100)))
    with pytest.raises(ValueError, match="32 voices, got 1"):
        write_bank([Voice()])
    with pytest.raises(ValueError, match=r"1\.\.16, got 17"):
        write_single(Voice(), channel=17)
    body = changed(SINGLE, 6, 120)  # as old banks have: read as 99
    body = changed(body, 161, -sum(body[6:-2]) & 0x7F)
    assert read_file(body).voices[0].operators[5].rates[0] == 99
