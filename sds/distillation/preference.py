"""The prior's own opinion of a sound: how much better it denoises it with the prompt than without.

A diffusion model is a classifier (Li et al. 2023, arXiv 2303.16203): under the same noise the
prompt that fits has the least error. Here the other prompt is none, so that one number says how far
the words explain the sound.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sds.priors.base import Cond, Prior, device_of, finite, repeat
from sds.samplers.schedules import sigma_of
from sds.signal.audio_files import peak_gain, with_channels

TIMES = (0.2, 0.8)  # of v-diffusion: what is fine, and what a sound is on the whole
PEAK = 0.5  # full scale 1: the level of what the prior was trained on
BATCH = 16  # sounds denoised at once


class Preference:
    """How much a prior prefers sounds with a prompt to the same sounds without one.

    The mean over `times` of ln(|D_u - z|^2 / |D_c - z|^2), D_c and D_u the prior's estimates of the
    latent z with the prompt and without, under noise [D, L] that is fixed; without unit. Above 0
    the words help.
    """

    def __init__(
        self,
        prior: Prior,
        cond: Cond,
        uncond: Cond,
        noise: Tensor,
        times: tuple[float, ...] = TIMES,
    ) -> None:
        """`cond` and `uncond` have batch 1; `noise` is [D, L] of the sounds' latents."""
        self.prior, self.noise, self.times = prior, noise, times
        self.both = {name: torch.cat([value, uncond[name]]) for name, value in cond.items()}

    @torch.no_grad()
    def __call__(self, audio: Tensor) -> Tensor:
        """Preferences [B] of audio [B, C, T], whatever their level."""
        x = with_channels(audio, self.prior.channels).to(device_of(self.prior))
        z = self.prior.encode(x * peak_gain(x, PEAK))
        gains = torch.cat([self._prefer(part) for part in torch.split(z, BATCH)])
        return gains.to(audio.device)

    def _prefer(self, z: Tensor) -> Tensor:
        cond, twice = repeat(self.both, len(z)), torch.cat([z, z])
        gains = []
        for t in self.times:
            sigma = sigma_of(torch.tensor(t)).expand(len(twice)).to(z)
            noisy = twice + sigma[:, None, None] * self.noise.to(z)
            d = finite(self.prior, self.prior.denoise(noisy, sigma, cond), noisy, sigma)
            with_prompt, without = (d - twice).square().flatten(1).mean(1).chunk(2)
            gains.append((without + 1e-9).log() - (with_prompt + 1e-9).log())
        return torch.stack(gains).mean(0)
