"""Score distillation: move a renderer's parameters until a prior finds the sound plausible.

Audio-SDS (Richter-Powell et al. 2025, arXiv 2505.04621), with what made it work better here: many
candidates looked at first, evolution towards and a fit to clips that the prior generates outright,
several starts at once, and a noise level that falls. `sds.distillation.recipes` has the numbers,
`sds.distillation.sds_targets` the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.distillation.differential_evolution import evolve
from sds.distillation.recipes import Recipe
from sds.distillation.sds_targets import distance, features, target
from sds.priors.base import Prior, classifier_free_guidance
from sds.samplers.denoiser import Denoiser
from sds.samplers.inversion import estimate_x0
from sds.samplers.ode import euler
from sds.samplers.schedules import karras
from sds.signal.audio_files import with_channels
from sds.signal.spectrogram import log_gaps, log_spectra, magnitude, magnitudes, relative_distance

RenderFn: TypeAlias = Callable[[Tensor], Tensor]
"""u [B, P] in [0, 1] -> audio [B, C, T] at the prior's rate, differentiable."""

Stage: TypeAlias = Literal["search", "generate", "evolve", "fit", "distill"]

CHUNK = 8  # candidates rendered at once
FEW = 100  # knobs; in more, a crowd of some dozen patches learns nothing
STEPS_A_GENERATION = 2.5  # steps of the fit that take as long
CLOSE = (512, 2048)  # windows in which evolution compares with the clips

Score: TypeAlias = Callable[[Tensor], Tensor]
"""Audio [B, 1, T] -> [B], higher is better: a evaluation scorer that is not the prior."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where the search stands after step `index` of `of`; safe to stop after any of them.

    `loss` [S] belongs to the starts still running and is not comparable between stages or t.
    `score` is the evaluation scorer's for `best_u` [P]; without a evaluation scorer it is minus
    the distance to the prior's estimate at a fixed t and noise. It never falls; `improved` says
    that it rose in this step.
    `start` is the row of u0 that `best_u` came from.
    """

    index: int
    of: int
    stage: Stage
    t: float
    loss: Tensor
    best_u: Tensor
    score: float
    start: int
    improved: bool


@dataclass(frozen=True, slots=True)
class StageStep:
    """One step of one stage: parameters u [S, P] from rows [S] of u0, judged if scores [S]."""

    stage: Stage
    u: Tensor
    rows: Tensor
    loss: Tensor
    scores: Tensor | None = None
    t: float = 0.0


def generate(prior: Prior, denoise: Denoiser, noise: Tensor, *, steps: int) -> Iterator[Tensor]:
    """Sample outright from unit noise [B, D, L] by Euler steps; yields the estimate after each."""
    low, high = prior.sigmas
    sigmas = karras(steps, low, high)
    x = noise * high
    for i in range(steps):
        with torch.no_grad():
            x = euler(denoise, x, sigmas[i : i + 2])
        yield x


def fit(
    render: RenderFn, wanted: list[Tensor], u0: Tensor, *, recipe: Recipe
) -> Iterator[tuple[Tensor, Tensor]]:
    """Bring S_m(render(u)) to `wanted` (S_m of a clip, [B, C, F, N]) from u0 [B, P].

    Yields (u [B, P], loss [B]) after each of `recipe.fit_steps`.
    """
    u, adam = _leaf(u0, recipe.lr)
    for i in range(recipe.fit_steps):
        x = magnitudes(render(u), recipe.scales)
        loss = relative_distance(x, wanted, log_weight=recipe.log_weight)
        fall = math.cos(math.pi * i / recipe.fit_steps)
        _descend(u, adam, loss, recipe.lr * (0.55 + 0.45 * fall))
        yield u.detach().clone(), loss.detach()


def distill(
    render: RenderFn,
    prior: Prior,
    prompt: str,
    u0: Tensor,
    *,
    recipe: Recipe,
    generator: torch.Generator,
    score: Score | None = None,
) -> Iterator[Step]:
    """Find parameters whose sound the prior finds plausible for `prompt`; yields after each step.

    u0 [M, P] in [0, 1] are candidates (give `recipe.candidates` of them), the first being the sound
    to beat. The best `recipe.starts` are optimised as one batch. Closing the generator stops it
    within a step. All random numbers come from `generator`, on the CPU.
    """
    if u0.ndim != 2 or not bool(((u0 >= 0) & (u0 <= 1)).all()):
        raise ValueError(f"u0 must be [M, P] with values in 0..1, got {list(u0.shape)}")
    recipe = recipe_for(recipe, u0.shape[1])
    of = _count(recipe, len(u0))
    u0 = u0.detach().float()
    best_u, best, start = u0[0].clone(), -math.inf, 0
    stages = run_stages(render, prior, prompt, u0, recipe, generator, score)
    for index, now in enumerate(stages, start=1):
        improved = now.scores is not None and float(now.scores.max()) > best
        if now.scores is not None and improved:
            top = int(now.scores.argmax())
            best_u, best, start = now.u[top].clone(), float(now.scores[top]), int(now.rows[top])
        yield Step(index, of, now.stage, now.t, now.loss, best_u, best, start, improved)


def recipe_for(recipe: Recipe, knobs: int) -> Recipe:
    """The recipe for a synth of so many knobs: with many, the time of evolution goes to the fit.

    Measured on recordings of the training corpus: for 836 knobs the fit alone matched better and
    came nearer to the recording, for 27 it did not.
    """
    if knobs <= FEW or not recipe.generations:
        return recipe
    steps = recipe.fit_steps + round(STEPS_A_GENERATION * recipe.generations)
    return replace(recipe, generations=0, fit_steps=steps)


def _count(recipe: Recipe, candidates: int) -> int:
    """How many steps `run_stages` yields."""
    clips = recipe.generate_steps + recipe.generations + recipe.fit_steps
    return -(-candidates // CHUNK) + (clips if recipe.generated else 0) + recipe.steps


def run_stages(
    render: RenderFn,
    prior: Prior,
    prompt: str,
    u0: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    score: Score | None,
) -> Iterator[StageStep]:
    """Search the candidates, let them evolve towards generated clips, fit, distill."""

    def hear(u: Tensor) -> Tensor:
        return with_channels(render(u).float(), prior.channels)

    with torch.no_grad():
        first = hear(u0[:1])
        shape = prior.encode(first).shape[1:]  # D, L
    both = prior.embed([prompt, ""], first.shape[-1] / prior.sample_rate)
    cond, uncond = ({name: v[i : i + 1] for name, v in both.items()} for i in range(2))
    denoise = classifier_free_guidance(prior, cond, uncond, recipe.guidance, phi=recipe.phi)
    evaluation_scorer = score or _probe(
        prior, denoise, torch.randn(1, *shape, generator=generator), recipe
    )

    def evaluated(u: Tensor) -> Tensor:
        with torch.no_grad():
            return evaluation_scorer(with_channels(hear(u), 1))

    scores = torch.zeros(0)
    for chunk in torch.split(u0, CHUNK):
        scores = torch.cat([scores, evaluated(chunk)])
        rows = torch.arange(len(scores))
        yield StageStep("search", u0[rows], rows, -scores[-len(chunk) :], scores)
    top = scores.argsort(descending=True, stable=True)[: recipe.starts]
    rows, u = top, u0[top]

    if recipe.generated:
        noise = torch.randn(recipe.generated, *shape, generator=generator)
        z = noise
        for step in generate(prior, denoise, noise, steps=recipe.generate_steps):
            z = step
            yield StageStep("generate", u, rows, torch.zeros(0))
        with torch.no_grad():
            clips = prior.decode(z)[..., : first.shape[-1]]
            liked = evaluation_scorer(with_channels(clips, 1)).argsort(descending=True, stable=True)
            clips = clips[liked[: recipe.starts]]
        old = scores.argsort(descending=True, stable=True)[: recipe.crowd]
        crowd, u, rows = u0[old], u0[top], top
        fitness = _fitness(hear, evaluation_scorer, clips, recipe)
        work = evolve(fitness, crowd, generations=recipe.generations, generator=generator)
        for crowd, fit_for in work:
            fittest = fit_for.argsort(descending=True, stable=True)[: recipe.starts]
            u, rows = crowd[fittest], old[fittest]
            yield StageStep("evolve", u, rows, -fit_for[fittest], evaluated(u))
        bred, parents = u, rows
        with torch.no_grad():
            wanted, near = _nearest(clips, hear, crowd, recipe)
        rows = old[near]
        for i, (u, loss) in enumerate(fit(hear, wanted, crowd[near], recipe=recipe), start=1):
            look = i % recipe.look == 0 or i == recipe.fit_steps
            yield StageStep("fit", u, rows, loss, evaluated(u) if look else None)
        # What the fit found, and what was found before it: the better ones go on.
        u, rows = torch.cat([u, bred]), torch.cat([rows, parents])
        keep = evaluated(u).argsort(descending=True, stable=True)[: recipe.starts]
        u, rows = u[keep], rows[keep]

    u, adam = _leaf(u, recipe.lr)
    wanted, kept = [], BestSoFar(u)
    for i in range(recipe.steps):
        if i % recipe.refresh == 0 and recipe.refresh > 1:
            with torch.no_grad():
                u.copy_(kept.u)
            kept = BestSoFar(u)
        if i == recipe.steps // 2 and len(u) > recipe.finalists:
            keep = evaluated(u.detach()).argsort(descending=True, stable=True)[: recipe.finalists]
            rows, wanted, kept = rows[keep], [w[keep] for w in wanted], kept.rows(keep)
            u, adam = _leaf(u.detach()[keep], recipe.lr)
        x = hear(u)
        if i % recipe.refresh == 0:
            t = _times(recipe, i, len(u) * recipe.samples, generator)
            wanted = target(prior, denoise, x, t=t, recipe=recipe, generator=generator)
        loss = distance(features(prior, x, recipe), wanted, recipe)
        kept.see(u, loss)
        fall = (i / recipe.steps) if recipe.anneal else 0.0
        _descend(u, adam, loss, recipe.lr * (0.55 + 0.45 * math.cos(math.pi * fall)))
        look = (i + 1) % recipe.look == 0 or i + 1 == recipe.steps
        now = u.detach().clone()
        yield StageStep(
            "distill", now, rows, loss.detach(), evaluated(now) if look else None, float(t[0])
        )


class BestSoFar:
    """The parameters [B, P] that came nearest to the present target, each row for itself.

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
        """The rows `keep` of it."""
        some = BestSoFar(self.u[keep])
        some.loss = self.loss[keep]
        return some


def _times(recipe: Recipe, i: int, count: int, generator: torch.Generator) -> Tensor:
    """Times [count] of step i: uniform in `t_range`, or falling through it."""
    low, high = recipe.t_range
    if recipe.anneal:
        return torch.full((count,), high + (low - high) * i / max(1, recipe.steps - 1))
    return low + (high - low) * torch.rand(count, generator=generator)


def _probe(prior: Prior, denoise: Denoiser, noise: Tensor, recipe: Recipe) -> Score:
    """The evaluation scorer when there is none: minus the distance to D at mid t with always the
    same noise.
    """
    t = torch.tensor([sum(recipe.t_range) / 2])

    def evaluation_scorer(audio: Tensor) -> Tensor:
        x = with_channels(audio, prior.channels)
        z = prior.encode(x)
        z_hat = estimate_x0(denoise, z, noise.to(z), t.to(z).expand(len(z)), steps=1)
        encoder = recipe.domain == "encoder"
        wanted = [z_hat] if encoder else features(prior, prior.decode(z_hat, like=x), recipe)
        return -distance(features(prior, x, recipe), wanted, recipe)

    return evaluation_scorer


def _fitness(hear: RenderFn, evaluation_scorer: Score, clips: Tensor, recipe: Recipe) -> RenderFn:
    """What evolution raises: the evaluation scorer's score, less what the way to the nearest clip
    costs.
    """
    spectra = log_spectra(clips, CLOSE)

    def fitness(u: Tensor) -> Tensor:
        with torch.no_grad():
            sounds = [hear(part) for part in torch.split(u, CHUNK)]
            gaps = [log_gaps(log_spectra(x, CLOSE), spectra).amin(1) for x in sounds]
            likes = [evaluation_scorer(with_channels(x, 1)) for x in sounds]
        return torch.cat(likes) - recipe.closeness * torch.cat(gaps)

    return fitness


def _nearest(
    clips: Tensor, hear: RenderFn, u0: Tensor, recipe: Recipe
) -> tuple[list[Tensor], Tensor]:
    """Each start's clip, as S_m [S, C, F, N], and the row of u0 nearest to it, [S].

    Start s takes clip s mod G; a row is given away once.
    """
    floor = 0.01 * clips.square().mean().sqrt() + 1e-6
    heard = torch.cat([_sketch(hear(chunk), floor) for chunk in torch.split(u0, CHUNK)])
    gap = torch.cdist(_sketch(clips, floor), heard)  # [G, M]
    starts = min(recipe.starts, len(u0))
    rows = []
    for s in range(starts):
        row = int(gap[s % len(clips)].argmin())
        gap[:, row] = math.inf
        rows.append(row)
    which = [s % len(clips) for s in range(starts)]
    return magnitudes(clips[which], recipe.scales), torch.tensor(rows)


def _sketch(audio: Tensor, floor: Tensor) -> Tensor:
    """A small picture [B, X] of audio [B, C, T]: log magnitudes, means of 8 bins and 4 frames."""
    log = (magnitude(audio, 1024).mean(1, keepdim=True) + floor).log()
    return F.avg_pool2d(log, (8, 4), ceil_mode=True).flatten(1)


def _leaf(u: Tensor, lr: float) -> tuple[Tensor, torch.optim.Adam]:
    u = u.detach().clone().requires_grad_(True)
    return u, torch.optim.Adam([u], lr=lr)


def _descend(u: Tensor, adam: torch.optim.Adam, loss: Tensor, lr: float) -> None:
    """One projected Adam step on the sum of loss [B]: rows do not see one another."""
    adam.zero_grad()
    torch.autograd.backward([loss.sum()], inputs=[u])
    adam.param_groups[0]["lr"] = lr
    adam.step()
    with torch.no_grad():
        u.clamp_(0.0, 1.0)
