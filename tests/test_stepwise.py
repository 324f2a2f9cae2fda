"""A sampler in steps: the numbers of the whole, errors of either side, no thread left."""

import threading

import pytest
import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser
from sds.samplers.exponential import tab3
from sds.samplers.ode import euler
from sds.samplers.schedules import karras
from sds.samplers.stepwise import stepwise

SIGMAS = karras(8, 0.01, 10.0)


def shrink(x: Tensor, sigma: Tensor) -> Tensor:
    """D of N(0, 1): x / (1 + sigma^2)."""
    return x / (1 + sigma**2)[:, None, None]


def start() -> Tensor:
    return 10 * torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))


def test_the_yielded_estimates_are_those_of_the_levels() -> None:
    x, seen = start(), []
    pieces = stepwise(euler, shrink, x, SIGMAS)
    for step, d in pieces:
        seen.append((step, d))
    assert [step for step, _ in seen] == list(range(1, 9))
    for k in range(8):  # Euler has no memory: what it was before step k is a shorter schedule
        before = euler(shrink, x, SIGMAS[: k + 1])
        torch.testing.assert_close(seen[k][1], shrink(before, SIGMAS[k].expand(2)))


def test_gradients_are_off_inside_and_as_they_were_outside() -> None:
    x = start().requires_grad_()
    pieces = stepwise(tab3, shrink, x, SIGMAS)
    _, d = next(pieces)
    assert not d.requires_grad
    assert torch.is_grad_enabled()
    pieces.close()


def test_an_error_of_the_solver_is_raised_to_the_caller() -> None:
    def broken(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
        denoise(x, sigmas[:1].expand(len(x)))
        raise ValueError("broken")

    before = threading.active_count()
    with pytest.raises(ValueError, match="broken"):
        list(stepwise(broken, shrink, start(), SIGMAS))
    assert threading.active_count() == before


def test_an_error_of_the_denoiser_ends_the_solver() -> None:
    def broken(x: Tensor, sigma: Tensor) -> Tensor:
        raise RuntimeError("broken")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="broken"):
        next(stepwise(tab3, broken, start(), SIGMAS))
    assert threading.active_count() == before
