"""The stages of a search for a patch: candidates, clips, evolution, fit, score distillation.

Each is a generator of `StageStep`s and returns what the next begins with. They share a `Search`,
which rates sounds and remembers the best.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from sds.distillation.clips import Clips
from sds.distillation.descent import BestSoFar, descend, falling, fit, leaf
from sds.distillation.differential_evolution import evolve
from sds.distillation.patch_search import CHUNK, Search
from sds.distillation.recipes import Recipe
from sds.distillation.sds_targets import distance, features, target
from sds.priors.sampling import generate_stepwise

Stage: TypeAlias = Literal["search", "prefer", "generate", "evolve", "fit", "distill"]


@dataclass(frozen=True, slots=True)
class StageStep:
    """One step of one stage: the parameters u [S, P] it is at and their loss [S]."""

    stage: Stage
    u: Tensor
    loss: Tensor
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


def score_candidates(search: Search, u0: Tensor) -> Generator[StageStep, None, Crowd]:
    """Score u0 [M, P], `CHUNK` of them a step, then rate the best `recipe.crowd` or `starts`."""
    scores = torch.zeros(0)
    for chunk in torch.split(u0, CHUNK):
        here = torch.arange(len(scores), len(scores) + len(chunk))
        if search.prefer is None:
            new = search.evaluate(chunk, here)
        else:
            new = search.score_of(search.play(chunk))
        scores = torch.cat([scores, new])
        yield StageStep("search", u0[: len(scores)], -scores[-len(chunk) :])
    crowd = sorted_crowd(u0, torch.arange(len(u0)), scores)
    if search.prefer is None:
        return crowd
    crowd = crowd.best(judged(search.recipe.crowd, len(u0)))
    ratings = torch.zeros(0)
    for chunk, rows in zip(
        torch.split(crowd.u, CHUNK), torch.split(crowd.rows, CHUNK), strict=True
    ):
        ratings = torch.cat([ratings, search.evaluate(chunk, rows)])
        yield StageStep("prefer", crowd.u[: len(ratings)], -ratings[-len(chunk) :])
    return sorted_crowd(crowd.u, crowd.rows, ratings)


def judged(crowd: int, candidates: int) -> int:
    """How many candidates the prior is asked about."""
    return min(crowd, candidates)


def generate_clips(search: Search, crowd: Crowd) -> Generator[StageStep, None, Clips]:
    """Clips that the prior generates, if accepted; or, at once, the recording to come near to."""
    if search.like is not None:
        return Clips(search.like)
    recipe = search.recipe
    generating = generate_stepwise(
        search.prior, [search.prompt] * recipe.generated, search.samples / search.prior.sample_rate,
        steps=recipe.generate_steps, scale=recipe.distillation.guidance, generator=search.generator,
    )  # fmt: skip
    try:
        while True:
            next(generating)
            yield StageStep("generate", crowd.best(recipe.starts).u, torch.zeros(0))
    except StopIteration as end:
        sounds: Tensor = end.value
    finally:
        generating.close()
    scores = search.score_of(sounds)
    order = scores.argsort(descending=True, stable=True)[: recipe.starts]
    return Clips(sounds[order[scores[order] >= recipe.accept]])


def evolve_crowd(search: Search, crowd: Crowd, clips: Clips) -> Generator[StageStep, None, Crowd]:
    """Evolve the best `recipe.crowd` on their ratings less `recipe.closeness` times the distance to
    the nearest clip; until `recipe.patience` generations in a row have found nothing better.
    """
    recipe, generator = search.recipe, search.generator
    crowd = crowd.best(recipe.crowd)
    fitness = Fitness(search, crowd.rows, clips)
    best, waited, last = -math.inf, 0, crowd
    for u, worth in evolve(fitness, crowd.u, generations=recipe.generations, generator=generator):
        last = sorted_crowd(u, crowd.rows, worth)
        yield StageStep("evolve", last.best(recipe.starts).u, -last.best(recipe.starts).worth)
        waited = 0 if float(last.worth[0]) > best else waited + 1
        best = max(best, float(last.worth[0]))
        if recipe.patience and waited >= recipe.patience:
            break
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


def fit_clips(search: Search, crowd: Crowd, clips: Clips) -> Generator[StageStep, None, Crowd]:
    """Fit the nearest of the crowd to the clips; the best `recipe.starts` of these and of the
    crowd.
    """
    recipe, sds = search.recipe, search.recipe.distillation
    start = crowd.best(recipe.starts)
    near = clips.nearest(search.play(crowd.u), len(start.u))
    rows, wanted = crowd.rows[near], clips.wanted(len(start.u), sds.scales)
    kept = search.keep(crowd.u[near], rows, clips)
    fitting = fit(search.hear, wanted, crowd.u[near], recipe=replace(sds, steps=recipe.fit_steps))
    for i, (u, loss) in enumerate(fitting, start=1):
        if i % sds.look == 0 or i == recipe.fit_steps:
            search.look(kept, u, rows, clips)
        yield StageStep("fit", u, loss)
    u, rows = torch.cat([kept.u, start.u]), torch.cat([rows, start.rows])
    return sorted_crowd(u, rows, search.evaluate(u, rows)).best(recipe.starts)


def follow_targets(search: Search, crowd: Crowd, clips: Clips) -> Iterator[StageStep]:
    """Score distillation of the best `recipe.starts`: Adam towards targets of the prior."""
    generator, recipe = search.generator, search.recipe.distillation
    start = crowd.best(search.recipe.starts)
    rows = start.rows
    u, adam = leaf(start.u, recipe.lr)
    wanted: list[Tensor] = []
    nearest, kept = BestSoFar(u), search.keep(u.detach(), rows, clips)
    denoise, free = search.guided(recipe.guidance), search.guided(0.0)
    invert = search.guided(-recipe.guidance) if recipe.inversion else None
    for i in range(recipe.steps):
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
        x = search.hear(u)
        if i % recipe.refresh == 0:
            t = _times(recipe, i, len(u) * recipe.samples, generator)
            wanted = target(
                search.prior, denoise, x, t=t, recipe=recipe, generator=generator,
                free=free, invert=invert,
            )  # fmt: skip
        loss = distance(features(search.prior, x, recipe), wanted, recipe)
        nearest.see(u, loss)
        descend(u, adam, loss, falling(recipe.lr, i / recipe.steps if recipe.anneal else 0.0))
        if (i + 1) % recipe.look == 0 or i + 1 == recipe.steps:
            search.look(kept, u.detach(), rows, clips)
            if search.recipe.take_back:
                with torch.no_grad():
                    u.copy_(kept.u)
                nearest.u.copy_(kept.u)
        yield StageStep("distill", u.detach().clone(), loss.detach(), float(t[0]))


def _times(recipe: Recipe, i: int, count: int, generator: torch.Generator) -> Tensor:
    """Times [count] of step i: uniform in `t_range`, or falling through it."""
    low, high = recipe.t_range
    if recipe.anneal:
        return torch.full((count,), high + (low - high) * i / max(1, recipe.steps - 1))
    return low + (high - low) * torch.rand(count, generator=generator)
