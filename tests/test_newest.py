"""What is kept of the newest patch: the same bits, whichever knob was turned."""

from __future__ import annotations

import pytest
import torch

from presets import Note, load
from presets.library import FACTORY
from renderers.newest import newest
from renderers.table import for_preset, from_values


def test_only_the_same_arguments_of_one_patch_without_gradients_are_answered_from_before() -> None:
    asked = []

    @newest
    def double(values: torch.Tensor, times: int) -> torch.Tensor:
        asked.append(times)
        return 2 * values * times

    one, two = torch.ones(1, 3), torch.ones(2, 3)
    with torch.inference_mode():
        assert double(one, 1) is double(one.clone(), 1)
        assert len(asked) == 1
        double(one + 1, 1)
        double(one + 1, 2)
        double(one.double() + 1, 2)
        assert len(asked) == 4
        double(two, 1)
        double(two, 1)
        assert len(asked) == 6
    double(one, 1)
    assert len(asked) == 7


@pytest.mark.parametrize("knob", ["mode001_hz", "band01_gain", "burst_level", "hits", "level"])
def test_a_turned_knob_sounds_as_if_rendered_from_nothing(knob: str) -> None:
    preset = load(FACTORY / "footsteps.json")
    renderer = for_preset(preset)
    values = dict(preset.values)
    for share in (1.0, 0.9):
        values[knob] = preset.values[knob] * share
        u = from_values(renderer, values)[None]
        with torch.inference_mode():
            kept = renderer.render(u, Note(60), 22050, 5000)
        assert torch.equal(kept, renderer.render(u, Note(60), 22050, 5000))
