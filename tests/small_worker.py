"""The real worker on an exact prior of two seconds at 8 kHz, with a short `paper` of separation,
quick windows, and a short `fast` of searches for a patch, which has every stage.

Run as a script it is `python -m bridge.worker` with these. Searches then ask no scorer and keep
every step; in the stage that the variable DIES_IN names the worker is killed.
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import replace

from bridge.worker import models, search_store, separate
from bridge.worker.__main__ import main
from sds.distillation.recipes import PatchRecipe, Recipe
from sds.priors.gaussian import GaussianPrior
from sds.separation.audio_sds import LATENTS

PAPER = replace(LATENTS, recipe=replace(LATENTS.recipe, samples=1, scales=(512,)))

SEARCH = PatchRecipe(
    Recipe(steps=4, lr=0.02, guidance=3.0, refresh=2, look=2, log_weight=0.1, scales=(512,)),
    candidates=8,
    starts=2,
    generated=2,
    generate_steps=2,
    generations=3,
    crowd=4,
    fit_steps=3,
    preference=1.0,
    take_back=True,
)


def gaussian(prompts: Sequence[str]) -> GaussianPrior:
    """As many Gaussians as prompts, each quieter than the one before."""
    stds = {name: 0.1 / (1 + i) for i, name in enumerate(["", *prompts])}
    return GaussianPrior(dict.fromkeys(stds, 0.0), stds, sample_rate=8000, max_seconds=2.0)


class Mortal(search_store.SearchStore):
    """Keeps a state of the stage in which it is to die, and is killed."""

    def keep(self, seed: int, standing: search_store.Standing) -> None:
        super().keep(seed, standing)
        if standing.state is not None and standing.state.stage == os.environ["DIES_IN"]:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from bridge.worker import patch
    from sds.distillation.recipes import RECIPES
    from sds.separation.separate import METHODS

    METHODS["paper"] = PAPER
    RECIPES["fast"] = SEARCH
    search_store.KEEP_GAP = 0.0
    models.Models.search_scorer = lambda _: None
    if "DIES_IN" in os.environ:
        patch.SearchStore = Mortal
    models.gaussian = gaussian
    separate.code = list  # whoever edits `sds` while the tests run changes no job of theirs
    main()
