"""How often separations ask the prior, and every other recipe that a model of a family has."""

from __future__ import annotations

from sds.distillation.calls import patch_calls
from sds.distillation.recipes import RECIPES
from sds.priors.families import Family
from sds.priors.needs import Calls
from sds.separation.audio_sds import LATENTS
from sds.separation.mask_settings import MASKS
from sds.separation.zerosep import STEPS

PROMPTS = 2


def latent_calls(prompts: int) -> Calls:
    """What separation `paper` asks for one window of so many prompts."""
    recipe = LATENTS.recipe
    targets = recipe.steps * prompts * recipe.samples
    return Calls(
        rows=2 * targets * recipe.denoise_steps,
        at_once=2 * prompts * recipe.samples,
        encodes=prompts * (recipe.steps + 1),
        decodes=targets + prompts,
        gradients=prompts * recipe.steps,
        heard=prompts * (recipe.samples + 1),
    )


def generate_calls(family: Family) -> Calls:
    """What one clip asks as its family is sampled."""
    branches = 1 if family.guidance in (0.0, 1.0) else 2
    return Calls(family.steps * branches, branches, encodes=1, decodes=1)


def recipe_calls(family: Family) -> dict[str, Calls]:
    """The calls of each recipe that asks the model of a family, by its name for people.

    Not those that post-trained models are refused for (`require_posterior_mean`).
    """
    zerosep = Calls(STEPS * (1 + PROMPTS), 1, encodes=1, decodes=PROMPTS)
    once = MASKS.estimates * PROMPTS
    calls = {
        **{
            f"patch {name}": patch_calls(RECIPES[name], family)
            for name in ("fast", "default", "paper")
        },
        "separate default": zerosep,
        "separate masks": Calls(once, PROMPTS, encodes=once, decodes=once),
        "separate paper": latent_calls(PROMPTS),
        "generate": generate_calls(family),
    }
    if family.post_trained:
        refused = ("patch paper", "separate default", "separate masks", "separate paper")
        return {name: each for name, each in calls.items() if name not in refused}
    return calls
