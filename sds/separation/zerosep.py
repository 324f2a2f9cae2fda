"""ZeroSep: each prompt's part of a mixture by DDIM inversion and denoising.

Noise is drawn at random in score distillation; the deterministic way up from a sound to noise keeps
the sound in it, so that the way down for a prompt keeps what fits the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sds.priors.base import Prior, classifier_free_guidance, device_of
from sds.samplers.inversion import ddim_invert
from sds.samplers.ode import euler
from sds.samplers.schedules import cosine
from sds.separation.base import N
from sds.signal.spectrogram import stft

STEPS = 10  # of the paper's 50, for a fifth of the time


@torch.no_grad()
def prompted_latents(
    prior: Prior, prompts: Sequence[str], audio: Tensor, *, t: float, steps: int, guidance: float
) -> Iterator[Tensor]:
    """Latents [1, D, L] of each prompt's part of audio [1, C', T'], one window, by ZeroSep; on the
    device of the prior.

    Huang et al. 2025 (arXiv 2505.23625). The mixture's latent is inverted to time `t` without a
    prompt, and denoised with each. Guidance 0 gives the mixture again, 1 separates it, more invents
    (the paper's finding).
    """
    seconds = audio.shape[-1] / prior.sample_rate
    cond, uncond = prior.embed(prompts, seconds), prior.embed([""], seconds)
    z = prior.encode(audio.to(device_of(prior)))
    top = torch.full((1,), t).to(z)
    up = ddim_invert(classifier_free_guidance(prior, uncond, uncond, 1.0), z, top, steps=steps)
    down = cosine(steps, top)
    for k in range(len(prompts)):
        own = {name: value[k : k + 1] for name, value in cond.items()}
        yield euler(classifier_free_guidance(prior, own, uncond, guidance), up, down)


def zerosep_estimate(
    prior: Prior, prompts: Sequence[str], audio: Tensor, *, t: float, generator: torch.Generator
) -> Iterator[Tensor]:
    """Estimate powers [F, N] of each prompt's part of audio [1, C', T'] by ZeroSep; draws nothing.
    A `PromptedEstimate`.
    """
    for z in prompted_latents(prior, prompts, audio, t=t, steps=STEPS, guidance=1.0):
        powers = stft(prior.decode(z, like=audio), N).abs().square().mean(1)[0]
        yield powers.to(audio.device)
