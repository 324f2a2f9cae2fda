"""The methods of the patch suite: from a prompt and first patches to the best patch found.

Every method of `METHODS` listens with the search scorer and keeps what it likes best; the
evaluation scorer, who reports, chooses nothing. All begin with the same random patch; the recipes
of ours and "bank + CMA-ES" have the bank besides, the others have random patches. Each yields what
it has found after every step and may be stopped at any.

A row "shuffled prior" is the same recipe with the same seed, by a prior that has unlearned
everything (`sds.priors.shuffled`): what is not better than that row, the prior did not do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from cmaes import CMA, SepCMA
from torch import Tensor

from sds.distillation.distill import distill
from sds.distillation.patch_search import CHUNK
from sds.distillation.recipes import RECIPES, PatchRecipe
from sds.priors.base import Prior
from sds.priors.shuffled import shuffled
from sds.scoreboard.board import Instrument, Setting
from sds.scoreboard.paired import SHUFFLED
from sds.signal.audio_files import with_channels
from sds.similarity.base import TextAudioSimilarity

Rate: TypeAlias = Callable[[Tensor], Tensor]
"""u [B, P] -> [B], higher is better: the search scorer on the sound of patches."""

LOOKS = 64
FIT_STEPS = 200  # more than the time of `default` allows
BUDGET, QUICK = "default", "fast"
DENSE = 100  # parameters up to which the whole covariance is learned


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked for: `seconds` of `text`; `right` is the row of its recording, if any, and
    `classes` those that the statistics may take its sound for; `last`: `sds.scoreboard.prompts`.
    """

    name: str
    text: str
    label: str
    seconds: float
    right: int | None = None
    classes: tuple[str, ...] = ()
    last: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The best patch u [P] up to step `step`, and its score."""

    u: Tensor
    score: float
    step: int


def best_of(rate: Rate, u0: Tensor) -> Iterator[Found]:
    """The best of the patches u0 [M, P]; a step is `CHUNK` of them."""
    best = Found(u0[0], -math.inf, 0)
    for part in torch.split(u0, CHUNK):
        best = _better(best, part, rate(part))
        yield best


def cma_es(
    rate: Rate, u0: Tensor, *, generator: torch.Generator, sigma: float = 0.2
) -> Iterator[Found]:
    """CMA-ES (Hansen 2016, arXiv 1604.00772) on the search scorer alone, from the best of u0 [M,
    P].

    CTAG (Cherep et al. 2024, arXiv 2406.00294) searches a synth this way. A step is `CHUNK` of the
    first patches, then a generation of 4 + 3 ln P. Above `DENSE` parameters the covariance is
    diagonal (sep-CMA-ES, Ros & Hansen 2008), learned fast enough for a few thousand looks. Samples
    outside 0..1 are set to the bound. It ends where the strategy says that it has converged.
    """
    best = Found(u0[0], -math.inf, 0)
    for best in best_of(rate, u0):
        yield best
    strategy = (CMA if u0.shape[1] <= DENSE else SepCMA)(
        mean=best.u.double().numpy(),
        sigma=sigma,
        bounds=np.tile([0.0, 1.0], (u0.shape[1], 1)),
        n_max_resampling=0,
        seed=int(torch.randint(2**31, (), generator=generator)),
    )
    while not strategy.should_stop():
        asked = np.stack([strategy.ask() for _ in range(strategy.population_size)])
        u = torch.from_numpy(asked).float()
        scores = torch.cat([rate(part) for part in torch.split(u, CHUNK)])
        strategy.tell(list(zip(asked, (-scores).tolist(), strict=True)))
        best = _better(best, u, scores)
        yield best


def _better(best: Found, u: Tensor, scores: Tensor) -> Found:
    """A step further: the best of what was found and patches u [B, P] with `scores` [B]."""
    top = int(scores.argmax())
    if float(scores[top]) > best.score:
        return Found(u[top].clone(), float(scores[top]), best.step + 1)
    return replace(best, step=best.step + 1)


@dataclass(frozen=True, slots=True)
class Job:
    """A prompt for an instrument, with the random patches u0 [M, P] that every method has."""

    setting: Setting
    prompt: Prompt
    instrument: Instrument

    @property
    def item(self) -> str:
        """The name of its rows."""
        return f"{self.prompt.name}, {self.instrument.name}"

    @property
    def u0(self) -> Tensor:
        """As many as the most that a method looks at; the same at every call."""
        generator = self.setting.generator("patches", self.item)
        return self.instrument.draw(max(LOOKS, RECIPES[BUDGET].candidates), generator).float()

    def render(self, u: Tensor) -> Tensor:
        """Audio [B, C, T] of patches u [B, P], differentiable."""
        samples = round(self.prompt.seconds * self.setting.prior.sample_rate)
        return self.instrument.render(u, samples).float()

    def hear(self, u: Tensor) -> Tensor:
        """Mono audio [B, 1, T] of patches u [B, P]."""
        with torch.no_grad():
            return with_channels(self.render(u), 1)

    def evaluation_scorer(self, sound: Tensor) -> Tensor:
        """How well audio [B, 1, T] matches the prompt, [B]: what is reported."""
        return self._match(self.setting.evaluation_scorer, sound)

    def listen(self, sound: Tensor) -> Tensor:
        """The same by the search scorer: what a search may know."""
        return self._match(self.setting.search_scorer, sound)

    def rate(self, u: Tensor) -> Tensor:
        """How well the sound of patches u [B, P] matches the prompt by the search scorer, [B]."""
        return self.listen(self.hear(u))

    def banked(self, count: int) -> Tensor:
        """The first random patch, then the bank's nearest to the prompt; [count, P]."""
        generator = self.setting.generator("bank", self.item)
        near = self.instrument.near(self.prompt.text, count - 1, generator)
        return torch.cat([self.u0[:1], near.float()])

    def _match(self, who: TextAudioSimilarity, sound: Tensor) -> Tensor:
        rate = self.setting.prior.sample_rate
        return who.similarity(sound, rate, [self.prompt.text])[:, 0]


def _distill(job: Job, recipe: PatchRecipe, u0: Tensor) -> Iterator[Found]:
    for step in distill(
        job.render,
        job.setting.prior,
        job.prompt.text,
        u0,
        recipe=recipe,
        generator=job.setting.generator("distill", job.item),
        score=job.listen,
    ):
        yield Found(step.best_u, step.score, step.index)


def _recipe(job: Job, *, name: str) -> Iterator[Found]:
    recipe = RECIPES[name]
    return _distill(job, recipe, job.banked(recipe.candidates))


def _unlearned(job: Job, *, name: str) -> Iterator[Found]:
    """The same by a shuffled prior, which is made here, before any step."""
    setting = replace(job.setting, prior=shuffled(job.setting.prior))
    return _recipe(replace(job, setting=setting), name=name)


def _generate_then_fit(job: Job) -> Iterator[Found]:
    recipe = RECIPES[BUDGET]
    still = replace(recipe.distillation, steps=0)
    fitting = replace(
        recipe, distillation=still, generations=0, fit_steps=FIT_STEPS,
        preference=0.0, accept=-math.inf, take_back=False,
    )  # fmt: skip
    return _distill(job, fitting, job.u0[: fitting.candidates])


def _paper(job: Job) -> Iterator[Found]:
    return _distill(job, RECIPES["paper"], job.u0[:1])


def _evolve(job: Job, u0: Tensor) -> Iterator[Found]:
    return cma_es(job.rate, u0, generator=job.setting.generator("cma-es", job.item))


METHODS: dict[str, Callable[[Job], Iterator[Found]]] = {
    BUDGET: partial(_recipe, name=BUDGET),
    BUDGET + SHUFFLED: partial(_unlearned, name=BUDGET),
    QUICK: partial(_recipe, name=QUICK),
    QUICK + SHUFFLED: partial(_unlearned, name=QUICK),
    "bank + CMA-ES": lambda job: _evolve(job, job.banked(RECIPES[BUDGET].candidates)),
    "paper": _paper,
    "generate-then-fit": _generate_then_fit,
    "CMA-ES": lambda job: _evolve(job, job.u0[: RECIPES[BUDGET].candidates]),
    f"best of {LOOKS}": lambda job: best_of(job.rate, job.u0[:LOOKS]),
    "random patch": lambda job: best_of(job.rate, job.u0[:1]),
}


def methods_for(prior: Prior) -> list[str]:
    """The names of METHODS that there are with a prior: without a network nothing is shuffled."""
    whole = hasattr(prior, "network")
    return [name for name in METHODS if whole or not name.endswith(SHUFFLED)]
