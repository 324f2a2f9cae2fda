"""DPM-Solver++: exponential integrators that extrapolate D itself, in lambda = -log sigma.

From s to t, with h = lambda_t - lambda_s, the ODE is solved by (Lu et al. 2022, arXiv 2211.01095,
eq. 8, here with alpha = 1)

    x_t = (sigma_t / sigma_s) x_s + integral over [0, h] of e^(u - h) D(lambda_s + u) du

and the solvers differ in what they take for D. One evaluation a step: `dpmpp_2m`, `dpmpp_3m`, which
use D of earlier steps. Two and three: `exponential_rk2s`, `exponential_rk3s`. lambda has no end, so
that a step to level zero returns D, one evaluation in every solver.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser
from sds.samplers.exponential import NODES, WEIGHTS, lagrange_bases
from sds.samplers.ode import _per_item, _wide


def dpmpp_2m(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` by DPM-Solver++(2M): one evaluation a step.

    Lu et al. 2022 (arXiv 2211.01095), algorithm 2. `sigmas` is [N + 1] or [N + 1, B]; returns x at
    the last one, [B, D, L]. With lambda = -log sigma and h the step in lambda: x <- (sigma'/sigma)
    x + (1 - e^-h) D', where D' extrapolates the last two D linearly in lambda.
    """
    older: tuple[Tensor, Tensor] | None = None  # D and h of the step before
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d0 = denoise(x, sigma)
        if torch.all(after == 0):
            return d0
        h = (sigma / after).log()
        extrapolated = d0
        if older is not None:
            extrapolated = d0 + _wide(h / (2 * older[1]), x) * (d0 - older[0])
        x = _wide(after / sigma, x) * x + _wide(-torch.expm1(-h), x) * extrapolated
        older = d0, h
    return x


def dpmpp_3m(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] or [N + 1, B] by DPM-Solver++(3M): one
    evaluation a step; x at the last.

    Lu et al. 2022 (arXiv 2211.01095, section 4.2): D is the parabola in lambda through its last
    three values, and the integral is taken exactly: order 3. The authors' code and its descendants
    take half of the parabola's last term, which leaves order 2. The first two steps have one and
    two values.
    """
    known: list[tuple[Tensor, Tensor]] = []  # sigma [B] and D, the newest first
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d = denoise(x, sigma)
        if torch.all(after == 0):
            return d
        known = [(sigma, d), *known[:2]]
        x = exponential_step(x, sigma, after, known)
    return x


def exponential_rk2s(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] or [N + 1, B] by DPM-Solver++(2S): two
    evaluations a step; x at the last.

    Lu et al. 2022 (arXiv 2211.01095), algorithm 1 with r = 1/2, the exponential midpoint rule of
    Hochbruck & Ostermann 2005 (SIAM J. Numer. Anal. 43, eq. 5.4 with c_2 = 1/2): x <- (sigma'/
    sigma) x + (1 - e^-h) D_s, D_s at lambda + h/2. Order 2.
    """
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d = denoise(x, sigma)
        if torch.all(after == 0):
            return d
        middle = (sigma * after).sqrt()
        u = exponential_step(x, sigma, middle, [(sigma, d)])
        x = exponential_step(x, sigma, after, [(middle, denoise(u, middle))])
    return x


def exponential_rk3s(denoise: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] or [N + 1, B] by DPM-Solver++(3S): three
    evaluations a step; x at the last.

    DPM-Solver-3 (Lu et al. 2022, arXiv 2206.00927, algorithm 2 with r_1 = 1/3, r_2 = 2/3) on D in
    place of eps; the exponential Heun rule of order 3 of Hochbruck & Ostermann 2005 (SIAM J. Numer.
    Anal. 43, section 5.2). D is the line through its values at lambda and lambda + h/3 for the
    second stage, at lambda and lambda + 2h/3 for the step.
    """
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d = denoise(x, sigma)
        if torch.all(after == 0):
            return d
        third = sigma * (after / sigma) ** (1 / 3)
        two_thirds = sigma * (after / sigma) ** (2 / 3)
        u = exponential_step(x, sigma, third, [(sigma, d)])
        u = exponential_step(x, sigma, two_thirds, [(sigma, d), (third, denoise(u, third))])
        known = [(sigma, d), (two_thirds, denoise(u, two_thirds))]
        x = exponential_step(x, sigma, after, known)
    return x


def exponential_step(
    x: Tensor, sigma: Tensor, after: Tensor, known: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """x [B, D, L] at levels `after` [B], from `sigma` [B], with D the polynomial in lambda through
    `known`, pairs of levels [B] and D [B, D, L]."""
    x_after = _wide(after / sigma, x) * x
    weights = exponential_weights(sigma, after, [level for level, _ in known])
    for weight, (_, d) in zip(weights, known, strict=True):
        x_after = x_after + _wide(weight.to(x), x) * d
    return x_after


def exponential_weights(sigma: Tensor, after: Tensor, known: list[Tensor]) -> list[Tensor]:
    """Weight [B] of D at each of the levels `known`, K of [B], for a step from `sigma` [B] to
    `after` [B].

    Integrals over [0, h] of e^(u - h) times the Lagrange bases in u = lambda - lambda_s, in float64
    by quadrature, whose error is below 1e-12 for h up to 20: the closed forms by phi functions
    subtract nearly equal numbers where h is small.
    """
    start, *at = (-level.double().cpu().log().numpy() for level in (sigma, *known))
    half = (-after.double().cpu().log().numpy() - start) / 2
    nodes, weights = NODES[:, None], WEIGHTS[:, None]
    u = half * (1 + nodes)  # [16, B]
    decayed = half * weights * np.exp(u - 2 * half)
    bases = lagrange_bases(u, np.stack(at) - start)
    return [torch.from_numpy((decayed * basis).sum(0)) for basis in bases]
