"""How far solvers are from the solution: on an exact mixture, and on a model's latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from bench.sampler_figures import Figure, Kept, missing
from sds.metrics.spectral_statistics import SECONDS
from sds.priors.base import Prior, classifier_free_guidance
from sds.samplers.denoiser import Denoiser
from sds.samplers.gaussian_mixture import gaussian_mixture
from sds.samplers.schedules import karras
from sds.samplers.solvers import SAMPLERS

EXACT = (5, 6, 8, 10, 14, 20, 30, 50, 80)  # evaluations
SHIPPED = (5, 10, 20, 50)
TRUTH = {"exact": 3000, "error": 200}  # evaluations of `tab3` that stand for the solution
COMPARED = ("euler", "heun", "tab3", "dpmpp_2m", "unipc3")  # solvers of a model's latents
PROMPTS = ("kick", "piano", "rain")  # whose latents are compared
GUIDANCE = 3.0

DIMENSIONS, COMPONENTS, SPREAD, STD = 64, 8, 0.5, 0.3
"""The mixture: equal weights, means from N(0, SPREAD^2). The published table does not say its
own."""


def mixture() -> tuple[Denoiser, Tensor]:
    """The exact denoiser of the mixture, and 64 starts [64, 64, 1] at sigma 80."""
    g = torch.Generator().manual_seed(0)
    means = SPREAD * torch.randn(COMPONENTS, DIMENSIONS, generator=g, dtype=torch.float64)
    g = torch.Generator().manual_seed(2)
    start = 80 * torch.randn(64, DIMENSIONS, 1, generator=g, dtype=torch.float64)
    return gaussian_mixture(means, STD), start


def mixture_levels(steps: int) -> Tensor:
    """Noise levels [steps + 1] from 80 to 0.002, even in sigma^(1/7); all steps cost alike."""
    return torch.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), steps + 1, dtype=torch.float64) ** 7


def solve_mixture(solver: str, evaluations: int) -> Tensor:
    """The mixture's starts, solved [64, 64, 1]."""
    denoise, start = mixture()
    sample, each = SAMPLERS[solver][:2]
    return sample(denoise, start, mixture_levels(evaluations // each))


def relative(x: Tensor, truth: Tensor) -> float:
    """Norm of the error of x [B, D, L] over that of the truth."""
    return float((x - truth).norm() / truth.norm())


def latents(
    prior: Prior, prompts: Sequence[str], solver: str, evaluations: int, *, seed: int
) -> Tensor:
    """Latents [B, D, L] of B prompts at guidance 3, from noise that the seed gives."""
    seconds, sampler = min(SECONDS, prior.max_seconds), SAMPLERS[solver]
    samples = round(seconds * prior.sample_rate)
    with torch.no_grad():
        shape = prior.encode(torch.zeros(1, prior.channels, samples)).shape[1:]
        sigmas = karras(sampler.steps(evaluations), *prior.sigmas)
        g = torch.Generator().manual_seed(seed)
        x = torch.randn(len(prompts), *shape, generator=g) * sigmas[0]
        cond, uncond = prior.embed(prompts, seconds), prior.embed([""], seconds)
        return sampler.sample(classifier_free_guidance(prior, cond, uncond, GUIDANCE), x, sigmas)


def exact_figures(kept: Kept) -> Iterator[Figure]:
    """Errors on the mixture, of every solver."""
    weights = f"{DIMENSIONS}, {COMPONENTS}, {SPREAD}, {STD}"
    return _figures(kept, "exact", "mixture", weights, 64, EXACT, tuple(SAMPLERS), solve_mixture)


def latent_figures(prior: Prior, kept: Kept, model: str) -> Iterator[Figure]:
    """Errors of a model's latents, of the solvers in `COMPARED`."""

    def solve(solver: str, evaluations: int) -> Tensor:
        return latents(prior, PROMPTS, solver, evaluations, seed=0)

    weights = str(getattr(prior, "model_hash", ""))
    return _figures(kept, "error", model, weights, len(PROMPTS), SHIPPED, COMPARED, solve)


def _figures(
    kept: Kept,
    panel: str,
    model: str,
    weights: str,
    count: int,
    budgets: Sequence[int],
    solvers: Sequence[str],
    solve: Callable[[str, int], Tensor],
) -> Iterator[Figure]:
    truth: Tensor | None = None
    for solver in solvers:
        for evaluations in budgets:
            figure = Figure(panel, model, weights, solver, evaluations, count, {})
            if missing(kept, figure):
                if truth is None:
                    truth = solve("tab3", TRUTH[panel])
                figure.values["error"] = relative(solve(solver, evaluations), truth)
                yield figure
