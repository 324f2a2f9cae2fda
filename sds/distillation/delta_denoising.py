"""Change a sound by the difference of two prompts: "the same, but darker".

Delta denoising (Hertz et al. 2023, arXiv 2304.07090, eq. 5; on audio models SteerMusic, arXiv
2504.10826): the prior's direction for the sound as it has become under the new prompt, less its
direction for the sound as it was under the old one, with the same noise. What is common to both,
because no sound is what a prior finds most plausible, cancels, and the difference of the prompts is
left.

With x = z + sigma n the two SDS directions are z - D_new(z + sigma n) and z0 - D_old(z0 + sigma n)
(`sds.distillation.sds_targets`). Their difference is z less a target, and the target is
    z* = z0 + D_new(z + sigma n) - D_old(z0 + sigma n).
For Gaussian prompts of one deviation it ends at z0 + guidance (m_new - m_old); for equal prompts at
z0, where it starts.

An edit is as good as the prior. Of 24 edits of FM patches with the shipped one ("bright bell" to
"dark bell", longer, shorter) 7 went the right way, 3 the wrong way and 14 nowhere much: for the
words of `sds.distillation.descriptor_edit` use that module.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sds.distillation.descent import BestSoFar, RenderFn
from sds.distillation.distill import Score, Step
from sds.distillation.recipes import Recipe
from sds.distillation.sds_targets import distance, features
from sds.priors.base import Prior, classifier_free_guidance, device_of
from sds.samplers.denoiser import Denoiser
from sds.samplers.inversion import estimate_x0
from sds.signal.adam import Adam
from sds.signal.audio_files import peak_gain, with_channels

EDIT = Recipe(
    steps=40,
    lr=0.02,
    guidance=10.0,
    t_range=(0.6, 0.8),  # below, the estimates for the two prompts hardly differ
    anneal=True,
    samples=4,
    refresh=5,
    log_weight=0.1,
    peak=0.5,
    look=5,
)
"""The settings of `edit` that ship."""


def edit(
    render: RenderFn,
    prior: Prior,
    old: str,
    new: str,
    u0: Tensor,
    *,
    recipe: Recipe = EDIT,
    generator: torch.Generator,
    score: Score | None = None,
    held: Tensor | None = None,
) -> Iterator[Step]:
    """Edit the patch u0 [P] in 0..1 by the difference of prompt `new` from prompt `old`; yields
    each step.

    Knobs where `held` [P] is true stay: give those of pitch, or the sound leaves its note. `score`
    (audio [B, 1, T] -> [B], higher is better) chooses among the patches on the way, u0 among them;
    without one, the one nearest to the target at mid t under fixed noise is kept. Of the recipe it
    reads all fields but `inversion` and `roll`. Closing the generator stops it within a step.
    Raises `ValueError` for u0 of another shape or range.
    """
    if u0.ndim != 1 or not bool(((u0 >= 0) & (u0 <= 1)).all()):
        raise ValueError(f"u0 must be [P] with values in 0..1, got {list(u0.shape)}")

    start = u0.detach().float()[None]
    stays = torch.zeros(len(u0), dtype=torch.bool) if held is None else held

    def hear(u: Tensor) -> Tensor:
        return with_channels(render(torch.where(stays, start, u)).float(), prior.channels)

    with torch.no_grad():
        pull = Pull(prior, old, new, hear(start), recipe)
    still = torch.randn(1, *pull.z.shape[1:], generator=generator)
    yield from _follow(pull, hear, _evaluation(pull, hear, still, score), start, generator)


def _evaluation(
    pull: Pull, hear: RenderFn, noise: Tensor, score: Score | None
) -> Callable[[Tensor], float]:
    """What an edit keeps the best of, of u [1, P]: the score, or minus the distance to the target
    at mid t under noise [1, D, L].
    """
    middle = torch.tensor([sum(pull.recipe.t_range) / 2])

    def evaluate(u: Tensor) -> float:
        with torch.no_grad():
            x = hear(u)
            if score is not None:
                return float(score(with_channels(x, 1)))
            wanted = pull.target(x, noise, middle)
            heard = x.to(pull.z.device)
            return -float(distance(features(pull.prior, heard, pull.recipe), wanted, pull.recipe))

    return evaluate


def _follow(
    pull: Pull,
    hear: RenderFn,
    evaluate: Callable[[Tensor], float],
    start: Tensor,
    generator: torch.Generator,
) -> Iterator[Step]:
    """Adam from start [1, P] towards a new target every `recipe.refresh` steps."""
    recipe = pull.recipe
    u = start.clone().requires_grad_(True)
    best_u, best = start[0], evaluate(u)
    adam = Adam(u, lr=recipe.lr)
    kept = BestSoFar(u)
    for i in range(recipe.steps):
        fall = i / max(1, recipe.steps - 1) if recipe.anneal else 0.0
        if i % recipe.refresh == 0:
            if recipe.refresh > 1:
                u.data.copy_(kept.u)
            kept = BestSoFar(u)
            t = _times(recipe, fall, generator)
            noise = torch.randn(recipe.samples, *pull.z.shape[1:], generator=generator)
            with torch.no_grad():
                wanted = pull.target(hear(u), noise, t)
        heard = hear(u).to(pull.z.device)
        loss = distance(features(pull.prior, heard, recipe), wanted, recipe).to(u.device)
        kept.see(u, loss)
        adam.zero_grad()
        torch.autograd.backward([loss.sum()], inputs=[u])
        adam.lr = recipe.lr * (0.55 + 0.45 * math.cos(math.pi * fall))
        adam.step()
        u.data.clamp_(0.0, 1.0)
        improved = False
        if (i + 1) % recipe.look == 0 or i + 1 == recipe.steps:
            value = evaluate(u)
            improved = value > best
            if improved:
                best_u, best = u.detach()[0].clone(), value
        found = best_u, best, 0, improved, best_u[None], torch.tensor([best])
        yield Step(i + 1, recipe.steps, "distill", float(t[0]), loss.detach(), *found)


def _times(recipe: Recipe, fall: float, generator: torch.Generator) -> Tensor:
    """Times [samples] of a target: `fall` of the way from the highest to the lowest, or uniform."""
    low, high = recipe.t_range
    if recipe.anneal:
        return torch.full((recipe.samples,), high + (low - high) * fall)
    return low + (high - low) * torch.rand(recipe.samples, generator=generator)


class Pull:
    """Targets of delta denoising for one sound and two prompts, on the device of the prior.

    `z` [1, D, L] is the latent of the sound as it was, `gain` what brings its peak to
    `recipe.peak`.
    """

    def __init__(self, prior: Prior, old: str, new: str, first: Tensor, recipe: Recipe) -> None:
        """`first` [1, C, T] is the sound as it was; its peak sets the level at which the prior is
        given sounds.
        """
        self.prior, self.recipe = prior, recipe
        rows = prior.embed([old, new, ""], first.shape[-1] / prior.sample_rate)
        cond = [{name: v[i : i + 1] for name, v in rows.items()} for i in range(3)]
        self.old, self.new = (
            classifier_free_guidance(prior, c, cond[2], recipe.guidance, phi=recipe.phi)
            for c in cond[:2]
        )
        first = first.to(device_of(prior))
        self.gain = peak_gain(first, recipe.peak) if recipe.peak else torch.ones(1, 1, 1).to(first)
        with torch.no_grad():
            self.z = prior.encode(first * self.gain)

    def latent(self, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Target latents z* [N, D, L] of the sound's present latent z [1 or N, D, L], under noise
        [N, D, L] at times t [N].
        """
        new = self._denoise(self.new, z, noise, t)
        old = self._denoise(self.old, self.z, noise, t)
        return self.z + (new - old)

    @torch.no_grad()
    def target(self, audio: Tensor, noise: Tensor, t: Tensor) -> list[Tensor]:
        """Features that audio [1, C, T] should have, each [1, ...]: their mean over noise [N, D, L]
        at times t [N].
        """
        x = audio.to(self.gain.device) * self.gain
        z = self.latent(self.prior.encode(x), noise.to(self.z), t.to(self.z))
        if self.recipe.domain == "encoder":
            wanted = [z]
        else:
            decoded = self.prior.decode(z, like=x.expand(len(z), -1, -1))
            wanted = features(self.prior, decoded / self.gain, self.recipe)
        return [w.mean(0, keepdim=True) for w in wanted]

    def _denoise(self, denoise: Denoiser, z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return estimate_x0(denoise, z.expand_as(noise), noise, t, steps=self.recipe.denoise_steps)
