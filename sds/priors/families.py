"""What each family of models wants: guidance, steps, sampler and noise levels, in one table.

A family is a set of checkpoints that were trained alike and are sampled alike. Where a person names
none of these values, a job takes them from here. Values of the models of others are those that
their authors state or that their library's own interface starts with; nothing here was tuned by us
but the rows of the shipped models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sds.priors.checkpoints import ModelUnavailable

STABILITY = (
    "Stability AI Community License: the weights are gated on the hub, and free of charge also for "
    "commercial use up to an annual revenue of 1,000,000 US dollars; above it a licence of "
    "Stability AI is needed"
)
UNKNOWN = "the licence that came with the weights: this program cannot know it"
SHIPPED_LICENCE = "the licence of Scorewire; sds/weights/CREDITS.md names what it was trained on"

RECTIFIED_FLOW_TOP = 1e4
"""Highest level of a rectified flow in place of infinity (t = 0.9999 for 1)."""


@dataclass(frozen=True, slots=True)
class Family:
    """How the models of one family are sampled.

    - `name`: its key in `FAMILIES`, and of the entry "family" of a model_config.json.
    - `title`: its name for people.
    - `guidance`: scale of classifier-free guidance; 1 asks the conditional branch only.
    - `steps`: noise levels of a sampler, above zero.
    - `sampler`: a name that `sds.samplers.solvers.sampler_of` knows.
    - `schedule`: a name of `sds.samplers.schedules.SCHEDULES`.
    - `sigmas`: smallest and largest noise level of a sampler; None: the prior's own.
    - `post_trained`: whether the model was trained, after diffusion, to answer in few steps
      (adversarially or by distillation). Its D is then a sample that sounds real, not the mean of
      what x may have been, so that no posterior mean, score, or guidance is defined by it.
    - `licence`: of the weights, in words, without a full stop.
    """

    name: str
    title: str
    guidance: float
    steps: int
    sampler: str
    schedule: str
    sigmas: tuple[float, float] | None
    post_trained: bool
    licence: str


_RECTIFIED_FLOW = (math.exp(-2.0), RECTIFIED_FLOW_TOP)

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("default", "the shipped model, and models of its kind",
               3.0, 20, "tab3", "karras", None, False, SHIPPED_LICENCE),
        Family("edm", "the shipped complex-spectrogram model, and models of its kind",
               3.0, 20, "tab3", "karras", None, False, SHIPPED_LICENCE),
        # The model card: 100 steps of dpmpp-3m-sde from 500 to 0.3, guidance 7.
        Family("stable-audio-open-1.0", "Stable Audio Open 1.0",
               7.0, 100, "dpmpp_3m_sde", "polyexponential", (0.3, 500.0), False, STABILITY),
        # Novack et al. 2025 (arXiv 2505.08175); the model card: 8 steps, no guidance.
        Family("stable-audio-open-small", "Stable Audio Open small",
               1.0, 8, "ping_pong", "rf_logsnr", _RECTIFIED_FLOW, True, STABILITY),
        # diffusers' conversion: Euler in 100 steps, levels even in log SNR.
        Family("stable-audio-3-base", "Stable Audio 3, base",
               7.0, 100, "euler", "sa3_logsnr", _RECTIFIED_FLOW, False, STABILITY),
        Family("stable-audio-3", "Stable Audio 3, post-trained",
               1.0, 8, "ping_pong", "sa3_logsnr", _RECTIFIED_FLOW, True, STABILITY),
        # What the interface of stable-audio-tools 0.0.19 starts with for each objective.
        Family("v", "an unknown model of v-prediction",
               7.0, 100, "dpmpp_3m_sde", "polyexponential", None, False, UNKNOWN),
        Family("rectified_flow", "an unknown rectified flow",
               7.0, 50, "euler", "rf_logsnr", _RECTIFIED_FLOW, False, UNKNOWN),
        Family("rf_denoiser", "an unknown post-trained rectified flow",
               1.0, 8, "ping_pong", "rf_logsnr", _RECTIFIED_FLOW, True, UNKNOWN),
    )
}  # fmt: skip
"""Families by name: the shipped, those we know, and one for each objective of unknown models."""

SHIPPED = FAMILIES["default"]

OBJECTIVES = ("v", "rectified_flow", "rf_denoiser")
"""Objectives of stable-audio-tools 0.0.19, each with a row of its own for unknown models."""


def family_of(prior: object) -> Family:
    """The family of a prior: its attribute `family`, or that of the shipped model without one."""
    family = getattr(prior, "family", SHIPPED)
    if not isinstance(family, Family):
        raise TypeError(f"family of a prior must be a Family, got {type(family).__name__}")
    return family


def require_posterior_mean(prior: object, what: str, instead: str) -> None:
    """Refuse to do `what` with a post-trained model, `ValueError` with one sentence; `instead` says
    what can be done.
    """
    family = family_of(prior)
    if family.post_trained:
        raise ValueError(
            f"{what} cannot use the model {getattr(prior, 'name', family.title)}: an adversarially "
            "post-trained few-step model has no posterior mean, so score distillation towards it "
            f"and inversion through it are not defined; {instead}"
        )


def family_of_config(config: Mapping[str, Any]) -> Family:
    """The family of a model by its model_config.json.

    By the entry "family" where it has one; else by its text conditioner (ours: "default"), its
    objective and the sizes of its transformer, so that a fine-tune is of the family of what it was
    made of; else the row of its objective. Raises `ModelUnavailable` for a "family" or an objective
    that is not in the table.
    """
    named = config.get("family")
    if named is not None:
        if not isinstance(named, str) or named not in FAMILIES:
            raise ModelUnavailable(
                f"the family of the model is {named!r}; it must be one of {', '.join(FAMILIES)}."
            )
        return FAMILIES[named]
    if config.get("model_type") == "complex_spectrogram":
        return FAMILIES["edm"]
    spec = config["model"]
    diffusion = spec["diffusion"]
    conditioners = {(entry["id"], entry["type"]) for entry in spec["conditioning"]["configs"]}
    if any(kind == "scorewire_text" for _, kind in conditioners):
        return FAMILIES["default"]
    objective = diffusion.get("diffusion_objective", "v")
    names, network = {name for name, _ in conditioners}, diffusion.get("config", {})
    if not isinstance(network, Mapping):
        raise ModelUnavailable(f"the diffusion's config must be a table, got {network!r:.80}.")
    width, depth = (
        size if isinstance(size := network.get(key), int) else 0 for key in ("embed_dim", "depth")
    )
    found = objective, width, depth, frozenset(names)
    if objective not in OBJECTIVES:
        raise ModelUnavailable(
            f"the diffusion_objective is {objective!r}; it must be one of {', '.join(OBJECTIVES)}."
        )
    return FAMILIES[_BY_SIZES.get(found, objective)]


_BY_SIZES = {
    ("v", 1536, 24, frozenset({"prompt", "seconds_start", "seconds_total"})):
        "stable-audio-open-1.0",
    ("rf_denoiser", 1024, 16, frozenset({"prompt", "seconds_total"})): "stable-audio-open-small",
}  # fmt: skip
"""Families by objective, width and depth of the transformer, and the names of its conditioners."""
