"""What every value of a preset may be: one check for rendering, exporting and playing."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from presets import Effect, Preset, ranges
from presets.dx7 import ALGORITHMS
from renderers import effects, fm, for_preset, impact
from renderers.source import RenderedSource

ROOT = Path(__file__).parents[1]
MIDDLE = {p.name: p.value(0.5) for p in ranges.fm(operators=2)}


def preset(**changes):
    given = {"name": "x", "renderer": "fm", "renderer_version": 1, "values": MIDDLE}
    return Preset(**given | changes)


def without_checks(**changes):
    """As code of ours may make one: pydantic looks at files only."""
    return preset().model_copy(update=changes)


def test_the_tables_are_those_of_the_renderers():
    for matrix in ranges.MATRICES:
        table = ranges.fm(matrix=matrix)
        assert fm.renderer(matrix=matrix).params == table
        names = frozenset(p.name for p in table)
        # 4 and 6 are told apart by their loop alone, which is self-feedback here
        same = {"dx7:4": "dx7:3", "dx7:6": "dx7:5"}.get(matrix, matrix)
        assert ranges.fm_of(names) == ranges.fm(matrix=same)
    assert len(ranges.MATRICES) == 2 + len(ALGORITHMS)
    table = ranges.impact(modes=7, bands=3)
    assert impact.renderer(modes=7, bands=3).params == table
    assert ranges.impact_of(frozenset(p.name for p in table)) == table


REFUSED = [
    ({"values": MIDDLE | {"op1_mix": 1e50}}, r"op1_mix must be in 0\.\.1, got 1e\+50"),
    ({"values": MIDDLE | {"level": math.nan}}, r"level must be in 0\.01\.\.1 x, got nan"),
    ({"values": MIDDLE | {"op2_decay": math.inf}}, r"op2_decay must be in 0\.02\.\.10 s, got inf"),
    ({"values": MIDDLE | {"op2_decay": -math.inf}}, r"op2_decay must be in .* got -inf"),
    ({"values": {}}, "an fm preset has op1_ratio up to op8_ratio, got 0 operators"),
    ({"renderer": "harp"}, "unknown renderer 'harp'; allowed are fm, impact"),
    ({"renderer_version": 2}, "is for fm version 2; this build plays version 1"),
    (
        {"effects": (Effect(kind="Reverb", values={"room_size": 2.0}),)},
        r"Reverb room_size must be in range 0\.\.1, got 2",
    ),
    ({"effects": (Effect(kind="Gain"),) * 17}, "at most 16 effects, got 17"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_the_same_is_refused_by_the_check_the_sound_and_the_export(changes, words):
    wrong = without_checks(**changes)
    for door in (ranges.check, effects.render, RenderedSource):
        with pytest.raises(ValueError, match=words):
            door(wrong)


FULL = {
    "fm": {p.name: p.value(0.5) for p in ranges.fm(operators=3, voice="full")},
    "impact": {p.name: p.value(0.5) for p in ranges.impact(modes=3, bands=2, voice="full")},
}


@pytest.mark.parametrize(
    ("renderer", "name"), [(renderer, name) for renderer in FULL for name in FULL[renderer]]
)
def test_what_is_missing_is_named(renderer, name):
    values = {other: value for other, value in FULL[renderer].items() if other != name}
    with pytest.raises(ValueError, match=f"{renderer} needs a value '{name}' in "):
        ranges.check(preset(renderer=renderer, values=values))


def test_a_value_that_was_a_float32_once_is_in_range():
    top = {p.name: p.high * (1.0 + 1e-7) for p in ranges.fm(operators=2)}
    ranges.check(preset(values=top))
    for_preset(preset(values=top))


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf, 1e9])
def test_seconds_that_no_sound_lasts_are_refused(seconds):
    with pytest.raises(ValueError, match="seconds must be above 0 and at most 120, got"):
        effects.render(preset(), seconds=seconds)


def test_the_check_needs_no_array_library():
    program = "import presets.ranges, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.split() == ["False", "False"]
