"""Half precision on the CPU: what autocast does, without converting at each call."""

import copy
import logging

import pytest
import torch

from sds.priors.base import classifier_free_guidance
from sds.priors.blank_modules import settle_weight_norms
from sds.priors.half_precision import in_precision
from sds.priors.stable_audio import StableAudioPrior
from tests.tiny_stable_audio import config, noise, random_model, small_config


@pytest.fixture(scope="module", params=[config, small_config])
def tiny(request):
    settings = request.param()
    model = random_model(settings).requires_grad_(False)
    settle_weight_norms(model)  # else it has no copy
    return settings, model


def prior(tiny, precision=torch.float32):
    settings, model = tiny
    return StableAudioPrior(copy.deepcopy(model), settings, name="tiny", precision=precision)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halved_weights_answer_as_autocast_does_bit_for_bit(tiny, dtype):
    half, full = prior(tiny, dtype), prior(tiny)
    x, sigma, cond = noise(3, 8, 24), torch.tensor([0.1, 1.0, 90.0]), full.embed(["bell"], 1.0)
    full.network.model.timestep_features.forward = half.network.model.timestep_features.forward
    full.precision = dtype
    with torch.no_grad():
        torch.testing.assert_close(
            half.denoise(x, sigma, cond), full.denoise(x, sigma, cond), rtol=0, atol=0
        )


def test_matrices_take_half_the_memory_and_all_else_is_float32(tiny):
    half = prior(tiny, torch.float16)
    for part in half.network.modules():
        wanted = isinstance(part, torch.nn.Linear | torch.nn.Conv1d)
        for weight in part.parameters(recurse=False):
            assert weight.dtype == (torch.float16 if wanted else torch.float32)
    assert all(weight.dtype == torch.float32 for weight in half.codec.parameters())

    def size(network):
        return sum(weight.numel() * weight.element_size() for weight in network.parameters())

    assert size(half.network) < 0.51 * size(prior(tiny).network)


def test_at_the_guidance_of_the_paper_float16_is_nearer_than_bfloat16(tiny):
    """Guidance 60 multiplies the rounding: 11 bits against 8, about 8 times."""
    x, sigma = noise(4, 8, 24), torch.tensor([0.2, 1.0, 5.0, 20.0])

    def error(dtype):
        d = []
        for one in (prior(tiny), prior(tiny, dtype)):
            cond, uncond = one.embed(["bell"], 1.0), one.embed([""], 1.0)
            with torch.no_grad():
                d.append(classifier_free_guidance(one, cond, uncond, 60.0)(x, sigma))
        return float((d[1] - d[0]).norm() / d[0].norm())

    assert 4 * error(torch.float16) < error(torch.bfloat16)
    assert error(torch.float16) < 0.02


def test_answers_beyond_the_range_are_given_in_float32_from_then_on(tiny, caplog):
    settings, model = tiny
    loud = copy.deepcopy(model)
    with torch.no_grad():
        loud.model.model.preprocess_conv.weight.normal_(0, 1e5)  # its products pass 65504
    half = StableAudioPrior(copy.deepcopy(loud), settings, name="loud", precision=torch.float16)
    full = StableAudioPrior(loud, settings, name="loud")
    x, sigma, cond = noise(2, 8, 24), torch.tensor([0.5, 5.0]), full.embed(["bell"], 1.0)
    with torch.no_grad(), caplog.at_level(logging.WARNING):
        d = half.denoise(x, sigma, cond)
        wanted = full.denoise(x, sigma, cond)
    assert "loud: beyond the range of torch.float16, in float32 now" in caplog.text
    assert half.precision == torch.float32
    assert all(weight.dtype == torch.float32 for weight in half.network.parameters())
    assert (d - wanted).norm() / wanted.norm() < 0.01


def test_a_question_that_is_not_finite_costs_no_precision(tiny):
    half = prior(tiny, torch.float16)
    with torch.no_grad():
        half.denoise(torch.full((1, 8, 24), torch.nan), torch.ones(1), half.embed(["bell"], 1.0))
    assert half.precision == torch.float16


def test_float32_changes_nothing(tiny):
    with in_precision(torch.device("cpu"), torch.float32):
        assert not torch.is_autocast_enabled("cpu")
