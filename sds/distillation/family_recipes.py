"""A patch recipe as the family of the model allows it.

The recipes' numbers were chosen with the shipped models. A post-trained model answers with a sample
in place of a mean: it makes clips, to which a patch is fitted, and is asked for nothing else.
"""

from __future__ import annotations

from dataclasses import replace

from sds.distillation.recipes import PatchRecipe
from sds.priors.base import Prior
from sds.priors.families import Family, family_of, require_posterior_mean

SHIPPED_FAMILIES = ("default", "edm")


def for_family(recipe: PatchRecipe, prior: Prior, *, what: str) -> PatchRecipe:
    """The recipe for a prior: as it is, or for a post-trained model without preference.

    Raises `ValueError` with one sentence where `what` is score distillation towards a post-trained
    model.
    """
    if not family_of(prior).post_trained:
        return recipe
    if recipe.distillation.steps:
        instead = "use the recipe default or fast without --steps, or the base model"
        require_posterior_mean(prior, what, instead)
    return replace(recipe, preference=0.0)


def clip_sampling(recipe: PatchRecipe, family: Family) -> tuple[int, float]:
    """Steps and guidance of the clips that a search generates: the recipe's for the shipped
    models, those of its family for another.
    """
    if family.name in SHIPPED_FAMILIES:
        return recipe.generate_steps, recipe.distillation.guidance
    return family.steps, family.guidance
