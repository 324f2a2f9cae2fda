"""How often a search for a patch asks the prior, by its recipe."""

from __future__ import annotations

from dataclasses import replace

from sds.distillation.family_recipes import clip_sampling
from sds.distillation.patch_search import CHUNK
from sds.distillation.preference import BATCH, TIMES
from sds.distillation.recipes import PatchRecipe
from sds.priors.families import Family
from sds.priors.needs import Calls


def patch_calls(recipe: PatchRecipe, family: Family) -> Calls:
    """What a search for a patch asks a model of a family at most; a fit that many knobs get in
    place of evolution asks less.
    """
    if family.post_trained:
        recipe = replace(recipe, preference=0.0)  # as `for_family` has it
    sds = recipe.distillation
    levels, scale = clip_sampling(recipe, family)
    judged = 0
    if recipe.preference:
        judged = min(recipe.crowd, recipe.candidates) + (recipe.generations + 1) * recipe.crowd
        judged += 2 * recipe.starts
    made = recipe.generated
    targets = -(-sds.steps // sds.refresh) * recipe.starts * sds.samples
    branches, clip_branches = (1 if each in (0.0, 1.0) else 2 for each in (sds.guidance, scale))
    asked = [made * clip_branches, recipe.starts * sds.samples * branches if sds.steps else 0]
    if recipe.preference:
        asked.append(2 * min(BATCH, max(CHUNK, recipe.crowd)))
    return Calls(
        rows=2 * len(TIMES) * judged
        + made * levels * clip_branches
        + targets * sds.denoise_steps * branches,
        at_once=max(asked),
        encodes=1 + judged + min(made, 1) + -(-sds.steps // sds.refresh) * recipe.starts,
        decodes=made + targets,
        heard=max(made, recipe.starts * (sds.samples + 1) if sds.steps else 0),
    )
