"""The ablations of Audio-SDS (Richter-Powell et al. 2025, arXiv 2505.04621) on this model.

"plain" is the paper's recipe with fewer steps and noise draws: decoder SDS, 2 denoising steps,
spectrogram distance, guidance 60, t uniform. Every other method changes one field of it (with
annealed t, the step size falls too). All start from the same random patch of an item, with the same
random numbers, and are judged by where they end, not by the best that they passed; a method that
diverges (its numbers overflow), by where it last was. Sounds last 1 second. A direction holds where
its mean difference of gain, paired over items, is more than two standard errors above zero.

"gradients" compares, on recordings, the gradient of encoder SDS with that of decoder SDS on the
waveform, for the same noise at t = 0.5, each with respect to the sound: their cosine, and the norm
of the first over that of the second. Where the codec is an orthonormal transform the two are the
same, cosine 1 and ratio 1; where it is linear and its inverse is its transpose but for a factor,
the cosine is 1. With any other codec the one does not stand for the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.datasets.evaluation_items import OneShot, one_shots
from sds.distillation.distill import Score, distill
from sds.distillation.recipes import AUDIO_SDS, PatchRecipe, Recipe
from sds.distillation.sds_targets import features, target
from sds.priors.base import Prior, classifier_free_guidance
from sds.scoreboard.baselines import Job
from sds.scoreboard.board import Column, Figures, Row, Setting, Task
from sds.scoreboard.paired import paired_difference
from sds.scoreboard.patch import evenly_spaced, prompts
from sds.signal.audio_files import with_channels

CAPTIONS = 6  # unless the setting says how many
SECONDS = 1.0

COLUMNS = (
    Column("match_before", "match before", 3),
    Column("match_after", "match after", 3, "higher"),
    Column("gain", "gain", 3, "higher"),
    Column("diverged", "diverged", 2, "lower"),
    Column("cosine", "cosine of gradients", 4),
    Column("norm_ratio", "ratio of their norms", 3),
)
GRADIENTS, CHECKED, MIDDLE = "gradients", 6, 0.5  # of so many recordings, at this time t

PLAIN = replace(AUDIO_SDS, steps=40, samples=2)
VARIANTS = {
    "plain": PLAIN,
    "encoder": replace(PLAIN, domain="encoder"),
    "1 denoise step": replace(PLAIN, denoise_steps=1),
    "10 denoise steps": replace(PLAIN, denoise_steps=10),
    "waveform": replace(PLAIN, emphasis="waveform"),
    "guidance 3": replace(PLAIN, guidance=3.0),
    "guidance 10": replace(PLAIN, guidance=10.0),
    "annealed t": replace(PLAIN, anneal=True),
}


@dataclass(frozen=True, slots=True)
class Direction:
    """What the paper does or found: method `this` rather than `that`, and by how much CLAP."""

    text: str
    this: str
    that: str
    paper: str = ""


DIRECTIONS = (
    Direction("decoder rather than encoder SDS", "plain", "encoder", "+0.15 CLAP"),
    Direction("10 denoise steps rather than 1", "10 denoise steps", "1 denoise step", "+0.14 CLAP"),
    Direction("2 denoise steps rather than 1", "plain", "1 denoise step"),
    Direction("spectrogram rather than waveform distance", "plain", "waveform"),
    Direction("guidance 60 rather than 10", "plain", "guidance 10"),
    Direction("guidance 60 rather than 3", "plain", "guidance 3"),
    Direction("uniform rather than annealed t", "plain", "annealed t"),
)


def suite(setting: Setting) -> list[Task]:
    """Every recipe on every caption and instrument."""
    shots = one_shots(setting.data, setting.prior.sample_rate)
    captions = [prompt for prompt in prompts(setting, shots) if prompt.right is not None]
    jobs = [
        Job(setting, replace(prompt, seconds=SECONDS), instrument)
        for prompt in evenly_spaced(captions, setting.items or CAPTIONS)
        for instrument in setting.instruments
    ]
    tasks = [
        Task(job.item, method, partial(_run, job, method), (job.instrument.name,))
        for job in jobs
        for method in VARIANTS
    ]
    for shot in evenly_spaced(shots, setting.items or CHECKED):
        tasks.append(Task(shot.name, GRADIENTS, partial(_compare_gradients, setting, shot)))
    return tasks


def directions(rows: Sequence[Row]) -> list[str]:
    """Whether each direction of the paper holds in the gains of this suite's rows, in words."""
    return [
        f"{d.text}: {paired_difference(rows, 'gain', d.this, d.that)}"
        + (f" (the paper: {d.paper})" if d.paper else "")
        for d in DIRECTIONS
    ]


def gradient(
    prior: Prior, prompt: str, audio: Tensor, recipe: Recipe, generator: torch.Generator
) -> Tensor:
    """The gradient [1, C, T] of 1/2 |f(x) - target|^2 with respect to a sound x [1, C, T].

    f is what the recipe compares, and its target is that of score distillation at t = 0.5.
    """
    seconds = audio.shape[-1] / prior.sample_rate
    denoise = classifier_free_guidance(
        prior, prior.embed([prompt], seconds), prior.embed([""], seconds), recipe.guidance
    )
    t = torch.full((recipe.samples,), MIDDLE)
    wanted = target(prior, denoise, audio, t=t, recipe=recipe, generator=generator)
    x = audio.clone().requires_grad_(True)
    present = features(prior, x, recipe)
    terms = [(a - b).square().sum() / 2 for a, b in zip(present, wanted, strict=True)]
    return torch.autograd.grad(torch.stack(terms).sum(), x)[0]


def compare_gradients(
    prior: Prior, prompt: str, audio: Tensor, generator: Callable[[], torch.Generator]
) -> Figures:
    """Cosine of the gradients of encoder and decoder SDS at audio [1, C, T], and the ratio of their
    norms; `generator` gives both the same noise. Nothing where a gradient is zero or not finite.
    """
    encoder, decoder = (
        gradient(prior, prompt, audio, recipe, generator()).double().flatten()
        for recipe in (
            replace(PLAIN, domain="encoder", guidance=3.0),
            replace(PLAIN, domain="decoder", emphasis="waveform", guidance=3.0),
        )
    )
    found = {
        "cosine": float(F.cosine_similarity(encoder, decoder, dim=0)),
        "norm_ratio": float(encoder.norm() / decoder.norm()),
    }
    return found if all(map(math.isfinite, found.values())) else {}


def _compare_gradients(setting: Setting, shot: OneShot) -> Iterator[Figures]:
    yield {}
    samples = round(SECONDS * setting.prior.sample_rate)
    audio = with_channels(shot.audio[None, :, :samples], setting.prior.channels)
    generator = partial(setting.generator, GRADIENTS, shot.name)
    yield compare_gradients(setting.prior, shot.caption, audio, generator)


def _run(job: Job, method: str) -> Iterator[Figures]:
    before = float(job.evaluation_scorer(job.hear(job.u0[:1])))
    u, diverged = job.u0[0], False
    for step in distill(
        job.render,
        job.setting.prior,
        job.prompt.text,
        job.u0[:1],
        recipe=PatchRecipe(VARIANTS[method]),
        generator=job.setting.generator("ablation", job.item),
        score=_latest(),
    ):
        u, diverged = step.best_u, not bool(step.loss.isfinite().all())
        yield {"match_before": before}
    after = float(job.evaluation_scorer(job.hear(u[None])))
    yield {
        "match_before": before,
        "match_after": after,
        "gain": after - before,
        "diverged": float(diverged),
    }


def _latest() -> Score:
    """An evaluation scorer that prefers what it hears later, so that `distill` ends with its last
    patch.
    """
    looks = count()

    def score(audio: Tensor) -> Tensor:
        sound = audio.isfinite().flatten(1).all(1)
        return torch.where(sound, float(next(looks)), -torch.inf)

    return score
