"""Params are inverses, presets round-trip, and nonsense is refused in a sentence."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presets import Effect, Note, Param, Preset, load, save

PARAMS = [
    Param("cutoff", 20.0, 20000.0, "Hz", "log"),
    Param("decay", 0.001, 5.0, "s", "log"),
    Param("mix", -1.0, 1.0),
]


@pytest.mark.parametrize("param", PARAMS, ids=lambda p: p.name)
@given(u=st.floats(0, 1))
def test_value_and_position_are_inverses(param, u):
    value = param.value(u)
    assert param.low - 1e-9 <= value <= param.high * (1 + 1e-12)
    assert param.position(value) == pytest.approx(u, abs=1e-9)


@pytest.mark.parametrize("param", PARAMS, ids=lambda p: p.name)
@pytest.mark.parametrize("u", [0.0, 0.5, 1.0])
def test_slope_is_finite_and_not_zero_at_the_edges(param, u):
    h = 1e-6
    low, high = max(0.0, u - h), min(1.0, u + h)
    slope = (param.value(high) - param.value(low)) / (high - low)
    assert math.isfinite(slope)
    assert slope > 0


@pytest.mark.parametrize(
    ("low", "high", "scale"), [(1, 1, "linear"), (0, 1, "log"), (0, math.inf, "linear")]
)
def test_impossible_ranges_are_refused(low, high, scale):
    with pytest.raises(ValueError, match="x:"):
        Param("x", low, high, "", scale)


def test_note_is_equal_tempered_and_bounded():
    assert Note(60).hz == pytest.approx(261.6255653)
    assert Note(81).hz == pytest.approx(880.0)
    assert Note(60, 100).gain == 1.0
    with pytest.raises(ValueError, match=r"0\.\.127"):
        Note(128)
    with pytest.raises(ValueError, match=r"1\.\.127"):
        Note(60, 0)


def preset():
    return Preset(
        name="Küche 锅",
        renderer="fm",
        renderer_version=1,
        values={"ratio": 1.0 / 3.0, "decay": 0.1},
        effects=(Effect(kind="Reverb", values={"room_size": 0.25}),),
        prompt="hitting pot with wooden spoon",
        seed=7,
    )


def test_save_and_load_are_inverses(tmp_path):
    path = tmp_path / "a sound.json"
    save(preset(), path)
    assert load(path) == preset()
    assert [p.name for p in tmp_path.iterdir()] == ["a sound.json"]


HELD = '{"name":"x","renderer":"fm","renderer_version":1,"values":{},"seconds":2,"held":%s}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json", "not JSON text"),
        ("[]", "not a preset"),
        ('{"format": 99}', "format 99"),
        ('{"name": "x", "renderer": "fm", "renderer_version": 1}', "values"),
        ('{"name": "x", "renderer": "fm", "renderer_version": 1, "values": {"a": NaN}}', "values"),
        ('{"name":"x","renderer":"fm","renderer_version":1,"values":{},"colour":"red"}', "colour"),
        (HELD % "-1", "held: Input should be greater than or equal to 0"),
        (HELD % "2.5", r"held: must be at most the preset's seconds, 2, got 2\.5$"),
        (HELD % '"long"', "held: Input should be a valid number"),
    ],
)
def test_what_is_not_a_preset_is_refused_by_name(tmp_path, text, says):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        load(path)


def test_a_preset_of_another_length_is_held_for_the_same_part():
    pad = preset().model_copy(update={"seconds": 2.0, "held": 1.4})
    for seconds, held in ((4.0, 2.8), (1.0, 0.7), (2.0, 1.4)):
        assert (pad.lasting(seconds).seconds, pad.lasting(seconds).held) == (seconds, held)
    assert preset().lasting(9.0).held is None
