"""Families: which configuration is of which, what each is sampled by, and the library's own chains.

Configurations of Stable Audio Open are those that were published, cut to what tells a family.
"""

import json
from pathlib import Path

import pytest
import torch

from sds.priors.checkpoints import ModelUnavailable
from sds.priors.families import (
    FAMILIES,
    OBJECTIVES,
    SHIPPED,
    family_of,
    family_of_config,
    require_posterior_mean,
)
from sds.priors.gaussian import GaussianPrior
from sds.priors.quiet_import import importing, quiet
from sds.priors.sampling import Sampling, generate, sampling_of
from sds.priors.stable_audio import to_time, to_x0
from sds.samplers.schedules import SCHEDULES
from sds.samplers.solvers import sampler_of
from tests.k_samplers import k_sampling

with importing():
    from stable_audio_tools.inference.sampling import sample_rf

WEIGHTS = Path(__file__).parent.parent / "sds" / "weights"


def config(objective, width, depth, *names, **more):
    entries = [
        {"id": name, "type": "t5" if name == "prompt" else "number", "config": {}} for name in names
    ]
    network = {"type": "dit", "config": {"embed_dim": width, "depth": depth}}
    if objective:
        network["diffusion_objective"] = objective
    model = {"conditioning": {"configs": entries}, "diffusion": network}
    return {"model_type": "diffusion_cond", "model": model} | more


SECONDS = ("prompt", "seconds_start", "seconds_total")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (config("v", 1536, 24, *SECONDS), "stable-audio-open-1.0"),
        (config(None, 1536, 24, *SECONDS), "stable-audio-open-1.0"),  # v is the default
        (config("rf_denoiser", 1024, 16, "prompt", "seconds_total"), "stable-audio-open-small"),
        (config("rectified_flow", 1024, 16, "prompt", "seconds_total"), "rectified_flow"),
        (config("v", 128, 2, *SECONDS), "v"),
        (config("rf_denoiser", 64, 2, *SECONDS), "rf_denoiser"),
        (config("v", 64, 2, *SECONDS, family="stable-audio-open-1.0"), "stable-audio-open-1.0"),
    ],
)
def test_a_configuration_tells_its_family(found, expected):
    assert family_of_config(found) is FAMILIES[expected]


@pytest.mark.parametrize("name", ["default", "edm"])
def test_the_shipped_models_are_sampled_as_they_were(name):
    file = WEIGHTS / name / "model_config.json"
    family = family_of_config(json.loads(file.read_text(encoding="utf-8")))
    assert family.name == name
    assert (family.guidance, family.steps, family.sampler, family.schedule, family.sigmas) == (
        3.0, 20, "tab3", "karras", None,
    )  # fmt: skip
    assert not family.post_trained


def test_an_unknown_family_or_objective_is_refused():
    with pytest.raises(ModelUnavailable, match=r"the family of the model is 'sao'; it must be one"):
        family_of_config(config("v", 64, 2, "prompt", family="sao"))
    for odd in ([1], {}, 3):
        with pytest.raises(ModelUnavailable, match=r"the family of the model is .*; it must be"):
            family_of_config(config("v", 64, 2, "prompt", family=odd))
    with pytest.raises(ModelUnavailable, match=r"the diffusion_objective is 'edm'; it must be one"):
        family_of_config(config("edm", 64, 2, "prompt"))


def test_every_row_can_be_sampled_and_says_its_licence():
    assert set(OBJECTIVES) <= set(FAMILIES)
    for name, family in FAMILIES.items():
        assert family.name == name
        assert family.schedule in SCHEDULES
        sampler_of(family.sampler, torch.Generator())
        assert (family.guidance == 1.0) == (family.sampler == "ping_pong") == family.post_trained
        assert "licence" in family.licence.lower()


def prior(**more):
    made = GaussianPrior({"": 0.0, "a": 0.5}, {"": 0.3, "a": 0.2}, sample_rate=800, hop=16)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_a_prior_without_a_family_is_sampled_as_the_shipped_model():
    assert family_of(prior()) is SHIPPED
    with pytest.raises(TypeError, match="family of a prior must be a Family, got str"):
        family_of(prior(family="v"))


def test_what_is_asked_for_goes_before_the_family():
    of = prior(family=FAMILIES["stable-audio-open-1.0"], sigmas=(0.05, 60.0))
    assert sampling_of(of) == Sampling(100, 7.0, "dpmpp_3m_sde", "polyexponential", (0.3, 500.0))
    asked = sampling_of(of, steps=9, guidance=0.0, sampler="euler", schedule="karras")
    assert asked == Sampling(9, 0.0, "euler", "karras", (0.05, 60.0))
    for name in ("sampler", "schedule"):
        with pytest.raises(ValueError, match=rf"^{name} must be one of .*, got 'ddim'"):
            sampling_of(of, **{name: "ddim"})


def test_a_post_trained_model_is_refused_in_one_sentence():
    require_posterior_mean(prior(), "edit", "nothing")
    small = prior(family=FAMILIES["stable-audio-open-small"], name="sao-small")
    with pytest.raises(
        ValueError, match=r"^edit cannot use the model sao-small: an adversarially "
    ) as error:
        require_posterior_mean(small, "edit", "use the base model")
    assert "has no posterior mean" in str(error.value)
    assert str(error.value).endswith("; use the base model")
    assert "." not in str(error.value)


# The whole chain, from noise to latents, against the library's


class Flow(GaussianPrior):
    """A `Prior` by the adapter's conversions of a rectified flow's velocity."""

    def velocity(self, z, t, mean):
        """Of frames that know nothing of one another: v = n - x0 at its best."""
        wide = t[:, None, None]
        gain = ((1 - wide) * 0.04) / ((1 - wide) ** 2 * 0.04 + wide**2)
        x0 = mean + gain * (z - (1 - wide) * mean)
        return torch.where(wide > 0, (z - (1 - wide) * x0) / wide.clamp_min(1e-6) - x0, -x0)

    def denoise(self, x, sigma, cond):
        t, scale = to_time("rf_denoiser", sigma)
        z = x * scale[:, None, None]
        return to_x0("rf_denoiser", z, self.velocity(z, t, cond["mean"]), sigma[:, None, None])


def test_a_clip_of_a_post_trained_model_is_the_librarys(monkeypatch):
    """`sample_rf` of stable-audio-tools 0.0.19, pingpong, 8 steps, from the same draws."""
    flow = Flow({"": 0.0, "a": 0.5}, {"": 0.2, "a": 0.2}, sample_rate=800, hop=16)
    flow.family = FAMILIES["stable-audio-open-small"]
    ours = generate(flow, ["a"], 0.2, generator=torch.Generator().manual_seed(1))
    g = torch.Generator().manual_seed(1)
    noise = torch.randn(1, 16, 10, generator=g)
    monkeypatch.setattr(torch, "randn_like", lambda x: torch.randn(x.shape, generator=g))
    mean = flow.embed(["a"], 0.2)["mean"]
    with quiet():
        latent = sample_rf(
            lambda z, t: flow.velocity(z, t, mean), noise, steps=8, sampler_type="pingpong",
            device="cpu",
        )  # fmt: skip
    torch.testing.assert_close(flow.encode(ours), latent, rtol=1e-4, atol=2e-5)


def test_a_clip_of_stable_audio_open_is_the_librarys():
    """What `sample_k` of stable-audio-tools 0.0.19 does with dpmpp-3m-sde, from the same draws."""
    of = prior(family=FAMILIES["stable-audio-open-1.0"])
    ours = generate(of, ["a"], 0.2, scale=1.0, generator=torch.Generator().manual_seed(1))
    g, k = torch.Generator().manual_seed(1), k_sampling()
    sigmas = k.get_sigmas_polyexponential(100, 0.3, 500.0, 1.0)
    x = torch.randn(1, 16, 10, generator=g) * sigmas[0]
    cond = of.embed(["a"], 0.2)
    with quiet():
        latent = k.sample_dpmpp_3m_sde(
            lambda x, sigma: of.denoise(x, sigma, cond), x, sigmas, disable=True,
            noise_sampler=lambda *_: torch.randn(x.shape, generator=g),
        )  # fmt: skip
    torch.testing.assert_close(of.encode(ours), latent, rtol=1e-4, atol=2e-5)
