"""Sample the sources of a mixture from their posterior, given a denoiser of all of them (MSDM).

The mixture is y = sum over n of x_n, without noise, and a joint denoiser D(x [B, N, ...]; sigma)
knows what sources that play together are like. Three ways to impose y, Mariani et al. 2023
(arXiv 2302.02257, section 4.2 and algorithm 1) and one beside:

    Dirac       x_k = y - sum of the others, for one source k, and d_n <- d_n - d_k
    Gaussian    y ~ N(sum x, g^2 I): a gradient that pulls sum x towards y
    Projection  x0_k <- x0_k + w_k (y - sum x0), w_k = v_k / sum v, v_k the variance of x0_k given x

All are steps on dx/dsigma = d, d = (x - D) / sigma = -sigma score. The algorithm as printed leaves
out the factor -sigma; what is written here is what its authors' code computes.

For independent Gaussian sources the projection is the exact posterior mean: given x and y the
means of the sources move by the covariance of x0 and sum x0 (v_k) over the variance of sum x0 (sum
v). Dirac and Gaussian are not: their answers come near with churn and correctors.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from sds.samplers.churned_steps import churned_steps, level_of, lowered, noise_like, raised
from sds.samplers.denoiser import TrackDenoiser

Variances: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(x0 [B, N, ...], sigma [B, N]) -> the variance of x0 given x, which broadcasts to [B, N, ...]."""


@dataclass(frozen=True, slots=True)
class Dirac:
    """Constrain one source: it is what the others leave of the mixture.

    - `source`: its number, 0 to N - 1; None: the loudest of the latest estimate, for each item.
      A quieter source gives worse answers. Default: None.
    """

    source: int | None = None


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Pull the sum towards the mixture: d <- d - sigma / (2 g^2) (y - sum x), g = gamma sigma.

    - `gamma`: > 0, as in the authors' code. Their gradient has a factor 1/2 that the gradient of
      log N(y; sum x, g^2) has not, so the deviation it stands for is sqrt 2 gamma sigma: at their
      0.75, 1.06 sigma. An Euler step from sigma to (1 - h) sigma multiplies y - sum x by 1 - N h /
      (2 gamma^2): it diverges where that is below -1, for N = 4 and 150 steps at 0.25. Default:
      0.75.
    """

    gamma: float = 0.75


@dataclass(frozen=True, slots=True)
class Projection:
    """Project the estimate onto the mixture, what is surer moving less.

    - `variances`: the posterior variance of each source. `gaussian_variances` where deviations are
      known, `energy_variances` where not. No default.
    """

    variances: Variances


Likelihood: TypeAlias = Dirac | Gaussian | Projection
"""How the mixture is imposed."""


def gaussian_variances(std: Tensor) -> Variances:
    """Build posterior variances of Gaussian sources of deviations `std`, [N] or [N, ...].

    Tweedie: Var[x0 | x] = sigma^2 s^2 / (s^2 + sigma^2), shape [B, N, ...].
    """

    def variances(x0: Tensor, sigma: Tensor) -> Tensor:
        power = _wide(std.to(x0).square()[None], x0)
        noise = _wide(sigma.square(), x0)
        return noise * power / (power + noise)

    return variances


def energy_variances(x0: Tensor, sigma: Tensor) -> Tensor:
    """Posterior variances [B, N, 1, ...] as if each source were white, of the power that its
    estimate x0 [B, N, ...] has, at noise sigma [B, N].

    It needs no deviations, and favours loud sources: what an estimate misses is taken for quiet.
    """
    power = _energy(x0) / x0[0, 0].numel()
    noise = _wide(sigma.square(), x0)
    return noise * power / (power + noise)


def project(x0: Tensor, y: Tensor, variances: Tensor) -> Tensor:
    """Move x0 [B, N, ...] so that it sums to y [B, ...], each source in proportion to `variances`.

    x0_k + v_k / sum v (y - sum x0), with `variances` >= 0 that broadcast to [B, N, ...]; equal
    shares where all are zero.
    """
    v = variances.expand(x0.shape)
    total = v.sum(1, keepdim=True)
    shares = torch.where(total > 0, v / total, torch.full_like(v, 1 / x0.shape[1]))
    return x0 + shares * (y - x0.sum(1))[:, None]


def source_posterior_stepwise(
    denoise: TrackDenoiser,
    y: Tensor,
    sources: int,
    sigmas: Tensor,
    *,
    likelihood: Likelihood,
    churn: float = 0.0,
    resamples: int = 1,
    samples: int = 1,
    initial: Tensor | None = None,
    generator: torch.Generator,
) -> Generator[tuple[int, Tensor], None, Tensor]:
    """Separate mixtures y [B, ...] into `sources` x [B, N, ...] that sum to them.

    `sigmas` [T + 1] fall and end in 0: `karras(150, 1e-4, 1)` in the paper, with churn 20 and
    `resamples` 2 (one corrector) for `Dirac`, churn 40 for `Gaussian`. Each sample starts from
    noise of sigmas[0], or from `initial` [B, N, ...] and noise on it: diffusion then refines what a
    fast separator found (DiCoSe, 2024, arXiv 2412.06965), from a level as high as its errors.

    One sample is natural, with all that a source has. The mean of K, `samples`, is nearer to the
    true sources: its squared error is (1 + 1/K) / 2 of one sample's when the posterior is exact,
    2.5 dB less at 8. The result is projected once more, so that it sums to y exactly.

    Yields (evaluations made, x0 [B, N, ...]) after each of T * resamples * samples. Raises
    ValueError where a number or shape is out of range.
    """
    if sources < 1 or samples < 1:
        raise ValueError(f"sources and samples must be at least 1, got {sources} and {samples}")
    x = y.new_zeros((len(y), sources, *y.shape[1:]))
    if initial is not None and initial.shape != x.shape:
        raise ValueError(f"initial must be {list(x.shape)}, got {list(initial.shape)}")
    if isinstance(likelihood, Dirac) and likelihood.source not in (None, *range(sources)):
        raise ValueError(f"source must be from 0 to {sources - 1}, got {likelihood.source}")
    if isinstance(likelihood, Gaussian) and likelihood.gamma <= 0:
        raise ValueError(f"gamma must be above 0, got {likelihood.gamma}")
    start, total, made = x if initial is None else initial, x, 0
    for _ in range(samples):
        x, x0 = start + float(sigmas[0]) * noise_like(start, generator), initial
        for step in churned_steps(sigmas, churn=churn, resamples=resamples):
            x = raised(x, step, generator)
            with torch.no_grad():
                x, x0, d = _derivative(denoise, x, y, step.hat, likelihood, x0)
            made += 1
            yield made, x0
            x = lowered(x, d, step, generator)
        total = total + project(x, y, _final_shares(x, likelihood)) / samples
    return project(total, y, _energy(total))  # the mean's rounding


def _derivative(
    denoise: TrackDenoiser,
    x: Tensor,
    y: Tensor,
    sigma: float,
    likelihood: Likelihood,
    estimate: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The constrained x, its x0 and dx/dsigma, each [B, N, ...], for x of level `sigma`.

    `estimate` is the x0 before, where there is one.
    """
    level = level_of(x, sigma)
    if isinstance(likelihood, Dirac):
        if likelihood.source is None and estimate is None:
            estimate = denoise(x, level)
        constrained = _constrained(x if estimate is None else estimate, likelihood)
        x = project(x, y, constrained)
        d = (x - denoise(x, level)) / sigma
        d = d - (d * constrained).sum(1, keepdim=True)
        return x, x - sigma * d, d
    x0 = denoise(x, level)
    if isinstance(likelihood, Projection):
        x0 = project(x0, y, likelihood.variances(x0, level))
        return x, x0, (x - x0) / sigma
    pull = (y - x.sum(1))[:, None] / (2 * likelihood.gamma**2 * sigma)
    return x, x0, (x - x0) / sigma - pull


def _final_shares(x: Tensor, likelihood: Likelihood) -> Tensor:
    """What each source takes of the last residual, which broadcasts to x [B, N, ...]."""
    return _constrained(x, likelihood) if isinstance(likelihood, Dirac) else _energy(x)


def _constrained(x: Tensor, dirac: Dirac) -> Tensor:
    """1 for the constrained source and 0 for the others, [B, N, 1, ...]."""
    if dirac.source is None:
        k = _energy(x).flatten(1).argmax(1)
    else:
        k = torch.full((len(x),), dirac.source, device=x.device)
    return _wide(torch.nn.functional.one_hot(k, x.shape[1]).to(x), x)


def _energy(x: Tensor) -> Tensor:
    """Energy of each source of x [B, N, ...], [B, N, 1, ...]."""
    return _wide(x.flatten(2).square().sum(-1), x)


def _wide(value: Tensor, x: Tensor) -> Tensor:
    """[B, N] or [1, N, ...] with axes of one behind, to multiply x [B, N, ...]."""
    return value.reshape(*value.shape, *[1] * (x.ndim - value.ndim))
