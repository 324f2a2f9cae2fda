"""The settings of mask-based separation, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sds.distillation.recipes import Recipe
from sds.separation.base import PromptedEstimate
from sds.separation.prompted_estimates import noised_estimate
from sds.separation.zerosep import zerosep_estimate


@dataclass(frozen=True, slots=True)
class Masks:
    """Settings of separation by masks: components or joint annealing, then the recipe's steps.

    - `recipe`: guidance of annealing and of the steps (assigning components uses none), `peak`, and
      for the steps all but `anneal`, `domain`, `emphasis`, `roll` and `look`; `steps` may be 0. No
      default.

    Components (several prompts, or one and the query network):

    - `components`: spectra that the mixture is factorised into, >= 0; 0 anneals instead; 32.
    - `block`: seconds that are factorised at once, above 0; 20.
    - `factor_steps`: multiplicative updates of a factorisation, >= 1; 100.
    - `candidates`: factorisations from other random starts, >= 1; 1.
    - `kept`: of these, how many with the clearest stems by the search scorer are averaged, >= 0; 0
      averages all; 0.
    - `estimator`: how the prior estimates each prompt's part; `noised_estimate`.
    - `at`: time, 0..1, whose noise level it starts from; 0.85.
    - `estimates`: how many of them, of other noises, >= 0; 0 leaves the prior out; 4.
    - `lone`: weight of a lone prompt's estimates against the unprompted prior's, >= 0; 0 leaves the
      prior out; 0.5.
    - `query`: weight of the query network's log-shares of a component, >= 0; 0 leaves it out; 0.
    - `listen`: Adam steps of the search scorer on the shares of components, >= 0; 0 leaves it out;
      0.
    - `grain`: weight, 0..1, of single bins against their components in the log-masks; 0.25.
    - `sharpness`: exponent of the affinities of components, above 0: 1 is soft, 100 is all or
      nothing; 12.

    Joint annealing:

    - `draws`: annealings of other noises, whose powers are averaged, >= 1; 3.
    - `rounds`: noise levels of an annealing, >= 1; the powers of the later half count; 6.
    - `levels`: times of the last and of the first of them, 0..1; (0.5, 0.95).
    - `rest`: share, 0..1, of the power that a lone prompt leaves, given to the residual; 0.3.

    Both:

    - `gamma`: weight of Decoder-SDS against leaving the mixture unexplained, >= 0; 0.02.
    - `spatial`: whether a stereo mixture is separated by the sources' places as well; False.
    - `power`: masks are |T_k|^power / sum, above 0; 2 is Wiener; 1.5.
    - `coarse`: bins and frames that one logit covers in the first half of the steps, each >= 1;
      (16, 4).
    - `smooth`: weight of the logits' total variation, >= 0; 0.02.
    """

    recipe: Recipe
    components: int = 32
    block: float = 20.0
    factor_steps: int = 100
    candidates: int = 1
    kept: int = 0
    estimator: PromptedEstimate = noised_estimate
    at: float = 0.85
    estimates: int = 4
    lone: float = 0.5  # chosen on 28 lone prompts of held-back clips (docs/stems.md)
    query: float = 0.0
    listen: int = 0
    grain: float = 0.25
    sharpness: float = 12.0
    draws: int = 3
    rounds: int = 6
    levels: tuple[float, float] = (0.5, 0.95)
    gamma: float = 0.02
    spatial: bool = False
    power: float = 1.5
    rest: float = 0.3
    coarse: tuple[int, int] = (16, 4)
    smooth: float = 0.02


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
        peak=0.5,  # the prior was trained on loud clips
    )
)
# The numbers below were chosen on pairs, triples and bands of held-back clips (docs/stems.md).
DEFAULT = replace(
    MASKS, estimator=zerosep_estimate, estimates=1, query=3.0, listen=30, grain=0.5, spatial=True
)
"""The prior by inversion, the network, and the search scorer after them."""
FAST = replace(MASKS, estimates=0, query=2.0, factor_steps=50, grain=0.6, spatial=True)
"""The network alone."""
SDI = replace(
    MASKS.recipe, steps=20, lr=0.1, guidance=7.5, inversion=8, denoise_steps=1, refresh=10, phi=0.7
)
"""Steps towards targets by inversion, t falling (Lukoianov et al. 2024, arXiv 2405.15891)."""
BEST = replace(DEFAULT, candidates=4)
"""The chain: the means of the masks of four factorisations."""


def uses_components(method: Masks, sources: int, network: bool) -> bool:
    """Whether components are used for so many prompts; for one only with the query network."""
    return method.components > 0 and (sources > 1 or (network and method.query > 0))
