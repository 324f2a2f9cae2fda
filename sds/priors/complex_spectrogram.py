"""The complex-spectrogram prior (EDMSound, Zhu et al. 2023, arXiv 2311.08667): diffusion on what
can be turned back into sound exactly.

Latents are real and imaginary parts [B, 1024, L] of a compressed short-time Fourier transform
(`sds.signal.compressed_stft`), each bin divided by its scale: no decoder to learn, phases that are
the model's own, attacks where they are. Beside them is a guide, the envelope of the same sound as
the default prior's codec writes it, 64 latents of four frames as 16 channels of one:

    [B, 1024 + 16, L] + noise -> D of the guide, by the default prior, which knows the prompt
                              -> D of the parts, by the network, which hears what is expected

The guide is `GUIDE` times as loud as the codec has it, so that at the noise at which the parts
emerge the envelope is known. Both say the envelope; where they differ, the guide is right: sound is
made of the parts, each bin brought to the level that the guide means. What was encoded agrees.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.priors.base import Cond
from sds.priors.checkpoints import (
    CONFIG,
    Checkpoint,
    ModelUnavailable,
    digest,
    fill,
    find,
    first_line,
    read_tensors,
)
from sds.priors.complex_network import ComplexSpectrogramNetwork
from sds.priors.families import family_of_config
from sds.priors.spectral_codec import CENTRE_DB, SCALE_DB, group_frames, ungroup_frames
from sds.priors.stable_audio import StableAudioPrior, load_stable_audio
from sds.signal.compressed_stft import BINS, HOP, compress, expand, istft, stft
from sds.signal.overlap_add import fades, spans

UNIT = 8  # frames: four a latent of the guide, of which its transformer takes two at a time
GUIDE = 4.0
MOST_DB = 20.0  # by which a bin is brought to the level that the guide means


def to_parts(c: Tensor) -> Tensor:
    """Real parts, then imaginary parts [B, 1024, L] of complex c [B, 512, L]."""
    return torch.cat([c.real, c.imag], dim=1)


def to_complex(x: Tensor) -> Tensor:
    """Complex [B, 512, L] of parts x [B, 1024, L]: the inverse of `to_parts`."""
    return torch.complex(*x.chunk(2, dim=1))


def to_channels(z: Tensor) -> Tensor:
    """The guide's channels [B, 16, L] of latents z [B, 64, L / 4]."""
    return GUIDE * ungroup_frames(z.transpose(1, 2))


def to_latents(channels: Tensor) -> Tensor:
    """Latents [B, 64, L / 4] of the guide's channels [B, 16, L]: the inverse of `to_channels`."""
    return group_frames(channels).transpose(1, 2) / GUIDE


def expected_levels(guide: StableAudioPrior, envelope: Tensor) -> Tensor:
    """Levels in dB [B, 512, L] that the guide's codec makes of latents [B, 64, L / 4]: of every
    second bin, since its windows are twice as long.
    """
    levels: Tensor = guide.codec.decode_levels(envelope)[0]
    return levels[:, : 2 * BINS : 2] * SCALE_DB + CENTRE_DB


class ComplexSpectrogramPrior:
    """A `ComplexSpectrogramNetwork` beside its guide, as a `Prior`: mono, weights frozen.

    What is longer than `window` frames is denoised in windows that overlap by a quarter, and their
    answers are cross-faded (MultiDiffusion, Bar-Tal et al. 2023, arXiv 2302.08113, eq. 5): one D
    for the whole.
    """

    def __init__(
        self,
        network: ComplexSpectrogramNetwork,
        guide: StableAudioPrior,
        config: Mapping[str, Any],
        *,
        name: str,
        model_hash: str = "",
        window: int = 256,
    ) -> None:
        self.name, self.model_hash, self.channels = name, model_hash, 1
        self.guide, self.device, self.window = guide, guide.device, window
        self.sample_rate = int(config["sample_rate"])
        self.max_seconds = config["sample_size"] / self.sample_rate
        self.family = family_of_config(config)
        low, high = config["sigmas"]
        self.sigmas = (float(low), float(high))
        self.network = network.eval().requires_grad_(False).to(self.device)

    def embed(self, prompts: Sequence[str], seconds: float) -> Cond:
        """Conditioning of each of B prompts, tensors [B, ...] by name, for a clip of `seconds`; ""
        is the branch without a prompt.

        Raises `ValueError` for no prompts or seconds that are not finite and above 0.
        """
        longest = self.window * HOP / self.sample_rate  # what the guide has been told of
        return self.guide.embed(prompts, longest if longest < seconds < math.inf else seconds)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio [B, 1, T] -> parts and guide [B, 1040, L], the end padded with silence to 8 frames
        of 512.
        """
        if audio.ndim != 3 or audio.shape[1] != 1 or audio.shape[-1] == 0:
            raise ValueError(f"audio must be [B, 1, T > 0], got {list(audio.shape)}")
        x = F.pad(audio.to(self.device, torch.float32), (0, -audio.shape[-1] % (UNIT * HOP)))
        c = compress(stft(x[:, 0]), self.network.exponent) / self.network.scale[:, None]
        return torch.cat([to_parts(c), to_channels(self.guide.encode(x))], dim=1).to(audio.device)

    def decode(self, latent: Tensor, *, like: Tensor | None = None) -> Tensor:
        """Parts and guide [B, 1040, L] -> audio [B, 1, 512 L], or as long as `like` [B, 1, T]; the
        inverse of `encode`.
        """
        x = latent.to(self.device, torch.float32)
        c = to_complex(x[:, : 2 * BINS]) * self.network.scale[:, None]
        c = expand(c, self.network.exponent)
        heard = self.guide.encode(istft(c)[:, None])
        meant = expected_levels(self.guide, to_latents(x[:, 2 * BINS :]))
        change = (meant - expected_levels(self.guide, heard)).clamp(-MOST_DB, MOST_DB)
        audio = istft(c * 10 ** (change / 20))[:, None].to(latent.device)
        if like is None:
            return audio
        short = max(0, like.shape[-1] - audio.shape[-1])
        return F.pad(audio, (0, short))[..., : like.shape[-1]]

    def denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """Denoise x [B, 1040, L] at noise levels sigma [B] for `cond`: D(x; sigma, cond) [B, 1040,
        L].

        A `cond` of batch 1 is shared by all; raises `ValueError` for any other than 1 or B, and for
        frames that are not a multiple of 8.
        """
        if x.shape[-1] % UNIT:
            raise ValueError(f"x must have a multiple of {UNIT} frames, got {x.shape[-1]}")
        levels = sigma.to(self.device, torch.float32).expand(len(x))
        z = x.to(self.device, torch.float32)
        windows = spans(z.shape[-1] // UNIT, self.window // UNIT)
        out = torch.zeros_like(z)
        for (begin, end), fade in zip(windows, fades(windows), strict=True):
            frames = slice(begin * UNIT, end * UNIT)
            weight = fade.to(z).repeat_interleave(UNIT)
            d = self._window(z[..., frames], levels, cond) * weight
            out = out + F.pad(d, (frames.start, z.shape[-1] - frames.stop))
        return out.to(x.device)

    def _window(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """D [B, 1040, L] of one window x [B, 1040, L]."""
        noisy = to_latents(x[:, 2 * BINS :])
        envelope = self.guide.denoise(noisy, sigma / GUIDE, cond)
        levels = expected_levels(self.guide, envelope)
        d, _ = self.network(x[:, : 2 * BINS], sigma, envelope, levels)
        return torch.cat([d, to_channels(envelope)], dim=1)


def build_network(config: Mapping[str, Any]) -> ComplexSpectrogramNetwork:
    """The network that a model_config.json describes, freshly initialised. Raises
    `ModelUnavailable`.
    """
    try:
        exponent = float(config["model"]["exponent"])
        sizes = {key: int(value) for key, value in config["model"]["network"].items()}
        return ComplexSpectrogramNetwork(exponent=exponent, **sizes)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise ModelUnavailable(
            f"{CONFIG} does not describe a complex-spectrogram model ({type(error).__name__}: "
            f"{first_line(error)})."
        ) from error


def load_complex_spectrogram(checkpoint: Checkpoint, device: str) -> ComplexSpectrogramPrior:
    """The prior of a checkpoint that `sds.priors.checkpoints.find` found, and its guide. Raises
    `ModelUnavailable`.
    """
    with torch.random.fork_rng(devices=[]):
        network = build_network(checkpoint.config)
    fill(network, read_tensors(checkpoint.weights), checkpoint.weights, "network")
    guide = load_stable_audio(find("default"), device)
    both = f"{digest(checkpoint.weights)} {guide.model_hash}"
    return ComplexSpectrogramPrior(
        network,
        guide,
        checkpoint.config,
        name=checkpoint.name,
        model_hash=hashlib.sha256(both.encode()).hexdigest()[:16],
    )
