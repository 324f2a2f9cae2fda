"""Score distillation: move a renderer's parameters until a prior finds the sound plausible.

Audio-SDS (Richter-Powell et al. 2025, arXiv 2505.04621), with what made it work better here: many
candidates scored first, evolution towards and a fit to clips that the prior generates, several
starts at once, and a noise level that falls. `sds.distillation.recipes` has the numbers,
`sds.distillation.sds_targets` the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.distillation.differential_evolution import evolve
from sds.distillation.recipes import PatchRecipe, Recipe
from sds.distillation.sds_targets import distance, features, target
from sds.priors.base import Prior, classifier_free_guidance
from sds.samplers.denoiser import Denoiser
from sds.samplers.exponential import tab3
from sds.samplers.inversion import estimate_x0
from sds.samplers.schedules import karras
from sds.samplers.stepwise import stepwise
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
"""Audio [B, 1, T] -> [B], higher is better: a scorer that is not the prior."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where the search stands after step `index` of `of`; safe to stop after any of them.

    - `stage`: what was done; `t`: the diffusion time of the target, 0 where there is none.
    - `loss`: [S] of the starts still running, not comparable between stages or t.
    - `best_u`: the best parameters so far, [P] in 0..1; `start`: the row of u0 they came from.
    - `score`: that of `best_u`; without a scorer, minus the distance to the prior's estimate at a
      fixed t and noise. It never falls; `improved` says that it rose in this step.
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
    """One step of one stage: parameters u [S, P] from rows [S] of u0, their loss [S], and scores
    [S] where they were evaluated.
    """

    stage: Stage
    u: Tensor
    rows: Tensor
    loss: Tensor
    scores: Tensor | None = None
    t: float = 0.0


def fit(
    render: RenderFn, wanted: list[Tensor], u0: Tensor, *, recipe: Recipe
) -> Iterator[tuple[Tensor, Tensor]]:
    """Fit the spectrograms of a render to `wanted`, one [B, C, F, N] a scale, from u0 [B, P].

    Adam for `recipe.steps` steps, its step size falling from `recipe.lr` to a tenth; of the recipe
    it reads `scales` and `log_weight` as well. Yields u [B, P] in 0..1 after each step and the loss
    [B] before it.
    """
    u, adam = _leaf(u0, recipe.lr)
    for i in range(recipe.steps):
        x = magnitudes(render(u), recipe.scales)
        loss = relative_distance(x, wanted, log_weight=recipe.log_weight)
        fall = math.cos(math.pi * i / recipe.steps)
        _descend(u, adam, loss, recipe.lr * (0.55 + 0.45 * fall))
        yield u.detach().clone(), loss.detach()


def distill(
    render: RenderFn,
    prior: Prior,
    prompt: str,
    u0: Tensor,
    *,
    recipe: PatchRecipe,
    generator: torch.Generator,
    score: Score | None = None,
) -> Iterator[Step]:
    """Search parameters whose sound a prior finds plausible for `prompt`; yields after each step.

    u0 [M, P] in 0..1 are candidates (give `recipe.candidates` of them), the first being the sound
    to beat. The best `recipe.starts` are optimised as one batch. Closing the generator stops it
    within a step. All random numbers come from `generator`, on the CPU. Raises `ValueError` for u0
    of another shape or range.
    """
    if u0.ndim != 2 or not bool(((u0 >= 0) & (u0 <= 1)).all()):
        raise ValueError(f"u0 must be [M, P] with values in 0..1, got {list(u0.shape)}")
    recipe = recipe_for(recipe, u0.shape[1])
    of = _count(recipe, len(u0))
    u0 = u0.detach().float()
    best_u, best, start = u0[0].clone(), -math.inf, 0
    stages = run_stages(render, prior, prompt, u0, recipe, generator, score)
    for index, step in enumerate(stages, start=1):
        improved = step.scores is not None and float(step.scores.max()) > best
        if step.scores is not None and improved:
            top = int(step.scores.argmax())
            best_u, best, start = step.u[top].clone(), float(step.scores[top]), int(step.rows[top])
        yield Step(index, of, step.stage, step.t, step.loss, best_u, best, start, improved)


def recipe_for(recipe: PatchRecipe, knobs: int) -> PatchRecipe:
    """The recipe for a synth of so many knobs: with many, the time of evolution goes to the fit.

    Measured on recordings of the training corpus: for 836 knobs the fit alone matched better and
    came nearer to the recording, for 27 it did not.
    """
    if knobs <= FEW or not recipe.generations:
        return recipe
    steps = recipe.fit_steps + round(STEPS_A_GENERATION * recipe.generations)
    return replace(recipe, generations=0, fit_steps=steps)


def _count(recipe: PatchRecipe, candidates: int) -> int:
    """How many steps `run_stages` yields."""
    clips = recipe.generate_steps + recipe.generations + recipe.fit_steps
    count = -(-candidates // CHUNK) + (clips if recipe.generated else 0)
    return count + recipe.distillation.steps


def run_stages(
    render: RenderFn,
    prior: Prior,
    prompt: str,
    u0: Tensor,
    recipe: PatchRecipe,
    generator: torch.Generator,
    score: Score | None,
) -> Iterator[StageStep]:
    """Run the stages of a search from candidates u0 [M, P], one after another; yields each step.

    The candidates are scored, evolve towards generated clips, are fitted to these, and follow the
    prior's targets.
    """
    search = _search_for(render, prior, prompt, u0, recipe, generator, score)
    scores = yield from _score_candidates(search, u0)
    rows = _best_rows(scores, recipe.starts)
    u = u0[rows]
    if recipe.generated:
        clips = yield from _generate_clips(search, u, rows)
        crowd = yield from _evolve_towards(search, u0, scores, clips)
        u, rows = yield from _fit_to(search, crowd, clips)
    yield from _follow_targets(search, u, rows)


@dataclass(frozen=True, slots=True)
class _Search:
    """What all stages share.

    `hear` renders u [B, P] to audio [B, C, T] of the prior's channels, `denoise` is D for the
    prompt, `shape` (D, L) that of a render's latent and `samples` its T.
    """

    prior: Prior
    denoise: Denoiser
    hear: RenderFn
    score: Score
    recipe: PatchRecipe
    generator: torch.Generator
    shape: torch.Size
    samples: int

    def evaluate(self, u: Tensor) -> Tensor:
        """Scores [B] of u [B, P]."""
        with torch.no_grad():
            return self.score(with_channels(self.hear(u), 1))


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Patches after evolution [N, P], their rows [N] of u0, and the fittest [S, P], rows [S]."""

    u: Tensor
    rows: Tensor
    fittest: Tensor
    fittest_rows: Tensor


def _search_for(
    render: RenderFn,
    prior: Prior,
    prompt: str,
    u0: Tensor,
    recipe: PatchRecipe,
    generator: torch.Generator,
    score: Score | None,
) -> _Search:
    def hear(u: Tensor) -> Tensor:
        return with_channels(render(u).float(), prior.channels)

    with torch.no_grad():
        first = hear(u0[:1])
        shape = prior.encode(first).shape[1:]  # D, L
    both = prior.embed([prompt, ""], first.shape[-1] / prior.sample_rate)
    cond, uncond = ({name: v[i : i + 1] for name, v in both.items()} for i in range(2))
    sds = recipe.distillation
    denoise = classifier_free_guidance(prior, cond, uncond, sds.guidance, phi=sds.phi)
    score = score or _probe(prior, denoise, torch.randn(1, *shape, generator=generator), sds)
    return _Search(prior, denoise, hear, score, recipe, generator, shape, first.shape[-1])


def _best_rows(scores: Tensor, count: int) -> Tensor:
    """Indices of the `count` highest of scores [M], best first, ties in order."""
    return scores.argsort(descending=True, stable=True)[:count]


def _score_candidates(search: _Search, u0: Tensor) -> Generator[StageStep, None, Tensor]:
    """Scores [M] of u0 [M, P], `CHUNK` of them a step."""
    scores = torch.zeros(0)
    for chunk in torch.split(u0, CHUNK):
        scores = torch.cat([scores, search.evaluate(chunk)])
        rows = torch.arange(len(scores))
        yield StageStep("search", u0[rows], rows, -scores[-len(chunk) :], scores)
    return scores


def _generate_clips(search: _Search, u: Tensor, rows: Tensor) -> Generator[StageStep, None, Tensor]:
    """The best of the clips that the prior generates for the prompt, [G, C, T], G <= starts."""
    recipe = search.recipe
    sigmas = karras(recipe.generate_steps, *search.prior.sigmas)
    noise = torch.randn(recipe.generated, *search.shape, generator=search.generator)
    sampling = stepwise(tab3, search.denoise, noise * sigmas[0], sigmas)
    try:
        while True:
            next(sampling)
            yield StageStep("generate", u, rows, torch.zeros(0))
    except StopIteration as end:
        z: Tensor = end.value
    finally:
        sampling.close()
    with torch.no_grad():
        clips = search.prior.decode(z)[..., : search.samples]
        return clips[_best_rows(search.score(with_channels(clips, 1)), recipe.starts)]


def _evolve_towards(
    search: _Search, u0: Tensor, scores: Tensor, clips: Tensor
) -> Generator[StageStep, None, _Crowd]:
    """Evolve the best `recipe.crowd` candidates towards clips [G, C, T]."""
    recipe = search.recipe
    rows = _best_rows(scores, recipe.crowd)
    top = _best_rows(scores, recipe.starts)
    crowd = _Crowd(u0[rows], rows, u0[top], top)
    fitness = _fitness(search.hear, search.score, clips, recipe.closeness)
    generations = evolve(
        fitness, crowd.u, generations=recipe.generations, generator=search.generator
    )
    for u, values in generations:
        top = _best_rows(values, recipe.starts)
        crowd = _Crowd(u, rows, u[top], rows[top])
        loss, scores = -values[top], search.evaluate(crowd.fittest)
        yield StageStep("evolve", crowd.fittest, crowd.fittest_rows, loss, scores)
    return crowd


def _fit_to(
    search: _Search, crowd: _Crowd, clips: Tensor
) -> Generator[StageStep, None, tuple[Tensor, Tensor]]:
    """Fit the nearest of the crowd to clips [G, C, T]; the best `recipe.starts` [S, P], rows [S].

    They are the best of what the fit ends with and of the fittest before it.
    """
    recipe = search.recipe
    sds = recipe.distillation
    with torch.no_grad():
        count = min(recipe.starts, len(crowd.u))
        wanted, near = _nearest(clips, search.hear, crowd.u, count, sds.scales)
    u, rows = crowd.fittest, crowd.rows[near]
    fitting = fit(search.hear, wanted, crowd.u[near], recipe=replace(sds, steps=recipe.fit_steps))
    for i, (u, loss) in enumerate(fitting, start=1):
        due = i % sds.look == 0 or i == recipe.fit_steps
        yield StageStep("fit", u, rows, loss, search.evaluate(u) if due else None)
    u = torch.cat([u, crowd.fittest])
    rows = torch.cat([rows, crowd.fittest_rows])
    keep = _best_rows(search.evaluate(u), recipe.starts)
    return u[keep], rows[keep]


def _follow_targets(search: _Search, u: Tensor, rows: Tensor) -> Iterator[StageStep]:
    """Score distillation of u [S, P], rows [S] of u0: Adam towards targets of the prior."""
    prior, generator, recipe = search.prior, search.generator, search.recipe.distillation
    u, adam = _leaf(u, recipe.lr)
    wanted: list[Tensor] = []
    kept = BestSoFar(u)
    for i in range(recipe.steps):
        if i % recipe.refresh == 0 and recipe.refresh > 1:
            with torch.no_grad():
                u.copy_(kept.u)
            kept = BestSoFar(u)
        if i == recipe.steps // 2 and len(u) > search.recipe.finalists:
            keep = _best_rows(search.evaluate(u.detach()), search.recipe.finalists)
            rows, wanted, kept = rows[keep], [w[keep] for w in wanted], kept.rows(keep)
            u, adam = _leaf(u.detach()[keep], recipe.lr)
        x = search.hear(u)
        if i % recipe.refresh == 0:
            t = _times(recipe, i, len(u) * recipe.samples, generator)
            wanted = target(prior, search.denoise, x, t=t, recipe=recipe, generator=generator)
        loss = distance(features(prior, x, recipe), wanted, recipe)
        kept.see(u, loss)
        fall = (i / recipe.steps) if recipe.anneal else 0.0
        _descend(u, adam, loss, recipe.lr * (0.55 + 0.45 * math.cos(math.pi * fall)))
        due = (i + 1) % recipe.look == 0 or i + 1 == recipe.steps
        moved = u.detach().clone()
        scores = search.evaluate(moved) if due else None
        yield StageStep("distill", moved, rows, loss.detach(), scores, float(t[0]))


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


def _times(recipe: Recipe, i: int, count: int, generator: torch.Generator) -> Tensor:
    """Times [count] of step i: uniform in `t_range`, or falling through it."""
    low, high = recipe.t_range
    if recipe.anneal:
        return torch.full((count,), high + (low - high) * i / max(1, recipe.steps - 1))
    return low + (high - low) * torch.rand(count, generator=generator)


def _probe(prior: Prior, denoise: Denoiser, noise: Tensor, recipe: Recipe) -> Score:
    """A score for want of another: minus the distance to D at mid t under the same noise."""
    t = torch.tensor([sum(recipe.t_range) / 2])

    def score(audio: Tensor) -> Tensor:
        x = with_channels(audio, prior.channels)
        z = prior.encode(x)
        z_hat = estimate_x0(denoise, z, noise.to(z), t.to(z).expand(len(z)), steps=1)
        encoder = recipe.domain == "encoder"
        wanted = [z_hat] if encoder else features(prior, prior.decode(z_hat, like=x), recipe)
        return -distance(features(prior, x, recipe), wanted, recipe)

    return score


def _fitness(hear: RenderFn, score: Score, clips: Tensor, closeness: float) -> RenderFn:
    """What evolution raises, [M] of u [M, P]: the score less `closeness` times the distance of the
    sound to the nearest of clips [G, C, T].
    """
    spectra = log_spectra(clips, CLOSE)

    def fitness(u: Tensor) -> Tensor:
        with torch.no_grad():
            sounds = [hear(part) for part in torch.split(u, CHUNK)]
            gaps = [log_gaps(log_spectra(x, CLOSE), spectra).amin(1) for x in sounds]
            scores = [score(with_channels(x, 1)) for x in sounds]
        return torch.cat(scores) - closeness * torch.cat(gaps)

    return fitness


def _nearest(
    clips: Tensor, hear: RenderFn, u0: Tensor, starts: int, scales: Sequence[int]
) -> tuple[list[Tensor], Tensor]:
    """Each start's clip, as S_m [S, C, F, N], and the row of u0 [M, P] nearest to it, [S].

    Start s takes clip s mod G; a row is given away once.
    """
    floor = 0.01 * clips.square().mean().sqrt() + 1e-6
    sketches = torch.cat([_sketch(hear(chunk), floor) for chunk in torch.split(u0, CHUNK)])
    gap = torch.cdist(_sketch(clips, floor), sketches)  # [G, M]
    rows = []
    for s in range(starts):
        row = int(gap[s % len(clips)].argmin())
        gap[:, row] = math.inf
        rows.append(row)
    which = [s % len(clips) for s in range(starts)]
    return magnitudes(clips[which], scales), torch.tensor(rows)


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
