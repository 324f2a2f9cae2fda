"""Who gets which component: a network that knows the truth, one that is not there, candidates."""

from dataclasses import replace

import pytest
import torch

from sds.metrics.separation import sdr
from sds.priors.gaussian import GaussianPrior
from sds.separation import component_assignment
from sds.separation.mask_settings import BEST, DEFAULT, FAST
from sds.separation.networks import Networks, load_networks
from sds.separation.nmf import nmf, nmf_steps
from sds.separation.separate import METHODS, Separation, asks_prior, network_hashes, plan
from sds.separation.time_frequency_masks import masked_stems
from sds.signal.spectrogram import stft

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

    model_hash = "knows"

    def windows(self, samples, rate):
        return [(0, samples)]

    def shares_by_window(self, mid, rate, prompts):
        yield torch.zeros(0)
        powers = stft(SOURCES, 2048).abs().square().mean(1) + 1e-9
        known = powers / powers.sum(0)
        asked = [known[PROMPTS.index(name)] / prompts.count(name) for name in prompts]
        unasked = [known[i] for i, name in enumerate(PROMPTS) if name not in prompts]
        yield torch.stack([*asked, sum(unasked, torch.zeros_like(known[0]))])


@pytest.fixture(params=[Knowing(), None], ids=["network", "no network"])
def networks(request, scorer):
    return Networks(request.param, scorer)


@pytest.fixture(scope="module")
def scorer():
    return load_networks().search_scorer


@pytest.fixture
def knowing(scorer):
    return Networks(Knowing(), scorer)


def run(method, networks, prompts=PROMPTS, seed=0):
    g = torch.Generator().manual_seed(seed)
    method = replace(method, components=8, factor_steps=30, estimates=min(method.estimates, 1))
    return list(
        masked_stems(P, prompts, LOW + HIGH, RATE, method=method, generator=g, networks=networks)
    )


def test_components_follow_the_network(knowing):
    for method in (FAST, replace(DEFAULT, listen=0)):
        for stem, truth in zip(run(method, knowing)[-1].stems, SOURCES, strict=True):
            assert float(sdr(stem, truth)) > 12


def test_a_lone_prompt_leaves_the_network_s_rest_to_the_residual(knowing):
    stem = run(FAST, knowing, ("low",))[-1].stems[0]
    assert float(sdr(stem, LOW)) > 12
    assert float(sdr(LOW + HIGH - stem, HIGH)) > 12


def test_a_lone_prompt_asks_the_prior_against_the_prior_without_a_prompt(scorer):
    """The network gives each half: who tells low from high is the prior."""

    class Unsure(Knowing):
        def shares_by_window(self, mid, rate, prompts):
            *_, known = super().shares_by_window(mid, rate, prompts)
            yield torch.full_like(known, 0.5)

    stds = {"": torch.full((128,), 0.3), "low": torch.full((128,), 0.03)}
    stds["low"][:20] = 0.3
    prior = GaussianPrior(
        dict.fromkeys(stds, 0.0), stds, sample_rate=RATE, hop=128, max_seconds=2.0
    )
    found = {}
    for weight in (0.0, 0.5, 2.0):
        method = replace(DEFAULT, components=8, factor_steps=30, lone=weight)
        assert asks_prior(method, 1, Networks(Unsure())) == (weight > 0)
        *_, last = masked_stems(
            prior, ("low",), LOW + HIGH, RATE, method=method,
            generator=torch.Generator().manual_seed(0), networks=Networks(Unsure(), scorer),
        )  # fmt: skip
        found[weight] = float(sdr(last.stems[0], LOW))
    assert found[0.0] == pytest.approx(3.0, abs=0.1)  # half of everything
    assert found[2.0] > found[0.5] > found[0.0] + 2


@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize("method", [FAST, DEFAULT], ids=["fast", "default"])
def test_any_number_of_prompts_with_and_without_a_network(method, count, networks):
    names = tuple(PROMPTS[k % 2] for k in range(count))
    method = replace(method, listen=min(method.listen, 3), draws=1, rounds=2)
    stems = run(method, networks, names)[-1].stems
    assert stems.shape == (count, 1, 2 * RATE)
    assert bool(stems.isfinite().all())
    power = stems.sum(0).square().sum() / (LOW + HIGH).square().sum()
    assert float(power) == pytest.approx(1.0, abs=0.01) or count == 1


def test_candidates_are_ranked_by_the_scorer_and_the_clearest_kept(monkeypatch, knowing):
    method = replace(BEST, candidates=3, listen=0)
    scores = iter([0.1, 0.9, 0.5])
    monkeypatch.setattr(component_assignment, "contrastive_score", lambda *_: next(scores))
    kept = run(replace(method, kept=1), knowing)[-1].stems
    monkeypatch.setattr(component_assignment, "contrastive_score", lambda *_: 0.0)
    mean = run(method, knowing)[-1].stems
    assert not torch.equal(kept, mean)
    # one candidate and three draw the same first: the second is what a run of two would add
    two = replace(method, candidates=2, kept=1)
    scores = iter([0.1, 0.9])
    monkeypatch.setattr(component_assignment, "contrastive_score", lambda *_: next(scores))
    assert torch.equal(run(two, knowing)[-1].stems, kept)


@pytest.mark.parametrize("method", [FAST, DEFAULT, BEST], ids=["fast", "default", "best"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_work_comes_in_small_pieces_that_are_counted(method, count, networks):
    """A cancel waits for one piece; the share done rises to 1 and no further."""
    if count == 1 and networks.query is None:
        method = replace(method, draws=1, rounds=2)
    names = tuple(PROMPTS[k % 2] for k in range(count))
    parts = run(replace(method, listen=min(method.listen, 2)), networks, names)
    fractions = [part.fraction for part in parts]
    assert fractions == pytest.approx([(i + 1) / len(parts) for i in range(len(parts))])
    assert all(part.stems is None for part in parts[:-1])


def test_a_factorisation_comes_ten_updates_at_a_time():
    v = torch.rand(40, 30, generator=torch.Generator().manual_seed(0))
    found = [*nmf_steps(v, 4, steps=25, generator=torch.Generator().manual_seed(1))]
    assert len(found) == 4  # at the start, after 10 and 20 updates, at the end
    whole = nmf(v, 4, steps=25, generator=torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(found[-1], whole, strict=True))


def test_networks_are_named_with_their_hashes(networks):
    query = {"query_network": "knows"} if networks.query else {}
    assert network_hashes(FAST, 2, networks) == query
    both = query | {"search_scorer": networks.search_scorer.model_hash}
    assert network_hashes(DEFAULT, 2, networks) == both
    assert network_hashes(DEFAULT, 1, networks) == query  # the scorer tells prompts apart
    for method in ("masks", "paper"):
        assert network_hashes(METHODS[method], 2, networks) == {}


def test_a_lone_prompt_takes_long_windows_where_a_network_answers(networks):
    long = networks.query is not None
    asked = Separation(P, ("low",), RATE, FAST, seed=0, networks=networks)
    assert len(plan(asked, 20 * RATE).windows) == (2 if long else 15)
    assert len(plan(replace(asked, prompts=PROMPTS), 20 * RATE).windows) == 2
