"""The suite of playable presets on tones that are in tune, late, loud or cut off."""

import math

import pytest
import torch

from bridge.worker.playables import pitch_of, playables
from presets import Preset
from sds.scoreboard import playable
from sds.scoreboard.board import Playable, Row

RATE = 44100


def tone(note, *, ratio=1.0, peak=10 ** (-1 / 20), late=0.0, decay=8.0, seconds=1.0):
    hz = 440.0 * 2 ** ((note - 69) / 12)
    t = torch.arange(round(seconds * RATE)) / RATE
    x = torch.sin(2 * math.pi * hz * t) + 0.5 * torch.sin(2 * math.pi * 2 * ratio * hz * t)
    x = x * torch.exp(-decay * t)
    x = torch.cat([torch.zeros(round(late * RATE)), x * peak / x.abs().max()])
    return x[None]


def figures(play, pitch="harmonic"):
    class Setting:
        class prior:
            sample_rate = RATE

        playables = (Playable("x", "factory", 60.0, pitch, play),)
        items = None

    (task,) = playable.suite(Setting())
    return list(task.run())[-1]


def test_a_tone_that_follows_the_keys_is_ready_and_in_tune():
    found = figures(lambda note: tone(note))
    assert found["in_tune_worst"] > 0.99
    assert found["strike_yin"] == 1.0
    assert found["peak"] == pytest.approx(-1.0, abs=1e-4)
    assert found["end"] == pytest.approx(-20 * 8 * math.log10(math.e), abs=8)
    assert found["ready"] == 1.0
    assert playable.in_tune(found)


def test_a_partial_beside_the_harmonics_is_not():
    """Half the amplitude of the other: a fifth of the energy."""
    found = figures(lambda note: tone(note, ratio=1.1))
    assert found["in_tune"] == pytest.approx(0.8, abs=0.02)
    assert not playable.in_tune(found)


def test_a_tone_that_stays_on_one_key_is_out_of_tune_on_the_others():
    found = figures(lambda note: tone(60.0), "bell")
    assert "in_tune" not in found
    assert found["strike_yin"] == 0.25
    assert not playable.in_tune(found)


@pytest.mark.parametrize(
    "wrong", [{"peak": 0.5}, {"late": 0.02}, {"decay": 0.1}], ids=["soft", "late", "cut off"]
)
def test_what_is_not_ready(wrong):
    found = figures(lambda note: tone(note, **wrong), "")
    assert found["ready"] == 0.0
    assert "strike_yin" not in found
    assert found["start"] == pytest.approx(1000 * wrong.get("late", 0.0), abs=1)


def test_silence_is_not_ready():
    assert figures(lambda note: torch.zeros(1, RATE), "") == {"ready": 0.0}


def test_findings_count():
    rows = [
        Row("playable", "a", "factory", {"ready": 1.0, "in_tune_worst": 0.95, "strike_yin": 1.0}),
        Row("playable", "b", "factory", {"ready": 0.0, "strike_yin": 0.75}),
        Row("playable", "c", "factory", {"ready": 1.0}),
    ]
    assert playable.findings(rows) == [
        "factory: 1 of 2 pitched presets in tune on all keys, 2 of 3 ready"
    ]


def test_factory_presets_are_played(tmp_path):
    found = list(playables(tmp_path, RATE))
    assert {sound.group for sound in found} == {"factory"}
    sound = next(sound for sound in found if sound.pitch == "harmonic")
    assert float(sound.play(60.0).abs().max()) > 0
    assert sound.play(60.0).shape[-1] >= 0.05 * RATE


@pytest.mark.parametrize(
    ("tags", "pitch"),
    [(("bells", "factory"), "bell"), (("keys",), "harmonic"), (("drums",), ""), ((), "harmonic")],
)
def test_tags_say_what_follows_the_keys(tags, pitch):
    preset = Preset(name="x", renderer="fm", renderer_version=1, values={}, tags=tags)
    assert pitch_of(preset) == pitch
