"""Models that were trained to fill in, driven as the library drives them."""

import pytest
import torch

from sds.priors.base import classifier_free_guidance
from sds.priors.inpainting import InpaintingPrior
from sds.priors.quiet_import import quiet
from sds.priors.stable_audio import StableAudioPrior, to_time, to_x0
from tests.tiny_stable_audio import config, noise, random_model

FRAMES = 24


def inpaint_config(order=("inpaint_mask", "inpaint_masked_input")):
    settings = config()
    settings["model_type"] = "diffusion_cond_inpaint"
    diffusion = settings["model"]["diffusion"]
    diffusion["input_concat_ids"] = list(order)
    diffusion["config"]["input_concat_dim"] = 9  # a mask and eight latents
    return settings


@pytest.fixture(scope="module", params=[False, True])
def tiny(request):
    order = ("inpaint_mask", "inpaint_masked_input")
    settings = inpaint_config(order[::-1] if request.param else order)
    model = random_model(settings)
    return model, StableAudioPrior(model, settings, name="tiny")


def library(model, x, sigma, mask, given, scale):
    """D of the library's guidance, with the conditions its inpainting builds."""
    rows = [{"prompt": "bell", "seconds_start": 0, "seconds_total": 1.5}]
    t, factor = to_time("v", sigma)
    z = x * factor[:, None, None]
    with quiet(), torch.no_grad():
        tensors = model.conditioner(rows, "cpu")
        tensors["inpaint_mask"], tensors["inpaint_masked_input"] = [mask], [given * mask]
        v = model(z, t, tensors, cfg_scale=scale)
    return to_x0("v", z, v, sigma[:, None, None])


def ours(prior, x, sigma, scale, mask=None, given=None):
    conds = [prior.embed([prompt], 1.5) for prompt in ("bell", "")]
    if mask is not None:
        conds = [prior.inpaint_cond(cond, given, mask[0, 0]) for cond in conds]
    with torch.no_grad():
        return classifier_free_guidance(prior, *conds, scale)(x, sigma)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_d_with_a_part_kept_is_the_library_s(tiny, scale):
    model, prior = tiny
    mask = (torch.arange(FRAMES) < 10).float()[None, None]
    given, x, sigma = noise(1, 8, FRAMES, seed=1), 2 * noise(1, 8, FRAMES), torch.tensor([2.0])
    theirs = library(model, x, sigma, mask, given, scale)
    d = ours(prior, x, sigma, scale, mask, given)
    torch.testing.assert_close(d, theirs, rtol=1e-4, atol=2e-5)
    free = ours(prior, x, sigma, scale)
    assert (d - free).abs().max() > 1e-2  # what is kept is heard


def test_nothing_kept_is_generation(tiny):
    model, prior = tiny
    x, sigma, nothing = 2 * noise(1, 8, FRAMES), torch.tensor([2.0]), torch.zeros(1, 1, FRAMES)
    theirs = library(model, x, sigma, nothing, noise(1, 8, FRAMES, seed=1), 4.0)
    torch.testing.assert_close(ours(prior, x, sigma, 4.0), theirs, rtol=1e-4, atol=2e-5)


def test_who_was_trained_to_fill_in_says_so(tiny):
    assert isinstance(tiny[1], InpaintingPrior)
    settings = config()
    plain = StableAudioPrior(random_model(settings), settings, name="plain")
    assert not isinstance(plain, InpaintingPrior)
