"""The steps that samplers of tracks share."""

import math

import pytest
import torch

from sds.samplers.churned_steps import churned_steps, lowered, raised
from sds.samplers.schedules import karras

SIGMAS = torch.tensor([1.0, 0.5, 0.25, 0.0])


def test_churn_has_a_limit_and_every_level_has_it():
    some = list(churned_steps(SIGMAS, churn=0.3, resamples=1))
    assert [step.hat / step.sigma for step in some] == pytest.approx([1.1] * 3)
    most = list(churned_steps(SIGMAS, churn=40, resamples=1))
    assert [step.hat / step.sigma for step in most] == pytest.approx([math.sqrt(2)] * 3)
    assert [step.after for step in most] == [0.5, 0.25, 0.0]


def test_the_published_schedule_ends_in_an_appended_zero():
    """sigma_i = (a + i / (T - 1) (b - a))^7 for i = 0 .. T - 1, then 0: T steps."""
    steps = list(churned_steps(karras(150, 1e-4, 1.0), churn=0, resamples=2))
    assert len(steps) == 300
    assert (steps[0].sigma, steps[-1].after) == (1.0, 0.0)
    assert steps[-1].sigma == pytest.approx(1e-4)


def test_correctors_go_up_to_the_level_again():
    """The variance of a clean x after churn, a step and the noise of a corrector."""
    first, second, *_ = churned_steps(SIGMAS, churn=0.3, resamples=2)
    assert (first.again, second.again, first.first, second.first) == (True, False, True, False)
    g = torch.Generator().manual_seed(1)
    zero = torch.zeros(200000, dtype=torch.float64)
    assert float(raised(zero, first, g).std()) == pytest.approx(math.sqrt(1.1**2 - 1), rel=0.01)
    up = lowered(zero, zero, first, g)
    assert float(up.std()) == pytest.approx(math.sqrt(1 - 0.25), rel=0.01)
    assert torch.equal(lowered(zero, zero + 1, second, g), zero + 0.5 - 1.1)
