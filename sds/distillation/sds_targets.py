"""Targets of score distillation: the sound a prior estimates, and the distance of a render to it.

With x = z + sigma n and the denoiser D, eps_hat - eps = (z - D)/sigma, so the SDS update with
weight w = sigma is z - D: one line, one sign. Decoder-SDS (Audio-SDS, Richter-Powell et al. 2025,
arXiv 2505.04621) is the same idea as a loss, minimised: 1/2 sum_m || S_m(x(theta)) -
stopgrad(mean_i S_m(dec(z_hat_i))) ||^2.

Its relatives differ in the target z* that takes the place of D. With h the sound's latent, x = h +
sigma n, D_w the guided denoiser at scale w and D_0 the one without prompt, so that eps_w - eps_0 =
-(D_w - D_0)/sigma, they are (`latent_target`):

    sds   D_w(x), after one or several DDIM steps; SDI when x is the inversion of h
    csd   h + D_w(x) - D_0(x), without the noise residual (Yu et al. 2024, arXiv 2310.19415, eq. 9)
    nfsd  the same, and D_w(x) - sigma n at small t (Katzir et al. 2024, arXiv 2310.17590, eq. 8,
          its negative prompt the empty one)
    ism   h - sigma_t (eps_w(x_t) - eps_0(x_s)), x_s the inversion of h, x_t one DDIM step above
          (Liang et al. 2024, arXiv 2311.11284, eq. 17)
"""

from __future__ import annotations

import torch
from torch import Tensor

from sds.distillation.recipes import Recipe
from sds.priors.base import Prior, device_of
from sds.samplers.denoiser import Denoiser
from sds.samplers.inversion import ddim_invert, estimate_x0
from sds.samplers.ode import euler
from sds.samplers.schedules import cosine, sigma_of
from sds.signal.audio_files import peak_gain
from sds.signal.spectrogram import magnitudes, relative_distance, squared_distance

NFSD_SMALL = 0.2  # time below which the estimate without prompt is taken for its error alone
ISM_SHARE, ISM_STEPS = 0.75, 3  # s of t, and inversion steps up to it


def sds_gradient(
    denoise: Denoiser, z: Tensor, noise: Tensor, t: Tensor, *, steps: int = 1
) -> Tensor:
    """The SDS descent direction z - D [B, D, L] at latents z [B, D, L] under noise [B, D, L], times
    t [B].

    Poole et al. 2022, eq. 3, with weight w = sigma; D after `steps` DDIM steps.
    """
    return z - estimate_x0(denoise, z, noise, t, steps=steps)


def features(prior: Prior, audio: Tensor, recipe: Recipe) -> list[Tensor]:
    """Features of audio [B, C, T] that the recipe compares, each [B, ...]: its S_m, itself, or its
    latent; differentiable.
    """
    if recipe.domain == "encoder":
        return [prior.encode(audio)]
    if recipe.emphasis == "waveform":
        return [audio]
    return magnitudes(audio, recipe.scales)


@torch.no_grad()
def target(
    prior: Prior,
    denoise: Denoiser,
    audio: Tensor,
    *,
    t: Tensor,
    recipe: Recipe,
    generator: torch.Generator,
    invert: Denoiser | None = None,
    free: Denoiser | None = None,
) -> list[Tensor]:
    """Features that audio [B, C, T] should have by the prior, each [B, ...]; no gradient.

    At times t [B * samples]. The mean is over the features of the decoded samples, not the features
    of the mean waveform. With `invert` the way to time t is not noise but the recipe's DDIM
    inversion by that denoiser, whose guidance is the negative of the other's: SDI (Lukoianov et al.
    2024, arXiv 2405.15891, section 4). Targets other than "sds" need `free`, the denoiser without
    prompt. All is done on the device of the prior; of what it makes of audio that is elsewhere only
    the means come back.
    """
    home = audio.device
    audio = audio.to(device_of(prior))
    n, length = recipe.samples, audio.shape[-1]
    shift = int(torch.randint(length, (), generator=generator)) if recipe.roll else 0
    rolled = audio.roll(shift, -1)
    gain = torch.ones(len(audio), 1, 1).to(audio)
    if recipe.peak:
        gain = peak_gain(audio, recipe.peak)
        rolled = rolled * gain
    z = prior.encode(rolled).repeat_interleave(n, 0)
    if invert is not None:
        x = ddim_invert(invert, z, t.to(z), steps=recipe.inversion)
        z_hat = euler(denoise, x, cosine(recipe.denoise_steps, t.to(z)))
    else:
        noise = torch.randn(z.shape, generator=generator).to(z)
        if recipe.target == "sds" or free is None:
            z_hat = estimate_x0(denoise, z, noise, t.to(z), steps=recipe.denoise_steps)
        else:
            z_hat = latent_target(recipe.target, denoise, free, z, noise, t.to(z))
    if recipe.decode_mean:
        z_hat, n = z_hat.reshape(-1, n, *z_hat.shape[1:]).mean(1), 1
    if recipe.domain == "encoder":
        wanted = [z_hat]
    else:
        decoded = prior.decode(z_hat, like=rolled.repeat_interleave(n, 0)).roll(-shift, -1)
        wanted = features(prior, decoded / gain.repeat_interleave(n, 0), recipe)
    wanted = [w.reshape(-1, n, *w.shape[1:]).mean(1) for w in wanted]
    if recipe.peak:
        wanted = as_loud_as(features(prior, audio, recipe), wanted)
    return [w.to(home) for w in wanted]


def latent_target(
    kind: str, denoise: Denoiser, free: Denoiser, h: Tensor, noise: Tensor, t: Tensor
) -> Tensor:
    """The target z* [B, D, L] of latents h [B, D, L] under noise [B, D, L] at times t [B]: "csd",
    "nfsd" or "ism" of the module text, by the guided denoiser and the one without prompt.
    """
    sigma = sigma_of(t)
    if kind == "ism":
        below = sigma_of(t * ISM_SHARE)
        x_s = ddim_invert(free, h, t * ISM_SHARE, steps=ISM_STEPS)
        eps_s = (x_s - free(x_s, below)) / below[:, None, None]
        x_t = x_s + (sigma - below)[:, None, None] * eps_s
        return h - (x_t - denoise(x_t, sigma)) + sigma[:, None, None] * eps_s
    spread = sigma[:, None, None] * noise
    guided = denoise(h + spread, sigma)
    change = guided - free(h + spread, sigma)
    if kind == "csd":
        return h + change
    return torch.where((t < NFSD_SMALL)[:, None, None], guided - spread, h + change)


def as_loud_as(present: list[Tensor], wanted: list[Tensor]) -> list[Tensor]:
    """Scale targets [B, ...] to the energies of features [B, ...] of a sound, row by row; lists of
    equal length.

    A denoised estimate is quieter than the truth (it is a mean); followed to the letter, a sound
    fades, its next estimate is quieter still, and the end is silence.
    """
    energies = [m.square().flatten(1).sum(1) + 1e-12 for m in [*present, *wanted]]
    gains = [
        (h / w).sqrt()
        for h, w in zip(energies[: len(present)], energies[len(present) :], strict=True)
    ]
    return [
        w * gain.reshape(-1, *[1] * (w.ndim - 1)) for w, gain in zip(wanted, gains, strict=True)
    ]


def distance(a: list[Tensor], b: list[Tensor], recipe: Recipe) -> Tensor:
    """The recipe's loss [B] between features a and b, lists of [B, ...]."""
    if recipe.log_weight > 0 and recipe.domain == "decoder" and recipe.emphasis == "spectrogram":
        return relative_distance(a, b, log_weight=recipe.log_weight)
    return squared_distance(a, b)
