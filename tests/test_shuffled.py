"""The control: a prior that has unlearned everything."""

import pytest
import torch

from sds.priors.gaussian import GaussianPrior
from sds.priors.loading import load_prior
from sds.priors.shuffled import shuffled


def test_the_network_has_the_same_numbers_in_other_places_and_the_codec_is_as_it_was():
    prior = load_prior("default", device="cpu")
    other = shuffled(prior)
    assert other.name == "default, shuffled"
    moved = 0
    for one, two in zip(prior.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(one.flatten().sort().values, two.flatten().sort().values)
        moved += int((one != two).sum())
    assert moved > 0.9 * sum(p.numel() for p in prior.network.parameters())
    audio = torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prior.encode(audio), other.encode(audio))
    both = prior.embed(["dog"], 1.0), other.embed(["dog"], 1.0)
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])
    z, sigma = prior.encode(audio), torch.tensor([0.5])
    assert not torch.allclose(prior.denoise(z, sigma, both[0]), other.denoise(z, sigma, both[0]))
    again = shuffled(prior)
    assert torch.equal(again.denoise(z, sigma, both[0]), other.denoise(z, sigma, both[0]))


def test_a_prior_without_a_network_is_refused():
    with pytest.raises(ValueError, match="must have a network to shuffle"):
        shuffled(GaussianPrior({"": 0.0}, {"": 1.0}))
