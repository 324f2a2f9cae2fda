"""Exponential Adams-Bashforth solvers (DEIS): many evaluations are used again, one is made a step.

In sigma the ODE dx/dsigma = eps with eps = (x - D)/sigma has no linear part, so a step is the
integral of eps over [sigma, sigma']. eps is extrapolated by the polynomial through its last values,
in a variable p(sigma): the nearer eps is to a polynomial of low degree in p, the longer a step can
be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sds.samplers.denoiser import Denoiser
from sds.samplers.ode import _per_item, _wide

Floats: TypeAlias = NDArray[np.float64]
Variable: TypeAlias = Callable[[Any], Any]
"""p(sigma), monotone: the variable in which eps is extrapolated."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
"""Gauss-Legendre quadrature on [-1, 1]: exact for polynomials up to degree 31."""


def itself(sigma: Floats) -> Floats:
    """p = sigma: the rho-AB of DEIS, classical Adams-Bashforth with steps of any length."""
    return sigma


def seventh_root(sigma: Floats) -> Floats:
    """p = sigma^(1/7), in which the levels of `karras` are evenly spaced: near DEIS's t-AB."""
    return np.asarray(sigma ** (1 / 7))


def adams_bashforth(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    *,
    order: int = 3,
    variable: Variable = seventh_root,
) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] or [N + 1, B] by exponential
    Adams-Bashforth: one evaluation a step.

    Zhang & Chen 2022 (arXiv 2204.13902), eq. 15; returns x at the last level, [B, D, L]. x_{i+1} =
    x_i + sum_j C_ij eps_{i-j}, C_ij the integral over [sigma_i, sigma_{i+1}] of the Lagrange basis
    through the last `order` levels, taken in `variable`. The first steps have as many levels as
    there are: with even steps the first, of order 1, leaves an error of order 2. Order 1 is Euler.
    A step to a level where the variable is infinite (log sigma at zero) is of order 1 and returns
    D. Raises `ValueError` for an order below 1.
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order}")
    rows = sigmas if sigmas.ndim == 2 else sigmas[:, None]
    levels = rows.double().cpu().numpy()  # [N + 1, B], or [N + 1, 1] where all have one schedule
    eps: list[Tensor] = []
    for i, sigma in enumerate(_per_item(sigmas[:-1], x)):
        eps = [(x - denoise(x, sigma)) / _wide(sigma, x), *eps[: order - 1]]
        with np.errstate(divide="ignore"):
            reached = bool(np.isfinite(variable(levels[i + 1])).all())
        first = max(0, i - order + 1) if reached else i
        known = levels[first : i + 1][::-1]
        coefficients = _lagrange(known, levels[i + 1], variable)
        for c, e in zip(coefficients, eps[: len(known)], strict=True):
            x = x + _wide(torch.from_numpy(c).to(x), x) * e
    return x


def tab3(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] or [N + 1, B] by DEIS tAB3: one
    evaluation a step; x at the last level.

    `adams_bashforth` of order 3 in sigma^(1/7): docs/samplers.md compares it with the others.
    """
    return adams_bashforth(denoise, x, sigmas, order=3, variable=seventh_root)


def lagrange_bases(p: Floats, known: Floats) -> list[Floats]:
    """The Lagrange bases through `known` [K, ...] at p [Q, ...]: K arrays [Q, ...]."""
    out = []
    for j, here in enumerate(known):
        others = [(p - other) / (here - other) for k, other in enumerate(known) if k != j]
        out.append(np.prod(others, axis=0) if others else np.ones_like(p))
    return out


def _lagrange(known: Floats, after: Floats, variable: Variable = seventh_root) -> list[Floats]:
    """Integrals over sigma from known[0] to `after` of the Lagrange bases in the variable.

    `known` is [K] or [K, B], the newest first, `after` a number or [B]; K numbers or arrays [B].
    """
    known, after = np.asarray(known), np.asarray(after)
    half = (after - known[0]) / 2
    nodes, weights = (each.reshape(-1, *[1] * half.ndim) for each in (NODES, WEIGHTS))
    p = variable(known[0] + half * (1 + nodes))
    return [half * np.sum(weights * basis, axis=0) for basis in lagrange_bases(p, variable(known))]
