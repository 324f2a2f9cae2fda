"""Score distillation: move a renderer's parameters until a prior finds the sound plausible.

Audio-SDS (Richter-Powell et al. 2025, arXiv 2505.04621), with what made it work better here: many
candidates scored first, the prior asked which of them it prefers, evolution on both opinions near
clips that it generates, or a fit to these. `sds.distillation.recipes` has the numbers,
`sds.distillation.stages` the stages, `sds.distillation.sds_targets` the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sds.distillation.clips import Clips
from sds.distillation.descent import RenderFn
from sds.distillation.patch_search import CHUNK, Score, Search, search_for
from sds.distillation.recipes import PatchRecipe
from sds.distillation.search_state import SearchState, Stage, Tensors
from sds.distillation.stages import (
    StageStep,
    crowd_and_clips,
    evolve_crowd,
    fit_clips,
    follow_targets,
    generate_clips,
    judged,
    score_candidates,
)
from sds.priors.base import Prior

__all__ = ["RenderFn", "Score", "Stage", "Step", "distill", "recipe_for", "run_stages"]

FEW = 100  # knobs; in more, a crowd of some dozen patches learns nothing
STEPS_A_GENERATION = 2.5  # steps of the fit that take as long
RECORDING_STEPS = 40  # at least so many to a recording: unlike a clip, it is what is wanted


@dataclass(frozen=True, slots=True)
class Step:
    """Where the search stands after step `index` of `of`; safe to stop after any of them.

    - `stage`: what was done; `t`: the diffusion time of the target, 0 where there is none.
    - `loss`: [S] of the starts still running, not comparable between stages or t.
    - `best_u`: the best parameters so far, [P] in 0..1; `start`: the row of u0 they came from.
    - `score`: that of `best_u`; without a scorer, minus the distance to the prior's estimate at a
      fixed t and noise. It never falls, but in the last step of a recipe that keeps the last;
      `improved` says that it rose in this step.
    - `candidates`: [K, P], the best so far that differ, best first, K at most the count asked for;
      `scores`: theirs [K]. The first is `best_u`.
    - `state`: where a later run goes on; None of a search that has none.
    """

    index: int
    of: int
    stage: Stage
    t: float
    loss: Tensor
    best_u: Tensor
    score: float
    start: int
    improved: bool
    candidates: Tensor
    scores: Tensor
    state: SearchState | None = None


def distill(
    render: RenderFn,
    prior: Prior,
    prompt: str,
    u0: Tensor,
    *,
    recipe: PatchRecipe,
    generator: torch.Generator,
    score: Score | None = None,
    count: int = 1,
    like: Tensor | None = None,
    state: SearchState | None = None,
) -> Iterator[Step]:
    """Search parameters whose sound a prior finds plausible for `prompt`; yields after each step.

    u0 [M, P] in 0..1 are candidates (give `recipe.candidates` of them), the first being the sound
    to beat. The best `recipe.starts` are optimised as one batch. Steps hold the best `count` >= 1
    that differ. `like` [C, T], at the prior's rate, is a recording to come near to instead of clips
    that the prior generates, cut or padded to the length of a render; the prompt may then be "".
    With the `state` of a step, a search with the same arguments goes on there; `generator` is then
    as it was at the beginning.
    Closing the generator stops it within a step. All random numbers come from `generator`, on the
    CPU. Raises `ValueError` for u0 of another shape or range, a count below 1, a recording of
    another shape.
    """
    if u0.ndim != 2 or not bool(((u0 >= 0) & (u0 <= 1)).all()):
        raise ValueError(f"u0 must be [M, P] with values in 0..1, got {list(u0.shape)}")
    if like is not None and like.ndim != 2:
        raise ValueError(f"like must be [C, T], got {list(like.shape)}")
    recipe = recipe_for(recipe, u0.shape[1])
    if like is not None:
        recipe = replace(recipe, fit_steps=max(recipe.fit_steps, RECORDING_STEPS))
    if not prompt:
        recipe = replace(recipe, preference=0.0)  # there are no words to prefer
    of = _count(recipe, len(u0), like is not None)
    u0 = u0.detach().float()
    search = search_for(render, prior, prompt, u0, recipe, generator, score, count, like)
    if state is not None:
        search.restore(state.tensors)
    best, done = float(search.found.scores[0]), 0 if state is None else state.index
    for index, step in enumerate(run_stages(search, u0, state), start=done + 1):
        u, scores = search.found.best()
        improved = float(scores[0]) > best
        best, start = float(scores[0]), int(search.found.rows[0])
        here = SearchState(step.stage, index - step.again, step.state)
        yield Step(
            index, of, step.stage, step.t, step.loss, u[0], best, start, improved, u, scores, here
        )


def recipe_for(recipe: PatchRecipe, knobs: int) -> PatchRecipe:
    """The recipe for a synth of so many knobs: with many, the time of evolution goes to the fit.

    Measured on recordings of the training corpus: for 836 knobs the fit alone matched better and
    came nearer to the recording, for 27 it did not.
    """
    if knobs <= FEW or not recipe.generations:
        return recipe
    steps = recipe.fit_steps + round(STEPS_A_GENERATION * recipe.generations)
    return replace(recipe, generations=0, fit_steps=steps)


def _count(recipe: PatchRecipe, candidates: int, like: bool) -> int:
    """How many steps `run_stages` yields, at most."""
    count = -(-candidates // CHUNK)
    if recipe.preference:
        count += -(-judged(recipe.crowd, candidates) // CHUNK)
    if recipe.generated and not like:
        count += recipe.generate_steps
    if recipe.generated or like:
        count += recipe.fit_steps
    return count + recipe.generations + recipe.distillation.steps


def run_stages(search: Search, u0: Tensor, state: SearchState | None = None) -> Iterator[StageStep]:
    """Run the stages of a search from candidates u0 [M, P], one after another; yields each step.

    The candidates are rated; clips are generated, and those that are not accepted forgotten; the
    best candidates evolve, are fitted to the clips, and follow the prior's targets. With a `state`
    those stages that are done are left out.
    """
    recipe, clips = search.recipe, Clips(torch.zeros(0))

    def left(stage: Stage) -> bool:
        return state is None or not state.reached(stage) or state.stage == stage

    def begun(stage: Stage) -> Tensors:
        return state.tensors if state is not None and state.stage == stage else {}

    if state is None or not state.reached("generate"):
        crowd = yield from score_candidates(search, u0, {} if state is None else state.tensors)
    else:
        crowd, clips = crowd_and_clips(state.tensors)
    if left("generate") and (recipe.generated or search.like is not None):
        clips = yield from generate_clips(search, crowd)
    if left("evolve") and recipe.generations:
        crowd = yield from evolve_crowd(search, crowd, clips, begun("evolve"))
    if left("fit") and recipe.fit_steps and len(clips):
        crowd = yield from fit_clips(search, crowd, clips, begun("fit"))
    if recipe.distillation.steps:
        yield from follow_targets(search, crowd, clips, begun("distill"))
