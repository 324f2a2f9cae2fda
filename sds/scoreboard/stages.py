"""Stage by stage: what each stage of a search for a patch is worth, and what of it the prior is.

Every recipe of `STAGES` has the stages of the one before it and one more. Each is run to its end
with the prior, and with one whose weights are in random places (`sds.priors.shuffled`): the same
code, time and random numbers, and no knowledge. All begin with the bank's patches. What differs
between the two is what the prior knows; where nothing differs, the stage does without it.

    bank          the bank's patches nearest to the prompt, by the search scorer
    + preference  the best of them by the score and the prior's preference
    + evolution   differential evolution on both
    + clips       evolution towards clips that the prior generates, those accepted
    + fit         the nearest fitted to the clips
    + SDS         score distillation of these, what neither measure likes taken back
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise

from torch import Tensor

from sds.datasets.evaluation_items import one_shots
from sds.distillation.distill import distill
from sds.distillation.recipes import RECIPES, PatchRecipe
from sds.priors.base import Prior
from sds.priors.shuffled import shuffled
from sds.scoreboard.baselines import Job, Prompt
from sds.scoreboard.board import Column, Figures, Row, Setting, Task
from sds.scoreboard.patch import LONGEST, evenly_spaced, paired_difference, prompts, rank, spectra

PROMPTS = 6  # unless the setting says how many
SHUFFLED = ", shuffled"

COLUMNS = (
    Column("match_after", "match after", 3, "higher"),
    Column("search_scorer", "by the search scorer", 3),
    Column("rank", "rank", 1, "lower"),
    Column("top3", "top 3", 2, "higher"),
    Column("seconds", "seconds", 1),
)


def stages(full: PatchRecipe) -> dict[str, PatchRecipe]:
    """The recipes of the stages, by name: `full` with its last ones left out."""
    still = replace(full, distillation=replace(full.distillation, steps=0), fit_steps=0)
    liked = replace(still, generated=0, generations=0)
    return {
        "bank": replace(liked, preference=0.0),
        "+ preference": liked,
        "+ evolution": replace(still, generated=0),
        "+ clips": still,
        "+ fit": replace(still, fit_steps=full.fit_steps),
        "+ SDS": full,
    }


STAGES = stages(RECIPES["default"])


def suite(setting: Setting) -> list[Task]:
    """Every stage on captions of recordings, with each instrument, prior and shuffled prior."""
    shots = one_shots(setting.data, setting.prior.sample_rate)
    samples = round(LONGEST * setting.prior.sample_rate)
    recordings = [spectra(shot.audio, samples) for shot in shots]
    asked = [prompt for prompt in prompts(setting, shots) if prompt.right is not None]
    return tasks(setting, evenly_spaced(asked, setting.items or PROMPTS), recordings, STAGES)


def tasks(
    setting: Setting,
    asked: Sequence[Prompt],
    recordings: Sequence[Sequence[Tensor]],
    recipes: dict[str, PatchRecipe],
) -> list[Task]:
    """A task for every prompt, instrument, recipe and prior, the shuffled one after the other.

    `recordings` are the `spectra` in which each prompt's `right` is a row.
    """
    return [
        Task(
            f"{prompt.name}, {instrument.name}",
            f"{name}{end}",
            partial(_run, Job(setting, prompt, instrument), recipe, end != "", recordings),
            (instrument.name,),
        )
        for prompt in asked
        for instrument in setting.instruments
        for name, recipe in recipes.items()
        for end in (("", SHUFFLED) if name != "bank" else ("",))
    ]


@lru_cache(maxsize=1)
def _unlearned(prior: Prior) -> Prior:
    return shuffled(prior)


def _run(
    job: Job, recipe: PatchRecipe, unlearned: bool, recordings: Sequence[Sequence[Tensor]]
) -> Iterator[Figures]:
    setting = job.setting
    prior = _unlearned(setting.prior) if unlearned else setting.prior
    u, seconds = job.u0[0], 0.0
    steps = distill(
        job.render,
        prior,
        job.prompt.text,
        job.banked(recipe.candidates),
        recipe=recipe,
        generator=setting.generator("stages", job.item),
        score=job.listen,
    )
    began = time.perf_counter()
    for step in steps:
        u, seconds = step.best_u, time.perf_counter() - began
        yield {}
    sound = job.hear(u[None])
    figures = {
        "match_after": float(job.evaluation_scorer(sound)),
        "search_scorer": float(job.listen(sound)),
        "seconds": seconds,
    }
    if job.prompt.right is not None and recordings:
        samples = round(LONGEST * setting.prior.sample_rate)
        place = rank(spectra(sound[0], samples), recordings, job.prompt.right)
        figures |= {"rank": float(place), "top3": float(place <= 3)}
    yield figures


def findings(rows: Sequence[Row], names: Sequence[str] = tuple(STAGES)) -> list[str]:
    """What the prior is worth up to each stage, and what each stage adds, per instrument."""
    said = []
    for instrument in sorted({tag for row in rows for tag in row.tags}):
        own = [row for row in rows if instrument in row.tags]
        for figure, words in (("match_after", "match"), ("top3", "share in the top 3")):
            said += [
                f"{instrument}, {words}, {name}, prior rather than shuffled prior: "
                f"{paired_difference(own, figure, name, name + SHUFFLED)}"
                for name in names
                if name != "bank"
            ]
            said += [
                f"{instrument}, {words}, {after} rather than {before}: "
                f"{paired_difference(own, figure, after, before)}"
                for before, after in pairwise(names)
            ]
    return said
