"""Settings of score distillation, which every method contains, and those of a patch search.

Nothing here runs: `sds.distillation.distill` and the methods of `sds.separation` do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from sds.signal.spectrogram import SCALES


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to descend towards what a prior makes of a sound: the target, the distance, the steps.

    Contained in `PatchRecipe` and in the settings of every separation method, and by itself the
    settings of an edit. Times t are those of v-diffusion, 0..1, with sigma = tan(pi t / 2). A
    method may leave fields unread; its docstring says which it reads.

    - `steps`: Adam steps on the parameters, >= 0; 0 leaves out the descent. No default.
    - `lr`: Adam's step size at the first step, above 0, in units of the parameters (knobs are 0..1,
      logits nepers). No default.
    - `guidance`: scale of classifier-free guidance, 1 follows the prompt, 0 ignores it. No default.
    - `t_range`: (lowest, highest) time to which noise is added, each 0..1; (0.025, 0.875).
    - `anneal`: whether t falls from the highest to the lowest and the step size to a tenth of `lr`;
      otherwise t is drawn uniformly and the step size is constant; False.
    - `samples`: noise draws whose features are averaged into one target, >= 1; 1.
    - `denoise_steps`: DDIM steps from sigma(t) down to the estimate, 1..10; 1.
    - `decode_mean`: whether the draws' latents are averaged and their mean is decoded once:
      `samples` times less work for the codec, but the spectra of a mean, not the mean of spectra;
      False.
    - `refresh`: parameter steps that follow one target, >= 1; 1.
    - `inversion`: DDIM steps from the sound up to t in place of noise (SDI), >= 0; 0 adds noise.
    - `target`: what a sound should become, "sds", "csd", "nfsd" or "ism"
      (`sds.distillation.sds_targets`); "sds".
    - `domain`: where sounds are compared: "decoder" (audio) or "encoder" (latents); "decoder".
    - `emphasis`: what of the audio is compared, "spectrogram" or "waveform"; "spectrogram".
    - `scales`: window sizes of the spectrograms in samples, each a multiple of 4; 1024, 2048, 4096.
    - `log_weight`: weight of the logarithmic beside the linear distance, both relative to the
      target, >= 0; 0 is the paper's squared distance.
    - `phi`: share, 0..1, of the rescale of the guided estimate's deviation to the conditional one's
      (`sds.priors.base.classifier_free_guidance`); 0.
    - `peak`: peak, full scale 1, that a sound is brought to for the prior; its target is made as
      loud as the sound; 0 leaves levels as they are.
    - `roll`: whether each target is made of a randomly rotated sound, so that the prior's habits at
      the ends of clips do not settle in one place; False.
    - `look`: steps between two evaluations of the patch, >= 1; 10.
    """

    steps: int
    lr: float
    guidance: float
    t_range: tuple[float, float] = (0.025, 0.875)
    anneal: bool = False
    samples: int = 1
    denoise_steps: int = 1
    decode_mean: bool = False
    refresh: int = 1
    inversion: int = 0
    target: Literal["sds", "csd", "nfsd", "ism"] = "sds"
    domain: Literal["decoder", "encoder"] = "decoder"
    emphasis: Literal["spectrogram", "waveform"] = "spectrogram"
    scales: tuple[int, ...] = SCALES
    log_weight: float = 0.0
    phi: float = 0.0
    peak: float = 0.0
    roll: bool = False
    look: int = 10


@dataclass(frozen=True, slots=True)
class PatchRecipe:
    """How to search a patch for a prompt: candidates, evolution, fit, then score distillation.

    Counts are >= 0 unless said otherwise.

    - `distillation`: the last stage; its `lr`, `scales`, `log_weight` and `look` hold for the fit
      as well. No default.
    - `candidates`: patches that are rendered and scored first, >= 1; 1.
    - `starts`: the best of them, which are optimised as one batch, >= 1; 1.
    - `finalists`: how many of the starts go on after half of the distillation steps, >= 1; 1.
    - `generated`: clips that the prior generates for the prompt; the best `starts` of them by the
      score are followed. 0 leaves out generation and fit; 0.
    - `generate_steps`: evaluations of `tab3` for that generation by a shipped model, >= 1; 10
      (docs/samplers.md). Other models have the steps and the guidance of their family.
    - `generations`: generations of differential evolution; 0.
    - `crowd`: patches that evolve, >= 1; 24.
    - `closeness`: what evolution subtracts from the score for a log-spectral distance of 1 (nepers)
      to the nearest clip; 0.3.
    - `fit_steps`: Adam steps that fit each start to its clip before distillation; 0.
    - `preference`: weight, beside the score, of how much better the prior denoises a sound with the
      prompt than without (`sds.distillation.preference`), in the ratings by which everything is
      chosen; the best `crowd` candidates by the score are rated. 0 asks the score alone; 0.
    - `accept`: score that a generated clip must have to be followed; minus infinity takes all.
    - `take_back`: whether fit and descent keep only what neither the rating nor the distance to
      the clips has got worse by; otherwise the rating alone decides; False.
    - `patience`: generations in a row that find nothing better and end the evolution; 0 never
      does; 0.
    - `keep`: what the search ends with: "best", by the ratings, or "last", where the last step of
      the distillation is, better or not; "best".
    """

    distillation: Recipe
    candidates: int = 1
    starts: int = 1
    finalists: int = 1
    generated: int = 0
    generate_steps: int = 10
    generations: int = 0
    crowd: int = 24
    closeness: float = 0.3
    fit_steps: int = 0
    preference: float = 0.0
    accept: float = -math.inf
    take_back: bool = False
    patience: int = 0
    keep: Literal["best", "last"] = "best"


AUDIO_SDS = Recipe(steps=1000, lr=0.05, guidance=60.0, samples=10, denoise_steps=2)
"""Audio-SDS (arXiv 2505.04621) as far as digests of the paper give its numbers, which are those of
its separation: `lr` is that of latents. docs/paper.md has what differs.
"""

RECIPES = {
    # lr of knobs in 0..1: docs/paper.md says where it comes from.
    "paper": PatchRecipe(replace(AUDIO_SDS, lr=0.005), keep="last"),
    # Ours: score many patches, ask the prior about the best, let these evolve on both opinions and
    # near the clips that the prior generates; very many knobs are fitted to these instead. The
    # descent that a job may ask for has t falling from large (where the target is not simply next
    # to the start) to small; by itself it did not help (docs/patches.md).
    "default": PatchRecipe(
        Recipe(
            steps=0,
            lr=0.01,
            guidance=3.0,
            t_range=(0.3, 0.8),
            anneal=True,
            denoise_steps=6,
            refresh=10,
            log_weight=0.1,
            peak=0.5,
        ),
        candidates=64,
        starts=4,
        finalists=2,
        generated=8,
        generations=12,
        crowd=24,
        closeness=0.1,
        preference=1.0,
        accept=0.3,
        take_back=True,
        patience=6,
    ),
    "fast": PatchRecipe(
        Recipe(
            steps=0,
            lr=0.02,
            guidance=3.0,
            t_range=(0.3, 0.8),
            anneal=True,
            denoise_steps=4,
            refresh=10,
            log_weight=0.1,
            peak=0.5,
        ),
        candidates=48,
        starts=2,
        generated=4,
        generations=3,
        crowd=16,
        closeness=0.1,
        preference=1.0,
        accept=0.3,
        take_back=True,
    ),
}
"""The named recipes of the job `patch`."""
