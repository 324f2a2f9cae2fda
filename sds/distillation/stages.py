"""The stages of a search for a patch: candidates, clips, evolution, fit, score distillation.

Each is a generator of `StageStep`s and returns what the next begins with. They share a `Search`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.distillation.candidates import Candidates
from sds.distillation.descent import BestSoFar, RenderFn, descend, falling, fit, leaf
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
from sds.signal.spectrogram import log_gaps, log_spectra, magnitude, magnitudes

Stage: TypeAlias = Literal["search", "generate", "evolve", "fit", "distill"]

Score: TypeAlias = Callable[[Tensor], Tensor]
"""Audio [B, 1, T] -> [B], higher is better: a scorer that is not the prior."""

CHUNK = 8  # candidates rendered at once
CLOSE = (512, 2048)  # windows in which evolution compares with the clips


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


@dataclass(frozen=True, slots=True)
class Search:
    """What all stages share.

    `hear` renders u [B, P] to audio [B, C, T] of the prior's channels, `denoise` is D for the
    prompt, `shape` (D, L) that of a render's latent and `samples` its T. `found` collects what was
    evaluated; `like` [1, C, T] is the recording to come near to, if there is one.
    """

    prior: Prior
    denoise: Denoiser
    hear: RenderFn
    score: Score
    recipe: PatchRecipe
    generator: torch.Generator
    shape: torch.Size
    samples: int
    found: Candidates
    like: Tensor | None

    def evaluate(self, u: Tensor, rows: Tensor) -> Tensor:
        """Scores [B] of u [B, P], which came from rows [B] of u0; the best are remembered."""
        with torch.no_grad():
            sounds = self.hear(u)
            scores = self.score(with_channels(sounds, 1))
        self.found.offer(u, scores, sounds, rows)
        return scores


@dataclass(frozen=True, slots=True)
class Crowd:
    """Patches after evolution [N, P], their rows [N] of u0, and the fittest [S, P], rows [S]."""

    u: Tensor
    rows: Tensor
    fittest: Tensor
    fittest_rows: Tensor


def search_for(
    render: RenderFn,
    prior: Prior,
    prompt: str,
    u0: Tensor,
    recipe: PatchRecipe,
    generator: torch.Generator,
    score: Score | None,
    count: int,
    like: Tensor | None,
) -> Search:
    """Prepare what the stages share; the arguments are those of `distill`."""

    def hear(u: Tensor) -> Tensor:
        return with_channels(render(u).float(), prior.channels)

    with torch.no_grad():
        first = hear(u0[:1])
        shape = prior.encode(first).shape[1:]  # D, L
    sound = None if like is None else _as_long(with_channels(like[None], prior.channels), first)
    both = prior.embed([prompt, ""], first.shape[-1] / prior.sample_rate)
    cond, uncond = ({name: v[i : i + 1] for name, v in both.items()} for i in range(2))
    sds = recipe.distillation
    denoise = classifier_free_guidance(prior, cond, uncond, sds.guidance, phi=sds.phi)
    if sound is not None:
        score = _resembling(sound, score)
    score = score or _probe(prior, denoise, torch.randn(1, *shape, generator=generator), sds)
    found, samples = Candidates(count, u0[0]), first.shape[-1]
    return Search(prior, denoise, hear, score, recipe, generator, shape, samples, found, sound)


def _as_long(audio: Tensor, other: Tensor) -> Tensor:
    """Audio [1, C, T] cut or followed by silence, as long as another."""
    return F.pad(audio, (0, other.shape[-1] - audio.shape[-1])).float()  # negative: cuts


def _resembling(like: Tensor, score: Score | None) -> Score:
    """Minus the distance, in nepers, to the recording like [1, C, T]; with the score, if any."""
    spectra = log_spectra(with_channels(like, 1), CLOSE)

    def resemblance(audio: Tensor) -> Tensor:
        near = -log_gaps(log_spectra(audio, CLOSE), spectra)[:, 0]
        return near if score is None else near + score(audio)

    return resemblance


def best_rows(scores: Tensor, count: int) -> Tensor:
    """Indices of the `count` highest of scores [M], best first, ties in order."""
    return scores.argsort(descending=True, stable=True)[:count]


def score_candidates(search: Search, u0: Tensor) -> Generator[StageStep, None, Tensor]:
    """Scores [M] of u0 [M, P], `CHUNK` of them a step."""
    scores = torch.zeros(0)
    for chunk in torch.split(u0, CHUNK):
        here = torch.arange(len(scores), len(scores) + len(chunk))
        scores = torch.cat([scores, search.evaluate(chunk, here)])
        rows = torch.arange(len(scores))
        yield StageStep("search", u0[rows], rows, -scores[-len(chunk) :], scores)
    return scores


def generate_clips(search: Search, u: Tensor, rows: Tensor) -> Generator[StageStep, None, Tensor]:
    """The best of the clips that the prior generates for the prompt, [G, C, T], G <= starts.

    Or, at once, the recording that is to be come near to.
    """
    recipe = search.recipe
    if search.like is not None:
        return search.like
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
        return clips[best_rows(search.score(with_channels(clips, 1)), recipe.starts)]


def evolve_towards(
    search: Search, u0: Tensor, scores: Tensor, clips: Tensor
) -> Generator[StageStep, None, Crowd]:
    """Evolve the best `recipe.crowd` candidates towards clips [G, C, T]."""
    recipe = search.recipe
    rows = best_rows(scores, recipe.crowd)
    top = best_rows(scores, recipe.starts)
    crowd = Crowd(u0[rows], rows, u0[top], top)
    fitness = _fitness(search.hear, search.score, clips, recipe.closeness)
    generations = evolve(
        fitness, crowd.u, generations=recipe.generations, generator=search.generator
    )
    for u, values in generations:
        top = best_rows(values, recipe.starts)
        crowd = Crowd(u, rows, u[top], rows[top])
        loss, scores = -values[top], search.evaluate(crowd.fittest, rows[top])
        yield StageStep("evolve", crowd.fittest, crowd.fittest_rows, loss, scores)
    return crowd


def fit_to(
    search: Search, crowd: Crowd, clips: Tensor
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
        yield StageStep("fit", u, rows, loss, search.evaluate(u, rows) if due else None)
    u = torch.cat([u, crowd.fittest])
    rows = torch.cat([rows, crowd.fittest_rows])
    keep = best_rows(search.evaluate(u, rows), recipe.starts)
    return u[keep], rows[keep]


def follow_targets(search: Search, u: Tensor, rows: Tensor) -> Iterator[StageStep]:
    """Score distillation of u [S, P], rows [S] of u0: Adam towards targets of the prior."""
    prior, generator, recipe = search.prior, search.generator, search.recipe.distillation
    u, adam = leaf(u, recipe.lr)
    wanted: list[Tensor] = []
    kept = BestSoFar(u)
    for i in range(recipe.steps):
        if i % recipe.refresh == 0 and recipe.refresh > 1:
            with torch.no_grad():
                u.copy_(kept.u)
            kept = BestSoFar(u)
        if i == recipe.steps // 2 and len(u) > search.recipe.finalists:
            keep = best_rows(search.evaluate(u.detach(), rows), search.recipe.finalists)
            rows, wanted, kept = rows[keep], [w[keep] for w in wanted], kept.rows(keep)
            u, adam = leaf(u.detach()[keep], recipe.lr)
        x = search.hear(u)
        if i % recipe.refresh == 0:
            t = _times(recipe, i, len(u) * recipe.samples, generator)
            wanted = target(prior, search.denoise, x, t=t, recipe=recipe, generator=generator)
        loss = distance(features(prior, x, recipe), wanted, recipe)
        kept.see(u, loss)
        fall = (i / recipe.steps) if recipe.anneal else 0.0
        descend(u, adam, loss, falling(recipe.lr, fall))
        due = (i + 1) % recipe.look == 0 or i + 1 == recipe.steps
        moved = u.detach().clone()
        scores = search.evaluate(moved, rows) if due else None
        yield StageStep("distill", moved, rows, loss.detach(), scores, float(t[0]))


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
