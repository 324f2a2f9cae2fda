"""What is handed over: peak, loudness, length, fade, and the tail of a reverb."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bridge.worker.delivery import drift_db, end_of, levelled, softened, steady, timed
from presets import Effect, Preset, ranges
from renderers import effects, fm
from sds.signal.loudness import loudness

RATE = 44100
PEAK = 10 ** (-1 / 20)
REVERB = Effect(kind="Reverb", values={"room_size": 0.6, "wet_level": 0.33, "dry_level": 0.67})


def tone(decay: float, *, chain: tuple[Effect, ...] = (), level: float = 0.1) -> Preset:
    """One operator that decays; by the paper's envelope it is silent after `decay` seconds."""
    values = {p.name: p.low for p in fm.renderer(operators=1).params}
    values |= {"op1_ratio": 1.0, "op1_decay": decay, "op1_mix": 1.0, "level": level}
    return Preset(
        name="tone", renderer="fm", renderer_version=1, values=values, seconds=1.0, effects=chain
    )


@pytest.mark.parametrize(
    "chain",
    [
        (),
        (REVERB,),
        (Effect(kind="Distortion", values={"drive_db": 20.0}),),
        (Effect(kind="Gain", values={"gain_db": -70.0 + 20.0}),),
    ],
)
def test_the_peak_is_at_minus_one_dbfs(chain: tuple[Effect, ...]) -> None:
    preset = levelled(tone(0.3, chain=chain), rate=RATE)
    assert np.abs(effects.render(preset, rate=RATE)).max() == pytest.approx(PEAK, rel=1e-4)
    assert levelled(preset, rate=RATE).values["level"] == pytest.approx(preset.values["level"])


def test_only_what_is_above_minus_one_dbfs_is_made_softer() -> None:
    boost = Effect(kind="Gain", values={"gain_db": 24.0})
    loud = softened(tone(0.3, chain=(boost,), level=0.5), rate=RATE)
    assert np.abs(effects.render(loud, rate=RATE)).max() == pytest.approx(PEAK, rel=1e-4)
    assert softened(tone(0.3), rate=RATE) == tone(0.3)


def test_level_alone_where_it_reaches_and_a_gain_where_not() -> None:
    assert levelled(tone(0.3), rate=RATE).effects == ()
    quiet = tone(0.3).model_copy(update={"values": tone(0.3).values | {"op1_mix": 1e-3}})
    made = levelled(quiet, rate=RATE)
    assert made.values["level"] == 1.0
    assert [effect.kind for effect in made.effects] == ["Gain"]
    assert np.abs(effects.render(made, rate=RATE)).max() == pytest.approx(PEAK, rel=1e-4)


def test_loudness_as_asked_while_the_peak_stays_below() -> None:
    quiet = levelled(tone(1.0), rate=RATE, loudness=-23.0)
    heard = effects.render(quiet, rate=RATE)
    assert loudness(torch.from_numpy(heard), RATE) == pytest.approx(-23.0, abs=0.05)
    loud = levelled(tone(0.3), rate=RATE, loudness=-5.0)
    assert np.abs(effects.render(loud, rate=RATE)).max() == pytest.approx(PEAK, rel=1e-4)


def test_a_decaying_sound_ends_where_it_has_fallen_by_60_db() -> None:
    preset = timed(tone(0.4), rate=RATE)
    # exp(-t / d^2)(1 - t / d) = 1/1000, d = 0.4: t = 0.396 s after the attack of 1 ms
    assert preset.seconds == pytest.approx(0.397, abs=0.005)
    assert preset.held == preset.seconds
    sound = effects.render(preset, rate=RATE)
    assert abs(sound[0, -1]) == 0.0  # faded
    first = np.flatnonzero(np.abs(sound[0]) > 0.01 * np.abs(sound).max())[0]
    assert first / RATE < 0.005


def test_a_sound_cut_off_ends_in_a_fade_of_10_ms() -> None:
    preset = timed(tone(10.0), rate=RATE)
    assert (preset.seconds, preset.held) == (1.0, 1.0)
    sound = effects.render(preset, rate=RATE)
    plain = effects.render(tone(10.0), rate=RATE)
    np.testing.assert_array_equal(sound[:, :-441], plain[:, :-441])
    np.testing.assert_allclose(sound[:, -441:], plain[:, -441:] * np.linspace(1, 0, 441), atol=1e-6)


def test_a_reverb_rings_after_the_sound() -> None:
    dry, wet = timed(tone(0.3), rate=RATE), timed(tone(0.3, chain=(REVERB,)), rate=RATE)
    assert dry.seconds + 0.3 < wet.seconds <= dry.seconds + 3.0
    tail = effects.render(wet, rate=RATE)[:, round(dry.seconds * RATE) :]
    assert 20 * math.log10(np.abs(tail).max() / np.abs(effects.render(wet)).max()) > -50.0


def test_where_a_sound_ends() -> None:
    x = np.zeros((1, RATE), dtype=np.float32)
    assert end_of(x, RATE) == 0.0
    x[0, :4410] = 0.5
    x[0, 22050] = 0.0004  # below
    assert end_of(x, RATE) == pytest.approx(0.1, abs=0.005)


def drifting(cents: float) -> Preset:
    """A carrier at the key, modulated by one beside it: J_1 of the index at their difference."""
    values = {p.name: p.value(0.0) for p in ranges.fm(operators=2, voice="full")}
    values |= {f"op{v}_{knob}": x for v in (1, 2) for knob, x in
               (("ratio", 1.0), ("detune", 0.0), ("sustain", 1.0), ("release", 0.2))}  # fmt: skip
    values |= {"op1_detune": cents, "op2_from_op1": 1.5, "op2_mix": 1.0, "filter_hz": 20000.0}
    values |= {"filter_env": 0.0, "pitch_start": 0.0, "level": 0.5}
    return Preset(
        name="drift", renderer="fm", renderer_version=1, values=values, seconds=2.0, held=1.5
    )


def test_what_fm_leaves_below_20_hz_is_taken_away() -> None:
    # sin(w t + I sin(v t)) has sin((w - v) t) with J_1(I), I = 1.5: a third of the power
    before = drifting(8.0)
    assert drift_db(effects.render(before, rate=RATE), RATE) > -6.0
    after = steady(before, rate=RATE)
    heard = effects.render(after, rate=RATE)
    assert drift_db(heard, RATE) < -40.0
    assert {effect.kind for effect in after.effects} == {"HighpassFilter"}
    spectra = [np.abs(np.fft.rfft(effects.render(p, rate=RATE)[0])) for p in (before, after)]
    key = slice(250 * 2, 275 * 2)  # in steps of 0.5 Hz
    assert 20 * math.log10(spectra[1][key].max() / spectra[0][key].max()) > -0.3
    assert steady(after, rate=RATE) == after


def test_what_has_nothing_below_20_hz_stays() -> None:
    assert steady(tone(1.0), rate=RATE).effects == ()
    t = np.arange(RATE) / RATE
    mixed = np.sin(2 * np.pi * 10 * t) + 10 * np.sin(2 * np.pi * 500 * t)
    assert drift_db(mixed[None].astype(np.float32), RATE) == pytest.approx(-20.04, abs=0.1)
    assert drift_db(np.zeros((1, RATE), np.float32), RATE) == -math.inf
