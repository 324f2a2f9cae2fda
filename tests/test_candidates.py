"""Which of the patches of a search are kept: the best that differ."""

import math

import pytest
import torch

from sds.distillation.candidates import Candidates, difference, sketch

RATE = 16000


def tone(hz: float, level: float = 0.5) -> torch.Tensor:
    t = torch.arange(RATE // 2) / RATE
    return level * torch.sin(2 * math.pi * hz * t)[None, None]


def test_the_same_sound_at_another_level_does_not_differ_and_disjoint_ones_do():
    low, soft, high = (sketch(x) for x in (tone(500), tone(500, 0.01), tone(4000)))
    assert float(difference(low, soft)) == pytest.approx(0.0, abs=1e-3)
    assert float(difference(low, high)) > 0.7  # the onsets share some
    assert torch.allclose(difference(low, high), difference(high, low))


def test_difference_is_the_jaccard_distance():
    a, b = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[1.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    assert torch.allclose(difference(a, b), torch.tensor([[3.0 / 5.0, 0.0]]))


def test_of_two_that_sound_alike_the_better_stays():
    found = Candidates(2, torch.zeros(1))
    sounds = torch.cat([tone(500), tone(502), tone(4000)])
    u = torch.tensor([[0.1], [0.2], [0.3]])
    found.offer(u, torch.tensor([0.5, 0.7, 0.1]), sounds, torch.tensor([4, 5, 6]))
    best, scores = found.best()
    assert best[:, 0].tolist() == pytest.approx([0.2, 0.3])
    assert scores.tolist() == pytest.approx([0.7, 0.1])
    assert found.rows.tolist() == [5, 6]
    found.offer(u[:1] + 0.5, torch.tensor([0.9]), sounds[:1], torch.tensor([7]))
    assert found.best()[0][:, 0].tolist() == pytest.approx([0.6, 0.3])


def test_what_came_last_can_be_kept_alone():
    found = Candidates(2, torch.zeros(1))
    found.offer(torch.tensor([[0.1]]), torch.tensor([0.9]), tone(500), torch.tensor([1]))
    u, sounds = torch.tensor([[0.2], [0.3]]), torch.cat([tone(500), tone(501)])
    found.only(u, torch.tensor([0.1, 0.4]), sounds, torch.tensor([2, 3]))
    best, scores = found.best()
    assert best[:, 0].tolist() == pytest.approx([0.3, 0.2])
    assert scores.tolist() == pytest.approx([0.4, 0.1])
    assert found.rows.tolist() == [3, 2]


def test_one_in_reserve_moves_up_when_two_become_one():
    found = Candidates(2, torch.zeros(1), apart=0.3)
    u = torch.arange(3.0)[:, None]
    sounds = torch.cat([tone(500), tone(2000), tone(6000)])
    found.offer(u, torch.tensor([3.0, 2.0, 1.0]), sounds, torch.arange(3))
    assert found.best()[0][:, 0].tolist() == [0.0, 1.0]
    found.offer(
        torch.tensor([[9.0]]), torch.tensor([4.0]), tone(2000) + tone(500), torch.tensor([3])
    )
    assert found.best()[0][0, 0] == 9.0


def test_scores_that_are_not_finite_leave_the_first_patch():
    found = Candidates(3, torch.tensor([0.25]))
    found.offer(torch.ones(1, 1), torch.tensor([math.nan]), tone(500), torch.tensor([1]))
    u, scores = found.best()
    assert u.tolist() == [[0.25]]
    assert scores.tolist() == [-math.inf]


def test_a_count_below_one_is_refused():
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        Candidates(0, torch.zeros(1))
