"""The tables of solvers: of deterministic ones what each costs and how fast it converges."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from sds.samplers.dpm_solver import dpmpp_2m, dpmpp_3m, exponential_rk2s, exponential_rk3s
from sds.samplers.exponential import adams_bashforth, itself, tab3
from sds.samplers.ode import Sampler, euler, heun
from sds.samplers.stochastic import churn, dpmpp_3m_sde, ping_pong, repaint
from sds.samplers.unipc import unipc


class Solver(NamedTuple):
    """A sampler, its evaluations a step, and its orders of convergence.

    `order` is that of its steps. `starting` is that with even steps: a multistep solver knows too
    little for its first steps, whose error remains.
    """

    sample: Sampler
    evaluations: int
    order: int
    starting: int

    def steps(self, evaluations: int) -> int:
        """Most steps that cost at most so many evaluations; the last, to level zero, costs one."""
        return 1 + (evaluations - 1) // self.evaluations


SAMPLERS: dict[str, Solver] = {
    "euler": Solver(euler, 1, 1, 1),
    "heun": Solver(heun, 2, 2, 2),
    "rhoab2": Solver(partial(adams_bashforth, order=2, variable=itself), 1, 2, 2),
    "rhoab3": Solver(partial(adams_bashforth, order=3, variable=itself), 1, 3, 2),
    "rhoab4": Solver(partial(adams_bashforth, order=4, variable=itself), 1, 4, 2),
    "tab2": Solver(partial(adams_bashforth, order=2), 1, 2, 2),
    "tab3": Solver(tab3, 1, 3, 2),
    "tab4": Solver(partial(adams_bashforth, order=4), 1, 4, 2),
    "logab2": Solver(partial(adams_bashforth, order=2, variable=np.log), 1, 2, 2),
    "logab3": Solver(partial(adams_bashforth, order=3, variable=np.log), 1, 3, 2),
    "logab4": Solver(partial(adams_bashforth, order=4, variable=np.log), 1, 4, 2),
    "exponential_rk2s": Solver(exponential_rk2s, 2, 2, 2),
    "exponential_rk3s": Solver(exponential_rk3s, 3, 3, 3),
    "dpmpp_2m": Solver(dpmpp_2m, 1, 2, 2),
    "dpmpp_3m": Solver(dpmpp_3m, 1, 3, 2),
    "unipc2": Solver(partial(unipc, order=2), 1, 3, 3),
    "unipc3": Solver(partial(unipc, order=3), 1, 4, 3),
}
"""Solvers by name; rhoab, tab and logab are `adams_bashforth` in sigma, sigma^(1/7), log sigma."""

STOCHASTIC: dict[str, Callable[[torch.Generator], Sampler]] = {
    "churn": churn,
    "dpmpp_3m_sde": dpmpp_3m_sde,
    "ping_pong": ping_pong,
    "repaint": repaint,
}
"""Stochastic samplers by name, which are built with the generator of their noise."""


def sampler_of(name: str, generator: torch.Generator) -> Sampler:
    """The sampler of a name of `SAMPLERS` or of `STOCHASTIC`; the latter draw from `generator`.

    Raises `ValueError` for another name.
    """
    if name in SAMPLERS:
        return SAMPLERS[name].sample
    if name in STOCHASTIC:
        return STOCHASTIC[name](generator)
    known = ", ".join([*SAMPLERS, *STOCHASTIC])
    raise ValueError(f"sampler must be one of {known}, got {name!r}")
