"""The settings of mask-based separation, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sds.distillation.recipes import Recipe
from sds.separation.base import PromptedEstimate
from sds.separation.prompted_estimates import noised_estimate
from sds.separation.zerosep import zerosep_estimate


@dataclass(frozen=True, slots=True)
class Masks:
    """Components or joint annealing, then the recipe's steps (may be 0).

    Annealing and steps push by the recipe's guidance, components are given away without.
    """

    recipe: Recipe
    components: int = 32  # spectra that the mixture is made of; 0: none, each bin for itself
    block: float = 20.0  # seconds that are taken apart into components at once
    factor_steps: int = 100
    candidates: int = 1  # factorisations from other random starts ...
    kept: int = 0  # ... of which those that the search scorer finds clearest are averaged; 0: all
    estimator: PromptedEstimate = noised_estimate  # how the prior is asked
    at: float = 0.85  # the noise level at which components are given to prompts ...
    estimates: int = 4  # ... and how many noises; 0: the prior is not asked
    query: float = 0.0  # weight of the query network's shares of a component, 0: not asked
    listen: int = 0  # steps in which the search scorer moves the shares of components
    grain: float = 0.25  # weight of single bins against their components, geometric
    sharpness: float = 12.0  # a share is affinity^sharpness / sum: 1 is soft, 100 is all or nothing
    draws: int = 3  # annealings of other noises, whose powers are averaged
    rounds: int = 6  # noise levels of an annealing; the powers of the later half count
    levels: tuple[float, float] = (0.5, 0.95)  # the last and the first of them
    gamma: float = 0.02  # weight of Decoder-SDS against leaving the mixture unexplained
    spatial: bool = False  # in stereo, sources are told apart by where they are, too
    power: float = 1.5  # masks are |T_k|^power / sum; 2 is Wiener
    rest: float = 0.3  # share of the power that a lone prompt leaves, given to the residual
    coarse: tuple[int, int] = (16, 4)  # bins and frames a logit covers in the first half
    smooth: float = 0.02  # weight of the logits' total variation


MASKS = Masks(
    recipe=Recipe(
        steps=0,  # on held-back mixtures 40 of them (lr 0.1) cost 1 to 6 dB of SI-SDR
        lr=0.03,
        guidance=2.0,
        t_range=(0.2, 0.6),
        anneal=True,
        denoise_steps=3,
        refresh=8,
        log_weight=0.05,
        peak=0.5,  # a faint track would be strange to a prior that heard loud ones
    )
)
# The numbers below were chosen on pairs, triples and bands of held-back clips (docs/stems.md).
DEFAULT = replace(
    MASKS, estimator=zerosep_estimate, estimates=1, query=3.0, listen=30, grain=0.2, spatial=True
)
"""The prior by inversion, the network, and the search scorer after them."""
FAST = replace(MASKS, estimates=0, query=4.0, factor_steps=50, grain=0.2, spatial=True)
"""The network alone."""
SDI = replace(
    MASKS.recipe, steps=20, lr=0.1, guidance=7.5, inversion=8, denoise_steps=1, refresh=10, phi=0.7
)
"""Steps towards targets by inversion, t falling (Lukoianov et al. 2024, arXiv 2405.15891)."""
BEST = replace(DEFAULT, candidates=4)
"""The chain: the means of the masks of four factorisations."""


def uses_components(method: Masks, sources: int, network: bool) -> bool:
    """Whether so many prompts are given components; a lone one only where the network is asked."""
    return method.components > 0 and (sources > 1 or (network and method.query > 0))
