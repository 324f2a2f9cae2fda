"""The stages of a search for a patch: candidates, clips, evolution, fit, score distillation.

Each is a generator of `StageStep`s and returns what the next begins with. They share a `Search`,
which rates sounds and remembers the best. `begun` is what an earlier run of the stage left, empty
at its beginning.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sds.distillation.clips import Clips
from sds.distillation.descent import BestSoFar, descend, falling, fit_step, leaf
from sds.distillation.differential_evolution import evolve
from sds.distillation.family_recipes import clip_sampling
from sds.distillation.patch_search import CHUNK, Kept, Search
from sds.distillation.recipes import Recipe
from sds.distillation.sds_targets import distance, features, target
from sds.distillation.search_state import Stage, Tensors, below
from sds.priors.base import device_of
from sds.priors.families import family_of
from sds.priors.sampling import generate_stepwise
from sds.signal.adam import Adam


@dataclass(frozen=True, slots=True)
class StageStep:
    """One step of one stage: the parameters u [S, P] it is at and their loss [S].

    `state` is what the stage goes on with (`sds.distillation.search_state`), doing the last `again`
    steps once more.
    """

    stage: Stage
    u: Tensor
    loss: Tensor
    state: Tensors
    again: int = 0
    t: float = 0.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """Patches u [N, P], the rows [N] of u0 that they came from, and what they are worth [N], best
    first.
    """

    u: Tensor
    rows: Tensor
    worth: Tensor

    def best(self, count: int) -> Crowd:
        """The first `count` of them."""
        return Crowd(self.u[:count], self.rows[:count], self.worth[:count])


def sorted_crowd(u: Tensor, rows: Tensor, worth: Tensor) -> Crowd:
    """Patches u [N, P], rows [N] and worth [N] in order, ties as they were."""
    order = worth.argsort(descending=True, stable=True)
    return Crowd(u[order], rows[order], worth[order])


def stage_state(search: Search, crowd: Crowd, clips: Clips, **own: Tensor) -> Tensors:
    """What a stage goes on with: what it began with, what it found, and its own."""
    before = {
        "crowd.u": crowd.u,
        "crowd.rows": crowd.rows,
        "crowd.worth": crowd.worth,
        "clips": clips.sounds,
    }
    return {**search.state(), **before, **own}


def crowd_and_clips(state: Tensors) -> tuple[Crowd, Clips]:
    """What a stage began with, of its state."""
    crowd = Crowd(state["crowd.u"], state["crowd.rows"], state["crowd.worth"])
    return crowd, Clips(state["clips"])


def score_candidates(
    search: Search, u0: Tensor, begun: Tensors
) -> Generator[StageStep, None, Crowd]:
    """Score u0 [M, P], `CHUNK` of them a step, then rate the best `recipe.crowd` or `starts`."""
    scores = begun.get("scores", torch.zeros(0))
    for chunk in _rest(u0, len(scores)):
        here = torch.arange(len(scores), len(scores) + len(chunk))
        if search.prefer is None:
            new = search.evaluate(chunk, here)
        else:
            new = search.score_of(search.play(chunk))
        scores = torch.cat([scores, new])
        state = {**search.state(), "scores": scores}
        yield StageStep("search", u0[: len(scores)], -scores[-len(chunk) :], state)
    crowd = sorted_crowd(u0, torch.arange(len(u0)), scores)
    if search.prefer is None:
        return crowd
    crowd = crowd.best(judged(search.recipe.crowd, len(u0)))
    ratings = begun.get("ratings", torch.zeros(0))
    parts = [_rest(values, len(ratings)) for values in (crowd.u, crowd.rows)]
    for chunk, rows in zip(*parts, strict=True):
        ratings = torch.cat([ratings, search.evaluate(chunk, rows)])
        state = {**search.state(), "scores": scores, "ratings": ratings}
        yield StageStep("prefer", crowd.u[: len(ratings)], -ratings[-len(chunk) :], state)
    return sorted_crowd(crowd.u, crowd.rows, ratings)


def _rest(values: Tensor, done: int) -> list[Tensor]:
    """The chunks of values [M, ...] that follow those which are done."""
    return [values[i : i + CHUNK] for i in range(done, len(values), CHUNK)]


def judged(crowd: int, candidates: int) -> int:
    """How many candidates the prior is asked about."""
    return min(crowd, candidates)


def generate_clips(search: Search, crowd: Crowd) -> Generator[StageStep, None, Clips]:
    """Clips that the prior generates, if accepted; or, at once, the recording to come near to."""
    if search.like is not None:
        return Clips(search.like)
    recipe, state, steps = search.recipe, stage_state(search, crowd, Clips(torch.zeros(0))), 0
    levels, scale = clip_sampling(recipe, family_of(search.prior))
    generating = generate_stepwise(
        search.prior, [search.prompt] * recipe.generated, search.samples / search.prior.sample_rate,
        steps=levels, scale=scale, generator=search.generator,
    )  # fmt: skip
    try:
        while True:
            next(generating)
            steps += 1
            yield StageStep(
                "generate", crowd.best(recipe.starts).u, torch.zeros(0), state, again=steps
            )
    except StopIteration as end:
        sounds: Tensor = end.value
    finally:
        generating.close()
    scores = search.score_of(sounds)
    order = scores.argsort(descending=True, stable=True)[: recipe.starts]
    return Clips(sounds[order[scores[order] >= recipe.accept]])


def evolve_crowd(
    search: Search, crowd: Crowd, clips: Clips, begun: Tensors
) -> Generator[StageStep, None, Crowd]:
    """Evolve the best `recipe.crowd` on their ratings less `recipe.closeness` times the distance to
    the nearest clip; until `recipe.patience` generations in a row have found nothing better.
    """
    recipe, generator = search.recipe, search.generator
    crowd = crowd.best(recipe.crowd)
    fitness = Fitness(search, crowd.rows, clips)
    best, waited, done, last, worth = -math.inf, 0, 0, crowd, None
    if begun:
        u, worth = begun["u"], begun["worth"]
        last = sorted_crowd(u, crowd.rows, worth)
        fitness.worth, fitness.most = begun["fittest"], float(begun["most"])
        best, waited, done = float(begun["best"]), int(begun["waited"]), int(begun["done"])
    evolving = evolve(
        fitness, crowd.u if worth is None else u, scores=worth,
        generations=recipe.generations - done, generator=generator,
    )  # fmt: skip
    while not (recipe.patience and waited >= recipe.patience):
        if (generation := next(evolving, None)) is None:
            break
        u, worth = generation
        done += 1
        last = sorted_crowd(u, crowd.rows, worth)
        waited = 0 if float(last.worth[0]) > best else waited + 1
        best = max(best, float(last.worth[0]))
        numbers = {"most": fitness.most, "best": best, "waited": waited, "done": done}
        state = stage_state(
            search, crowd, clips, u=u, worth=worth, fittest=fitness.worth,
            **{name: torch.tensor(float(x), dtype=torch.float64) for name, x in numbers.items()},
        )  # fmt: skip
        shown = last.best(recipe.starts)
        yield StageStep("evolve", shown.u, -shown.worth, state)
    return last


class Fitness:
    """What evolution raises: the rating less `recipe.closeness` times the distance to the clips.

    The prior is asked about a child only where the most that it has liked anything would make the
    child fitter than its parent: most are not.
    """

    def __init__(self, search: Search, rows: Tensor, clips: Clips) -> None:
        """`rows` [N] of u0 are those the N of a population came from."""
        self.search, self.rows, self.clips = search, rows, clips
        self.worth = torch.full((len(rows),), -math.inf)  # of each place's fittest
        self.most = -math.inf  # of all preferences

    def __call__(self, u: Tensor) -> Tensor:
        """Fitness [N] of patches u [N, P], minus infinity where a child has no chance."""
        search = self.search
        sounds = search.play(u)
        ratings, gaps = search.score_of(sounds), self.clips.gaps(sounds)
        worth = ratings - search.recipe.closeness * gaps
        if search.prefer is not None:
            weight = search.recipe.preference
            hope = (worth + weight * max(self.most, 0.0) > self.worth) | self.worth.isinf()
            liked = torch.full_like(worth, -math.inf)
            if bool(hope.any()):
                liked[hope] = search.prefer(sounds[hope])
            self.most = max(self.most, float(liked.max()))
            ratings, worth = ratings + weight * liked, worth + weight * liked
        search.found.offer(u, ratings, sounds, self.rows)
        self.worth = torch.maximum(self.worth, worth)
        return worth


def fit_clips(
    search: Search, crowd: Crowd, clips: Clips, begun: Tensors
) -> Generator[StageStep, None, Crowd]:
    """Fit the nearest of the crowd to the clips; the best `recipe.starts` of these and of the
    crowd.
    """
    recipe, sds = search.recipe, search.recipe.distillation
    start = crowd.best(recipe.starts)
    near = clips.nearest(search.play(crowd.u), len(start.u))
    rows, wanted = crowd.rows[near], clips.wanted(len(start.u), sds.scales)
    kept = _kept(search, crowd.u[near], rows, clips, begun)
    u, adam = leaf(begun.get("u", crowd.u[near]), sds.lr, below(begun, "adam"))
    for i in range(int(begun.get("done", 0)), recipe.fit_steps):
        if i % sds.look == 0:
            looked, state = i, _descent_state(search, crowd, clips, u, adam, kept, done=i)
        loss = fit_step(
            search.hear, wanted, u, adam, index=i, recipe=replace(sds, steps=recipe.fit_steps)
        )
        now = u.detach().clone()
        if (i + 1) % sds.look == 0 or i + 1 == recipe.fit_steps:
            search.look(kept, now, rows, clips)
        yield StageStep("fit", now, loss, state, again=i + 1 - looked)
    u, rows = torch.cat([kept.u, start.u]), torch.cat([rows, start.rows])
    return sorted_crowd(u, rows, search.evaluate(u, rows)).best(recipe.starts)


def _kept(search: Search, u: Tensor, rows: Tensor, clips: Clips, begun: Tensors) -> Kept:
    """Begin to keep patches u [S, P] from rows [S], or go on with those that were kept."""
    if not begun:
        return search.keep(u, rows, clips)
    kept = below(begun, "kept")
    return Kept(kept["u"], kept["ratings"], kept["gaps"], strict=search.recipe.take_back)


def _descent_state(
    search: Search,
    crowd: Crowd,
    clips: Clips,
    u: Tensor,
    adam: Adam,
    kept: Kept,
    *,
    done: int,
    **own: Tensor,
) -> Tensors:
    """What a descent goes on with after `done` steps; copies of what its steps change in place."""
    patches = {"kept.u": kept.u, "kept.ratings": kept.ratings, "kept.gaps": kept.gaps}
    adams = {f"adam.{name}": value for name, value in adam.moments.items()}
    here = {"u": u.detach().clone(), "done": torch.tensor(done)}
    return stage_state(search, crowd, clips, **here, **patches, **adams, **own)


def follow_targets(
    search: Search, crowd: Crowd, clips: Clips, begun: Tensors
) -> Iterator[StageStep]:
    """Score distillation of the best `recipe.starts`: Adam towards targets of the prior."""
    generator, recipe = search.generator, search.recipe.distillation
    start = crowd.best(search.recipe.starts)
    rows = begun.get("rows", start.rows)
    u, adam = leaf(begun.get("u", start.u), recipe.lr, below(begun, "adam"))
    wanted: list[Tensor] = []
    nearest, kept = BestSoFar(begun.get("nearest", u)), _kept(search, start.u, rows, clips, begun)
    denoise, free = search.guided(recipe.guidance), search.guided(0.0)
    invert = search.guided(-recipe.guidance) if recipe.inversion else None
    for i in range(int(begun.get("done", 0)), recipe.steps):
        if i % recipe.refresh == 0:  # nothing of the targets before is needed any more
            own, aimed = {"rows": rows, "nearest": nearest.u.clone()}, i
            state = _descent_state(search, crowd, clips, u, adam, kept, done=i, **own)
        if i % recipe.refresh == 0 and recipe.refresh > 1:
            with torch.no_grad():
                u.copy_(nearest.u)
            nearest = BestSoFar(u)
        if i == recipe.steps // 2 and len(u) > search.recipe.finalists:
            ratings = search.evaluate(u.detach(), rows)
            keep = ratings.argsort(descending=True, stable=True)[: search.recipe.finalists]
            rows, wanted = rows[keep], [w[keep] for w in wanted]
            nearest, kept = nearest.rows(keep), kept.rows(keep)
            u, adam = leaf(u.detach()[keep], recipe.lr)
        x = search.hear(u).to(device_of(search.prior))  # what follows stays there
        if i % recipe.refresh == 0:
            t = _times(recipe, i, len(u) * recipe.samples, generator)
            wanted = target(
                search.prior, denoise, x, t=t, recipe=recipe, generator=generator,
                free=free, invert=invert,
            )  # fmt: skip
        loss = distance(features(search.prior, x, recipe), wanted, recipe).to(u.device)
        nearest.see(u, loss)
        descend(u, adam, loss, falling(recipe.lr, i / recipe.steps if recipe.anneal else 0.0))
        if (i + 1) % recipe.look == 0 or i + 1 == recipe.steps:
            search.look(kept, u.detach(), rows, clips)
            if search.recipe.take_back:
                with torch.no_grad():
                    u.copy_(kept.u)
                nearest.u.copy_(kept.u)
        if i + 1 == recipe.steps and search.recipe.keep == "last":
            search.end(u.detach(), rows)
        now = u.detach().clone()
        yield StageStep("distill", now, loss.detach(), state, again=i + 1 - aimed, t=float(t[0]))


def _times(recipe: Recipe, i: int, count: int, generator: torch.Generator) -> Tensor:
    """Times [count] of step i: uniform in `t_range`, or falling through it."""
    low, high = recipe.t_range
    if recipe.anneal:
        return torch.full((count,), high + (low - high) * i / max(1, recipe.steps - 1))
    return low + (high - low) * torch.rand(count, generator=generator)
