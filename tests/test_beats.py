"""Where the beats are: phases of known positions, and of songs' windows."""

import math

import numpy as np
import pytest
import torch

from sds.priors.beats import beat_maps, steady
from sds.train.stem_data import Grid


def test_a_quarter_of_a_beat_is_a_quarter_of_a_turn():
    found = beat_maps(torch.tensor([0.0, 0.25, 1.0, 2.0]), 4)
    expected = torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0], [1, math.cos(math.pi / 8), 0, -1],
                             [0, math.sin(math.pi / 8), 1, 0]])  # fmt: skip
    assert torch.allclose(found, expected.float(), atol=1e-6)


def test_without_bars_only_beats_are_said():
    assert torch.equal(beat_maps(torch.tensor([0.3, 5.0]), None)[2:], torch.zeros(2, 2))


def test_two_beats_a_second_turn_twice_a_second():
    found = steady(101, 0.01, 120.0)
    assert torch.allclose(found[0, ::50], torch.ones(3), atol=1e-5)
    assert torch.allclose(found[0, 25::50], -torch.ones(2), atol=1e-5)
    assert float(found[2, 100]) == pytest.approx(-1.0)  # half a bar


def test_a_window_s_grid_goes_on_at_both_ends():
    grid = Grid(np.array([0.5, 1.0, 2.0]), 4)
    at = np.array([0.0, 0.5, 0.75, 1.5, 2.0, 3.0])
    assert grid.position(at) == pytest.approx([-1.0, 0.0, 0.5, 1.5, 2.0, 3.0])
