"""What a prior prefers, on Gaussians, where the likelihoods are known."""

import pytest
import torch

from sds.distillation.preference import PEAK, Preference
from sds.priors.gaussian import GaussianPrior

HOP, FRAMES = 32, 16


def shape(*places: int) -> torch.Tensor:
    level = torch.zeros(HOP)
    level[list(places)] = 1.0
    return level


P = GaussianPrior(
    {"": 0.0, "low": shape(3), "high": shape(20)}, dict.fromkeys(("", "low", "high"), 0.3), hop=HOP
)


def sound(place: int) -> torch.Tensor:
    audio = P.decode(shape(place)[None, :, None].expand(-1, -1, FRAMES))
    return audio * (PEAK / audio.abs().max())


def prefer(prompt: str, *, seed: int = 0) -> Preference:
    noise = torch.randn(HOP, FRAMES, generator=torch.Generator().manual_seed(seed))
    return Preference(P, P.embed([prompt], 1.0), P.embed([""], 1.0), noise)


@pytest.mark.parametrize(("prompt", "place"), [("low", 3), ("high", 20)])
def test_the_prompt_that_fits_is_preferred(prompt, place):
    both = torch.cat([sound(3), sound(20)])
    liked = prefer(prompt)(both)
    right = [3, 20].index(place)
    assert float(liked[right]) > 0 > float(liked[1 - right])


def test_it_is_the_ratio_of_the_two_errors():
    """D = (s^2 x + sigma^2 m) / (s^2 + sigma^2): its error is known for known noise."""
    z = P.encode(sound(3))
    noise = torch.randn(HOP, FRAMES, generator=torch.Generator().manual_seed(0))
    expected = []
    for t in (0.3, 0.7):
        sigma = torch.tan(torch.tensor(t * torch.pi / 2))
        errors = [
            ((0.09 * (z + sigma * noise) + sigma**2 * m) / (0.09 + sigma**2) - z).square().mean()
            for m in (shape(3)[:, None], torch.zeros(HOP, 1))
        ]
        expected.append((errors[1] / errors[0]).log())
    found = Preference(P, P.embed(["low"], 1.0), P.embed([""], 1.0), noise, (0.3, 0.7))(sound(3))
    assert float(found) == pytest.approx(float(sum(expected) / 2), rel=1e-4)


def test_level_and_batch_do_not_matter():
    liked = prefer("low")
    both = torch.cat([sound(3), 0.01 * sound(3)] * 9)
    values = liked(both)
    assert torch.allclose(values, liked(sound(3)).expand(18), atol=1e-3)


def test_without_words_nothing_is_preferred():
    assert float(prefer("")(sound(3))) == pytest.approx(0.0, abs=1e-6)
