"""The loop of trainings on a problem with a known answer, and resumed."""

import argparse
import math

import pytest
import torch
from torch import nn

from sds.priors.checkpoints import read_tensors
from sds.train import loop

TARGET = torch.tensor([[1.0, -2.0]])


def options(out, *given):
    parser = argparse.ArgumentParser()
    parser.set_defaults(out=out)
    loop.add_options(parser, rate=0.05, ema=0.9, check=50, warm=10)
    return parser.parse_args(given)


def trained(out, *given):
    """A linear map after its run, and the steps that it took."""
    torch.manual_seed(0)
    net, steps = nn.Linear(2, 1, bias=False), []
    run = loop.Run(net, options(out, *given), weight_decay=0.0)

    def lowered(step):
        steps.append(step)
        error = (net.weight - TARGET).square().sum()
        return error, [error]

    def check(mean):
        return float((mean.weight - TARGET).square().sum()), "of two"

    run.until_done(lowered, check)
    return run, steps


def test_it_ends_at_the_answer_and_keeps_the_average_that_was_nearest(tmp_path):
    run, steps = trained(tmp_path, "--steps", "300")
    assert steps == list(range(300))
    assert torch.allclose(run.net.weight, TARGET, atol=1e-2)
    assert loop.least(tmp_path / loop.BEST) == run.best < 1e-3
    kept = read_tensors(tmp_path / loop.BEST)["weight"]
    assert kept.dtype == torch.float16
    assert float((kept.float() - TARGET).square().sum()) == pytest.approx(run.best, abs=1e-3)


def test_it_goes_on_where_it_stopped(tmp_path):
    first, _ = trained(tmp_path, "--steps", "100")
    again, steps = trained(tmp_path, "--steps", "150")
    assert steps == list(range(100, 150))
    assert again.best <= first.best
    assert trained(tmp_path, "--steps", "150")[1] == []


def test_no_minutes_are_no_steps(tmp_path):
    run, steps = trained(tmp_path, "--minutes", "0")
    assert steps == []
    assert run.best == math.inf


def test_the_rate_rises_falls_and_warms_up_again_after_a_break(tmp_path):
    run = loop.Run(nn.Linear(2, 1), options(tmp_path))
    rates = []
    for along, since in ((0.0, 0), (0.0, 9), (0.5, 500), (1.0, 900), (0.5, 0)):
        run._set_rate(along, since)
        rates.append(run.optimizer.param_groups[0]["lr"] / 0.05)
    assert rates == pytest.approx([0.1, 1.0, 0.51, 0.02, 0.051], abs=1e-3)
