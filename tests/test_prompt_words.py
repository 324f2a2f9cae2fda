"""What prompts ask for besides the sound, by a table of them; every effect and knob exists."""

from __future__ import annotations

import re

import pytest

from presets import ranges
from presets.prompt_words import EFFECTS, STRUCTURE, TUNED, limits, wishes

KNOBS = {p.name: p for p in (*ranges.fm(voice="full"), *ranges.impact(voice="full"))}


@pytest.mark.parametrize(
    ("prompt", "kinds"),
    [
        ("kick drum, bass, reverb", ["Reverb"]),
        ("snare with long reverb", ["Reverb"]),
        ("lo-fi hip hop kick", ["LowpassFilter", "Bitcrush"]),
        ("distorted bass in a small room", ["Distortion", "Reverb"]),
        ("overdriven guitar with echo", ["Distortion", "Delay"]),
        ("a bell over the telephone", ["Distortion", "HighpassFilter", "LowpassFilter"]),
        ("muffled piano", ["LowpassFilter"]),
        ("synth with chorus and delay in a hall", ["Chorus", "Delay", "Reverb"]),
        ("church bell", []),
        ("dubstep wobble bass", []),
        ("dog bark", []),
    ],
)
def test_effects(prompt: str, kinds: list[str]) -> None:
    chain = wishes(prompt).effects
    assert sorted(effect.kind for effect in chain) == sorted(kinds)
    ranges.check_effects(chain)


@pytest.mark.parametrize(
    ("prompt", "knob", "low", "high"),
    [
        ("slow attack pad", "op1_attack", 0.25, 2.0),
        ("warm analog pad", "op2_sustain", 0.5, 1.0),
        ("staccato strings", "op1_sustain", 0.0, 0.0),
        ("church bell", "op1_sustain", 0.0, 0.0),
        ("bell pad", "op1_sustain", 0.5, 1.0),
        ("short bell", "mode003_decay", 0.01, 0.6),
        ("long metallic tone", "op1_decay", 1.0, 10.0),
        ("fast wobble bass", "lfo_hz", 6.0, 16.0),
        ("slow wobble bass", "lfo_hz", 0.3, 2.0),
        ("dubstep wobble bass", "lfo_to_filter", 1.5, 4.0),
        ("laser zap", "pitch_start", 12.0, 48.0),
        ("footsteps on gravel", "hits", 3.0, 10.0),
        ("rain on a tin roof", "hits", 24.0, 48.0),
    ],
)
def test_structure(prompt: str, knob: str, low: float, high: float) -> None:
    assert limits(wishes(prompt).bounds, knob) == (low, high)


@pytest.mark.parametrize(
    ("prompt", "seconds"),
    [("kick", 2.0), ("short bell", 1.0), ("long pad", 3.0), ("clock tick", 0.5),
     ("snare with long reverb", 2.0), ("church bell", 4.0)],
)  # fmt: skip
def test_length(prompt: str, seconds: float) -> None:
    assert wishes(prompt).seconds == seconds
    assert limits(wishes("snare with long reverb").bounds, "op1_decay") is None


@pytest.mark.parametrize(
    ("prompt", "pitched", "family"),
    [
        ("808 sub bass", True, "harmonic"),
        ("warm analog pad", True, "harmonic"),
        ("church bell", True, "bell"),
        ("steel drum", True, "bell"),
        ("electric piano", True, "harmonic"),
        ("bass drum", False, "harmonic"),
        ("snare with long reverb", False, "harmonic"),
        ("footsteps on gravel", False, "harmonic"),
        ("dog bark", False, "harmonic"),
        ("kick drum, bass, reverb", False, "harmonic"),
        ("hitting pot with wooden spoon", None, "harmonic"),
    ],
)
def test_pitch(prompt: str, pitched: bool | None, family: str) -> None:
    said = wishes(prompt)
    assert (said.pitched, said.family) == (pitched, family)


@pytest.mark.parametrize("words", STRUCTURE)
def test_bounds_are_of_knobs_that_are_there_and_within_them(words: str) -> None:
    for pattern, (low, high) in STRUCTURE[words].items():
        found = [p for name, p in KNOBS.items() if re.fullmatch(pattern, name)]
        assert found, pattern
        assert low <= high
        assert all(p.low <= low and high <= p.high for p in found), pattern


def test_what_is_tuned_is_within_the_ranges_of_the_effects() -> None:
    for kind, knobs in TUNED.items():
        for knob in knobs:
            (param,) = (p for p in ranges.EFFECTS[kind] if p.name == knob.setting)
            assert all(param.low <= value <= param.high for value in knob.values)
            assert all(0.2 <= times <= 2.0 for times in knob.times)
            wet = ("wet_level", "mix")
            assert not knob.times if knob.setting in wet else True  # stays audible
            assert all(value >= 0.2 for value in knob.values if knob.setting in wet)
    for effects in EFFECTS.values():
        for effect in effects:
            assert all(knob.setting in effect.values for knob in TUNED.get(effect.kind, ()))
    for effects in EFFECTS.values():
        ranges.check_effects(effects)


def test_a_bass_is_designed_low_and_a_bass_drum_is_not() -> None:
    assert wishes("808 sub bass").note == wishes("slap bass").note == 36.0
    assert wishes("bass drum").note is None
    assert wishes("glass bell").note is None
