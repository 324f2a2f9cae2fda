"""Who gets which component: a network that knows the truth, one that is not there, candidates."""

from dataclasses import replace

import pytest
import torch

from sds import assign
from sds.masks import BEST, DEFAULT, FAST, masked_stems
from sds.metrics import sdr
from sds.prior import GaussianPrior
from sds.spectral import stft

RATE = 11025
TIME = torch.arange(2 * RATE) / RATE
LOW = 0.2 * torch.sin(2 * torch.pi * 300 * TIME)[None] * (torch.sin(2 * torch.pi * 3 * TIME) > 0)
HIGH = 0.2 * torch.sin(2 * torch.pi * 2500 * TIME)[None] * (torch.sin(2 * torch.pi * 5 * TIME) > 0)
SOURCES = torch.stack([LOW, HIGH])
PROMPTS = ("low", "high")
STDS = dict.fromkeys(("", *PROMPTS), 0.3)  # a prior that can tell nothing apart
P = GaussianPrior(dict.fromkeys(STDS, 0.0), STDS, sample_rate=RATE, hop=128, max_seconds=2.0)


class Knowing:
    """Shares of the true powers."""

    def shares(self, mid, rate, prompts):
        powers = stft(SOURCES, 2048).abs().square().mean(1) + 1e-9
        known = powers / powers.sum(0)
        return torch.stack([known[PROMPTS.index(name)] / prompts.count(name) for name in prompts])


@pytest.fixture(params=[Knowing(), None], ids=["network", "no network"])
def network(request, monkeypatch):
    monkeypatch.setattr(assign, "query", lambda: request.param)
    return request.param


def run(method, prompts=PROMPTS, seed=0):
    g = torch.Generator().manual_seed(seed)
    method = replace(method, components=8, factor_steps=30, looks=min(method.looks, 1))
    return list(masked_stems(P, prompts, LOW + HIGH, RATE, method=method, generator=g))


def test_components_follow_the_network(monkeypatch):
    monkeypatch.setattr(assign, "query", Knowing)
    for method in (FAST, replace(DEFAULT, listen=0)):
        for stem, truth in zip(run(method)[-1].stems, SOURCES, strict=True):
            assert float(sdr(stem, truth)) > 12


def test_a_lone_prompt_leaves_the_network_s_rest_to_the_residual(monkeypatch):
    monkeypatch.setattr(assign, "query", Knowing)
    stem = run(FAST, ("low",))[-1].stems[0]
    assert float(sdr(stem, LOW)) > 12
    assert float(sdr(LOW + HIGH - stem, HIGH)) > 12


@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize("method", [FAST, DEFAULT], ids=["fast", "default"])
def test_any_number_of_prompts_with_and_without_a_network(method, count, network):
    names = tuple(PROMPTS[k % 2] for k in range(count))
    method = replace(method, listen=min(method.listen, 3), draws=1, rounds=2)
    stems = run(method, names)[-1].stems
    assert stems.shape == (count, 1, 2 * RATE)
    assert bool(stems.isfinite().all())
    power = stems.sum(0).square().sum() / (LOW + HIGH).square().sum()
    assert float(power) == pytest.approx(1.0, abs=0.01) or count == 1


def test_candidates_are_ranked_by_the_ear_and_the_clearest_kept(monkeypatch):
    monkeypatch.setattr(assign, "query", Knowing)
    method = replace(BEST, candidates=3, listen=0)
    scores = iter([0.1, 0.9, 0.5])
    monkeypatch.setattr(assign, "clarity", lambda *_: next(scores))
    kept = run(replace(method, kept=1))[-1].stems
    monkeypatch.setattr(assign, "clarity", lambda *_: 0.0)
    mean = run(method)[-1].stems
    assert not torch.equal(kept, mean)
    # one candidate and three draw the same first: the second is what a run of two would add
    two = replace(method, candidates=2, kept=1)
    scores = iter([0.1, 0.9])
    monkeypatch.setattr(assign, "clarity", lambda *_: next(scores))
    assert torch.equal(run(two)[-1].stems, kept)
