"""How to distill: the knobs of score distillation, and the settings that have a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sds.signal.spectrogram import SCALES


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to distill. `t` is v-diffusion's time: sigma = tan(pi t/2)."""

    steps: int
    lr: float
    guidance: float
    t_range: tuple[float, float] = (0.025, 0.875)  # (lowest, highest)
    anneal: bool = False  # t falls from high to low, lr to a tenth; else t uniform, lr constant
    samples: int = 1  # noise draws whose spectrograms are averaged into one target
    denoise_steps: int = 1  # DDIM steps from sigma(t) to the estimate, 1..10
    refresh: int = 1  # parameter steps for each new target
    inversion: int = 0  # DDIM steps from a sound up to t in place of noise (SDI); 0: noise
    domain: Literal["decoder", "encoder"] = "decoder"
    emphasis: Literal["spectrogram", "waveform"] = "spectrogram"
    scales: tuple[int, ...] = SCALES
    log_weight: float = 0.0  # 0: the paper's distance; else linear + log, relative to the target
    phi: float = 0.0  # standard-deviation rescale of the guided estimate
    peak: float = 0.0  # the level at which the prior hears a sound, its target as loud; 0: as it is
    roll: bool = False  # a random circular shift for each target, against end-of-clip habits
    candidates: int = 1  # patches looked at first ...
    starts: int = 1  # ... of which so many are optimised, as one batch
    finalists: int = 1  # ... and so many after the first half of the steps
    generated: int = (
        0  # clips the prior generates outright; `starts` of them, by the evaluation scorer, count
    )
    generate_steps: int = 20
    generations: int = 0  # of differential evolution ...
    crowd: int = 24  # ... of so many patches
    closeness: float = 0.3  # what a log-spectral distance of 1 to the nearest clip costs there
    fit_steps: int = 0  # steps that fit each start to its generated clip before distilling
    look: int = 10  # steps between two looks for the best


RECIPES = {
    # Audio-SDS as far as it is known (digests of the paper; reference notes, section 1.1).
    "paper": Recipe(steps=1000, lr=0.05, guidance=60.0, samples=10, denoise_steps=2),
    # Ours: look at many patches, let the best evolve towards what the prior would say, fit the
    # nearest to it, then distill with t falling from large (where the target is not simply next to
    # the start) to small.
    "default": Recipe(
        steps=20,
        lr=0.01,
        guidance=3.0,
        t_range=(0.3, 0.8),
        anneal=True,
        denoise_steps=6,
        refresh=10,
        log_weight=0.1,
        peak=0.5,
        candidates=48,
        starts=4,
        finalists=2,
        generated=8,
        generate_steps=16,
        generations=24,
        fit_steps=20,
    ),
    "fast": Recipe(
        steps=30,
        lr=0.02,
        guidance=3.0,
        t_range=(0.3, 0.8),
        anneal=True,
        denoise_steps=4,
        refresh=10,
        log_weight=0.1,
        peak=0.5,
        candidates=24,
        starts=2,
    ),
}
