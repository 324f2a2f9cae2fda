"""Differential evolution of parameter vectors in the unit cube.

For what gradients do not find: an FM ratio has a minimum at every near miss. Knows no synth; the
differences between the members of a population say which knobs go together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def evolve(
    fitness: Callable[[Tensor], Tensor],
    u: Tensor,
    *,
    generations: int,
    generator: torch.Generator,
    scores: Tensor | None = None,
    best: float = 0.25,
    step: float = 0.5,
    crossover: float = 0.7,
    jitter: float = 0.02,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Maximise `fitness` [M] of a population u [M, P] in 0..1; yields (u, fitness) after each
    generation. `scores` [M] is the fitness of u, where it is known.

    current-to-pbest/1 with binomial crossover (Zhang & Sanderson 2009, JADE, eq. 6) at a fixed
    `step` F: v = u + F (p - u) + F (a - b), p one of the `best` share, a and b any; each knob takes
    v with probability `crossover`, and a child replaces its parent when it is fitter. `jitter` is
    the deviation of noise on every knob that a child takes: without it a knob on which all members
    agree would never move again.
    """
    scores, many = fitness(u) if scores is None else scores, len(u)
    for _ in range(generations):
        top = u[scores.argsort(descending=True)[: max(1, round(best * many))]]
        p, a, b = (x[torch.randint(len(x), (many,), generator=generator)] for x in (top, u, u))
        noise = jitter * torch.randn(u.shape, generator=generator, dtype=u.dtype)
        taken = torch.rand(u.shape, generator=generator) < crossover
        child = torch.where(taken, u + step * (p - u + a - b) + noise, u).clamp(0.0, 1.0)
        new = fitness(child)
        fitter = new > scores
        u = torch.where(fitter[:, None], child, u)
        scores = torch.where(fitter, new, scores)
        yield u, scores
