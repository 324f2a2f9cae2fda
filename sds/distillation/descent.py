"""Descent on the knobs of a renderer: projected Adam, and a fit to spectrograms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from sds.distillation.recipes import Recipe
from sds.signal.adam import Adam
from sds.signal.spectrogram import magnitudes, relative_distance

RenderFn: TypeAlias = Callable[[Tensor], Tensor]
"""u [B, P] in [0, 1] -> audio [B, C, T] at the prior's rate, differentiable."""


def fit(
    render: RenderFn, wanted: list[Tensor], u0: Tensor, *, recipe: Recipe
) -> Iterator[tuple[Tensor, Tensor]]:
    """Fit the spectrograms of a render to `wanted`, one [B, C, F, N] a scale, from u0 [B, P].

    Adam for `recipe.steps` steps, its step size falling from `recipe.lr` to a tenth; of the recipe
    it reads `scales` and `log_weight` as well. Yields u [B, P] in 0..1 after each step and the loss
    [B] before it.
    """
    u, adam = leaf(u0, recipe.lr)
    for i in range(recipe.steps):
        loss = fit_step(render, wanted, u, adam, index=i, recipe=recipe)
        yield u.detach().clone(), loss


def fit_step(
    render: RenderFn,
    wanted: list[Tensor],
    u: Tensor,
    adam: Adam,
    *,
    index: int,
    recipe: Recipe,
) -> Tensor:
    """Step `index` of `fit`, on u in place; returns the loss [B] before it."""
    x = magnitudes(render(u), recipe.scales)
    loss = relative_distance(x, wanted, log_weight=recipe.log_weight)
    descend(u, adam, loss, falling(recipe.lr, index / recipe.steps))
    return loss.detach()


def falling(lr: float, share: float) -> float:
    """Adam's step size after a `share`, 0..1, of the steps: from lr to a tenth, half a cosine."""
    return lr * (0.55 + 0.45 * math.cos(math.pi * share))


def leaf(u: Tensor, lr: float, moments: Mapping[str, Tensor] | None = None) -> tuple[Tensor, Adam]:
    """A copy of u [B, P] that takes gradients, and an Adam for it, with `moments` as it was."""
    u = u.detach().clone().requires_grad_(True)
    return u, Adam(u, lr=lr, moments=moments)


def descend(u: Tensor, adam: Adam, loss: Tensor, lr: float) -> None:
    """One projected Adam step of u [B, P] on the sum of loss [B]: rows do not see one another."""
    adam.zero_grad()
    torch.autograd.backward([loss.sum()], inputs=[u])
    adam.lr = lr
    adam.step()
    with torch.no_grad():
        u.clamp_(0.0, 1.0)


class BestSoFar:
    """The parameters u [B, P] that came nearest to the present target, each row for itself; loss
    [B].

    Adam moves as far on the noise of a flat loss as on a slope; from target to target, what did not
    come nearer is taken back.
    """

    def __init__(self, u: Tensor) -> None:
        self.u = u.detach().clone()
        self.loss = torch.full((len(u),), math.inf)

    def see(self, u: Tensor, loss: Tensor) -> None:
        """Keep the rows of u [B, P] whose loss [B] is the least so far."""
        better = loss.detach() < self.loss
        self.loss = torch.where(better, loss.detach(), self.loss)
        self.u[better] = u.detach()[better]

    def rows(self, keep: Tensor) -> BestSoFar:
        """Another `BestSoFar` with the rows `keep` [N] of this one."""
        chosen = BestSoFar(self.u[keep])
        chosen.loss = self.loss[keep]
        return chosen
