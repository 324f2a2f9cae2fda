"""Stage by stage: what each stage of a search for a patch is worth, and what of it the prior is.

One search with all stages (`FULL`) is run to its end with the prior, and once more with one whose
weights are in random places (`sds.priors.shuffled`): the same code, time and random numbers, and no
knowledge. What the search would answer after each stage is measured. Where the two priors do not
differ, the stage does without what the prior knows. All begin with the bank's patches.

    bank          the bank's patches nearest to the prompt, by the search scorer
    + preference  the best of them by the score and the prior's preference
    + evolution   differential evolution on both, near the clips that the prior generates
    + fit         the nearest fitted to the clips
    + SDS         score distillation of these; what neither measure likes is taken back

A stage that does not run (evolution of very many knobs; a fit to clips none of which was accepted)
leaves what was there.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TypeAlias

from torch import Tensor

from sds.datasets.evaluation_items import one_shots
from sds.distillation.distill import distill
from sds.distillation.recipes import RECIPES, PatchRecipe
from sds.priors.shuffled import shuffled
from sds.scoreboard.baselines import Job, Prompt
from sds.scoreboard.board import Column, Figures, Row, Setting, Task
from sds.scoreboard.paired import paired_difference
from sds.scoreboard.patch import LONGEST, evenly_spaced, prompts, rank, spectra

PROMPTS = 6  # unless the setting says how many
SHUFFLED = ", shuffled"
STAGES = {
    "search": "bank",
    "prefer": "+ preference",
    "evolve": "+ evolution",
    "fit": "+ fit",
    "distill": "+ SDS",
}

COLUMNS = (
    Column("match_after", "match after", 3, "higher"),
    Column("match_four", "mean match of four", 3, "higher"),
    Column("search_scorer", "by the search scorer", 3),
    Column("rank", "rank", 1, "lower"),
    Column("top3", "top 3", 2, "higher"),
    Column("seconds", "seconds", 1),
)

_DEFAULT = RECIPES["default"]
FULL = replace(
    _DEFAULT,
    generated=8,
    fit_steps=20,
    distillation=replace(_DEFAULT.distillation, steps=20),
)

Walks: TypeAlias = dict[tuple[str, bool], Mapping[str, Figures]]
"""Figures after each stage, of searches that were run: by item, and whether the prior knew."""


def suite(setting: Setting) -> list[Task]:
    """Every stage on captions of recordings, with each instrument, prior and shuffled prior."""
    shots = one_shots(setting.data, setting.prior.sample_rate)
    samples = round(LONGEST * setting.prior.sample_rate)
    recordings = [spectra(shot.audio, samples) for shot in shots]
    asked = [prompt for prompt in prompts(setting, shots) if prompt.right is not None]
    return tasks(setting, evenly_spaced(asked, setting.items or PROMPTS), recordings, FULL)


def tasks(
    setting: Setting,
    asked: Sequence[Prompt],
    recordings: Sequence[Sequence[Tensor]],
    recipe: PatchRecipe,
) -> list[Task]:
    """A task for every prompt, instrument, prior and stage; the first of a search runs it. A prior
    without a network is not shuffled.

    `recordings` are the `spectra` in which each prompt's `right` is a row.
    """
    walks: Walks = {}
    return [
        Task(
            job.item,
            stage + (SHUFFLED if unlearned else ""),
            partial(_stage, job, stage, unlearned, recipe, recordings, walks),
            (instrument.name,),
        )
        for prompt in asked
        for instrument in setting.instruments
        for job in [Job(setting, prompt, instrument)]
        for unlearned in ((False, True) if hasattr(setting.prior, "network") else (False,))
        for stage in STAGES.values()
    ]


def _stage(
    job: Job,
    stage: str,
    unlearned: bool,
    recipe: PatchRecipe,
    recordings: Sequence[Sequence[Tensor]],
    walks: Walks,
) -> Iterator[Figures]:
    key = job.item, unlearned
    if key not in walks:
        walks[key] = yield from _walk(job, recipe, unlearned, recordings)
    yield walks[key][stage]


def _walk(
    job: Job, recipe: PatchRecipe, unlearned: bool, recordings: Sequence[Sequence[Tensor]]
) -> Generator[Figures, None, Mapping[str, Figures]]:
    """Run a search; the figures of what it has found when each stage ends."""
    prior = job.setting.prior
    found: dict[str, tuple[Tensor, float]] = {}
    began = time.perf_counter()
    for step in distill(
        job.render,
        shuffled(prior) if unlearned else prior,
        job.prompt.text,
        job.banked(recipe.candidates),
        recipe=recipe,
        generator=job.setting.generator("stages", job.item),
        score=job.listen,
        count=4,
    ):
        if step.stage in STAGES:
            found[STAGES[step.stage]] = step.candidates, time.perf_counter() - began
        yield {}
    figures: dict[str, Figures] = {}
    last = found["bank"]
    for stage in STAGES.values():
        last = found.get(stage, last)
        figures[stage] = _figures(job, *last, recordings)
    return figures


def _figures(
    job: Job, u: Tensor, seconds: float, recordings: Sequence[Sequence[Tensor]]
) -> Figures:
    """What candidates u [K, P] come to, best first."""
    sounds = job.hear(u)
    matches = job.evaluation_scorer(sounds)
    figures = {
        "match_after": float(matches[0]),
        "match_four": float(matches.mean()),
        "search_scorer": float(job.listen(sounds[:1])),
        "seconds": seconds,
    }
    if job.prompt.right is not None:
        samples = round(LONGEST * job.setting.prior.sample_rate)
        place = rank(spectra(sounds[0], samples), recordings, job.prompt.right)
        figures |= {"rank": float(place), "top3": float(place <= 3)}
    return figures


def findings(rows: Sequence[Row]) -> list[str]:
    """What the prior is worth up to each stage, and what each stage adds, per instrument."""
    said = []
    names = tuple(STAGES.values())
    for instrument in sorted({tag for row in rows for tag in row.tags}):
        own = [row for row in rows if instrument in row.tags]
        for figure, words in (("match_after", "match"), ("top3", "share in the top 3")):
            said += [
                f"{instrument}, {words}, {name}, prior rather than shuffled prior: "
                f"{paired_difference(own, figure, name, name + SHUFFLED)}"
                for name in names[1:]
            ]
            said += [
                f"{instrument}, {words}, {after} rather than {before}: "
                f"{paired_difference(own, figure, after, before)}"
                for before, after in pairwise(names)
            ]
    return said
