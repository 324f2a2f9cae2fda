"""What is handed over: peak, loudness, length, fade, and the tail of a reverb."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bridge.worker.delivery import end_of, levelled, softened, timed
from presets import Effect, Preset
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
