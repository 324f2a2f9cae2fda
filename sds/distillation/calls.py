"""How often a search for a patch asks the prior, by its recipe."""

from __future__ import annotations

from sds.distillation.patch_search import CHUNK
from sds.distillation.preference import BATCH, TIMES
from sds.distillation.recipes import PatchRecipe
from sds.priors.needs import Calls


def patch_calls(recipe: PatchRecipe) -> Calls:
    """What a search for a patch asks at most; a fit that many knobs get in place of evolution asks
    less."""
    sds = recipe.distillation
    judged = 0
    if recipe.preference:
        judged = min(recipe.crowd, recipe.candidates) + (recipe.generations + 1) * recipe.crowd
        judged += 2 * recipe.starts
    made = recipe.generated
    targets = -(-sds.steps // sds.refresh) * recipe.starts * sds.samples
    branches = 1 if sds.guidance in (0.0, 1.0) else 2
    asked = [made * branches, recipe.starts * sds.samples * branches if sds.steps else 0]
    if recipe.preference:
        asked.append(2 * min(BATCH, max(CHUNK, recipe.crowd)))
    return Calls(
        rows=2 * len(TIMES) * judged
        + made * recipe.generate_steps * branches
        + targets * sds.denoise_steps * branches,
        at_once=max(asked),
        encodes=1 + judged + min(made, 1) + -(-sds.steps // sds.refresh) * recipe.starts,
        decodes=made + targets,
        heard=max(made, recipe.starts * (sds.samples + 1) if sds.steps else 0),
    )
