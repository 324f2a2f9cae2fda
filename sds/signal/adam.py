"""Adam for one tensor, as torch computes it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1) on `x`, with step size `lr`, which may be set anew.

    The numbers are those of `torch.optim.Adam`, bit for bit. That one loads torch's compiler with
    its first tensor: 3 s of a core in the first search of every worker.
    """

    def __init__(
        self, x: Tensor, *, lr: float, moments: Mapping[str, Tensor] | None = None
    ) -> None:
        """`moments` are those of another one, which it then goes on from."""
        known = moments or {}
        self.lr = lr
        self._x, self._steps = x, int(known.get("steps", torch.tensor(0)))
        self._m = known.get("m", torch.zeros_like(x)).clone()
        self._v = known.get("v", torch.zeros_like(x)).clone()

    @property
    def moments(self) -> dict[str, Tensor]:
        """Copies of what it remembers, by name: steps, m and v; nothing before the first step."""
        if not self._steps:
            return {}
        return {"steps": torch.tensor(self._steps), "m": self._m.clone(), "v": self._v.clone()}

    def zero_grad(self) -> None:
        """Forget the gradient of `x`."""
        self._x.grad = None

    @torch.no_grad()
    def step(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        """Move `x` against its gradient g: m and v are the means of g and g^2, less their bias."""
        g = self._x.grad
        if g is None:
            raise ValueError("a step needs a gradient, and nothing was differentiated")
        self._steps += 1
        self._m.lerp_(g, 1 - beta1)
        self._v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        unbiased = (self._v.sqrt() / (1 - beta2**self._steps) ** 0.5).add_(epsilon)
        self._x.addcdiv_(self._m, unbiased, value=-self.lr / (1 - beta1**self._steps))
