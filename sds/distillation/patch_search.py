"""What all stages of a search for a patch share: how it hears, rates and remembers patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.distillation.candidates import Candidates
from sds.distillation.clips import CLOSE, Clips
from sds.distillation.descent import RenderFn
from sds.distillation.preference import Preference
from sds.distillation.recipes import PatchRecipe, Recipe
from sds.distillation.sds_targets import distance, features
from sds.distillation.search_state import Tensors
from sds.priors.base import Cond, Prior, classifier_free_guidance, device_of
from sds.priors.families import require_posterior_mean
from sds.samplers.denoiser import Denoiser
from sds.samplers.inversion import estimate_x0
from sds.signal.audio_files import with_channels
from sds.signal.spectrogram import log_gaps, log_spectra

Score: TypeAlias = Callable[[Tensor], Tensor]
"""Audio [B, 1, T] -> [B], higher is better: a scorer that is not the prior."""

CHUNK = 8  # patches rendered at once


class Kept:
    """Patches u [S, P] that nothing better was made of: their ratings [S], and distances [S] to the
    clips.

    What a step made takes the place of its start where the rating did not fall; when `strict`, only
    where the distance did not grow either: the two share nothing, so what flatters one does not
    flatter the other.
    """

    def __init__(self, u: Tensor, ratings: Tensor, gaps: Tensor, *, strict: bool) -> None:
        self.u, self.ratings, self.gaps, self.strict = u.clone(), ratings, gaps, strict

    def see(self, u: Tensor, ratings: Tensor, gaps: Tensor) -> Tensor:
        """Take over the rows of u [S, P] that are accepted; whether each was, [S]."""
        taken = ratings >= self.ratings
        if self.strict:
            taken &= gaps <= self.gaps
        self.u = torch.where(taken[:, None], u, self.u)
        self.ratings = torch.where(taken, ratings, self.ratings)
        self.gaps = torch.where(taken, gaps, self.gaps)
        return taken

    def rows(self, keep: Tensor) -> Kept:
        """Another `Kept` with the rows `keep` [N] of this one."""
        return Kept(self.u[keep], self.ratings[keep], self.gaps[keep], strict=self.strict)


@dataclass(frozen=True, slots=True)
class Search:
    """A renderer, a prior, a prompt; `search_for` makes one.

    `hear` renders u [B, P] to audio [B, C, samples] of the prior's channels; `cond` and `uncond`
    are the `prompt` for the prior and no prompt, `prefer` is its preference. `found` collects what
    was rated; `like` [1, C, T] is the recording to come near to, if there is one.
    """

    prior: Prior
    prompt: str
    cond: Cond
    uncond: Cond
    hear: RenderFn
    score: Score
    prefer: Preference | None
    recipe: PatchRecipe
    generator: torch.Generator
    samples: int
    found: Candidates
    like: Tensor | None

    def state(self) -> dict[str, Tensor]:
        """What was found so far, and where the random numbers are. The reverse of `restore`."""
        return {"generator": self.generator.get_state(), **self.found.state()}

    def restore(self, state: Tensors) -> None:
        """Go on from where another search with the same arguments had this `state`."""
        self.generator.set_state(state["generator"])
        self.found.restore(state)

    def guided(self, scale: float) -> Denoiser:
        """D for the prompt at this scale of guidance."""
        phi = self.recipe.distillation.phi
        return classifier_free_guidance(self.prior, self.cond, self.uncond, scale, phi=phi)

    def play(self, u: Tensor) -> Tensor:
        """Audio [B, C, T] of u [B, P], a few at a time, without gradient."""
        with torch.no_grad():
            return torch.cat([self.hear(part) for part in torch.split(u, CHUNK)])

    def score_of(self, sounds: Tensor) -> Tensor:
        """Scores [B] of audio [B, C, T], without the prior."""
        with torch.no_grad():
            return self.score(with_channels(sounds, 1))

    def rate(self, sounds: Tensor) -> Tensor:
        """Ratings [B] of audio [B, C, T]: the score, and what the recipe gives for preference."""
        scores = self.score_of(sounds)
        if self.prefer is None:
            return scores
        return scores + self.recipe.preference * self.prefer(sounds)

    def evaluate(self, u: Tensor, rows: Tensor) -> Tensor:
        """Ratings [B] of u [B, P], which came from rows [B] of u0; the best are remembered."""
        return self._listen(u, rows)[0]

    def keep(self, u: Tensor, rows: Tensor, clips: Clips) -> Kept:
        """Begin to keep patches u [S, P] from rows [S], near or far from clips."""
        ratings, sounds = self._listen(u, rows)
        return Kept(u, ratings, clips.gaps(sounds), strict=self.recipe.take_back)

    def end(self, u: Tensor, rows: Tensor) -> None:
        """Rate patches u [S, P] from rows [S] and remember them alone."""
        sounds = self.play(u)
        self.found.only(u, self.rate(sounds), sounds, rows)

    def look(self, kept: Kept, u: Tensor, rows: Tensor, clips: Clips) -> Tensor:
        """Rate patches u [S, P] from rows [S] and keep what is accepted; whether each was, [S]."""
        sounds = self.play(u)
        ratings = self.rate(sounds)
        taken = kept.see(u, ratings, clips.gaps(sounds))
        here = taken if kept.strict else torch.ones_like(taken)
        self.found.offer(u[here], ratings[here], sounds[here], rows[here])
        return taken

    def _listen(self, u: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        sounds = self.play(u)
        ratings = self.rate(sounds)
        self.found.offer(u, ratings, sounds, rows)
        return ratings, sounds


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
    both = prior.embed([prompt, ""], first.shape[-1] / prior.sample_rate)
    cond, uncond = ({name: v[i : i + 1] for name, v in both.items()} for i in range(2))
    sds = recipe.distillation
    sound = None if like is None else _as_long(with_channels(like[None], prior.channels), first)
    if sound is not None:
        score = _resembling(sound, score)
    if score is None:
        require_posterior_mean(prior, "a search without a scorer", "install the search scorer")
        denoise = classifier_free_guidance(prior, cond, uncond, sds.guidance, phi=sds.phi)
        score = _probe(prior, denoise, torch.randn(1, *shape, generator=generator), sds)
    prefer = None
    if recipe.preference:
        prefer = Preference(prior, cond, uncond, torch.randn(*shape, generator=generator))
    return Search(
        prior=prior,
        prompt=prompt,
        cond=cond,
        uncond=uncond,
        hear=hear,
        score=score,
        prefer=prefer,
        recipe=recipe,
        generator=generator,
        samples=first.shape[-1],
        found=Candidates(count, u0[0]),
        like=sound,
    )


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


def _probe(prior: Prior, denoise: Denoiser, noise: Tensor, recipe: Recipe) -> Score:
    """A score for want of another: minus the distance to D at mid t under the same noise."""
    t = torch.tensor([sum(recipe.t_range) / 2])

    def score(audio: Tensor) -> Tensor:
        x = with_channels(audio, prior.channels).to(device_of(prior))
        z = prior.encode(x)
        z_hat = estimate_x0(denoise, z, noise.to(z), t.to(z).expand(len(z)), steps=1)
        encoder = recipe.domain == "encoder"
        wanted = [z_hat] if encoder else features(prior, prior.decode(z_hat, like=x), recipe)
        return -distance(features(prior, x, recipe), wanted, recipe).to(audio.device)

    return score
