"""The network of the complex-spectrogram prior: a denoiser whose preconditioning is its own.

Karras et al. 2022 (arXiv 2206.00364, eq. 7, table 1) write D(x; sigma) = c_skip x + c_out F with
c_skip = sd^2 / (sigma^2 + sd^2) and c_out = sigma sd / sqrt(sigma^2 + sd^2), where sd is the
deviation of the data. A spectrogram has no one deviation: noise that drowns a quiet bin leaves a
loud one untouched. Here the network says sd for every bin of every frame, so that c_skip is the
Wiener gain, c_out the deviation of what that leaves open, and F, of deviation about 1, the rest:

    expected levels, dB             log sd^2 as the codec's decoder has it, [B, 512, L]
    latents, and the noisy frames   ConvNeXt over frames -> a correction
    8 bins x 1 frame to a point     convolutions over frames and bands -> a finer one, and F

F is a bias and a share of the whitened neighbours in time, complex: a partial that goes on has a
phase that its neighbours tell.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.spectral_codec import GROUP, Block, ungroup_frames
from sds.signal.compressed_stft import BINS

BAND = 8  # bins of one point of the convolutions
BANDS = BINS // BAND
HEADS = 7  # a bin: log variance, F (2), two neighbours (2 each)
LOG_RANGE = 16.0  # of log variance
CORRECTION = 4.0  # the most that what is heard adds to it
FEATURES = 64  # of log sigma


def _silence(*layers: nn.Module) -> None:
    """Let layers say nothing until they have learned."""
    for layer in layers:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)


class NoiseFeatures(nn.Module):
    """An embedding of log sigma: cosines (Karras et al. 2022, table 7), then a layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        frequencies = torch.logspace(-1, 1.2, FEATURES // 2)
        self.frequencies: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layer = nn.Linear(FEATURES, width)

    def forward(self, log_sigma: Tensor) -> Tensor:
        """Embed log sigma [B] as [B, width]."""
        angle = log_sigma[:, None] * self.frequencies
        out: Tensor = F.silu(self.layer(torch.cat([angle.cos(), angle.sin()], dim=1)))
        return out


class FrameBlock(nn.Module):
    """A ConvNeXt block over frames, shifted by the noise level."""

    def __init__(self, width: int, noise: int) -> None:
        super().__init__()
        self.shift = nn.Linear(noise, width)
        self.block = Block(width)
        _silence(self.shift)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Activations x [B, width, L] and noise features [B, noise] -> [B, width, L]."""
        out: Tensor = self.block(x + self.shift(noise)[:, :, None])
        return out


class BandBlock(nn.Module):
    """Residual convolutions over frames, then over bands, scaled and shifted by the noise level."""

    def __init__(self, width: int, noise: int) -> None:
        super().__init__()
        self.modulate = nn.Linear(noise, 2 * width)
        self.over_frames = nn.Conv2d(width, width, (1, 3), padding=(0, 1))
        self.over_bands = nn.Conv2d(width, width, (3, 1), padding=(1, 0))
        _silence(self.modulate)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Activations x [B, width, 64, L] and noise features [B, noise] -> [B, width, 64, L]."""
        scale, shift = self.modulate(noise)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.over_frames(x) * (1 + scale) + shift)
        out: Tensor = x + F.silu(self.over_bands(h))
        return out


class ComplexSpectrogramNetwork(nn.Module):
    """D(x; sigma) over real and imaginary parts [B, 1024, L], told which envelope is expected."""

    def __init__(
        self,
        *,
        exponent: float = 0.5,
        latent: int = 64,
        width: int = 256,
        encoder: int = 2,
        decoder: int = 2,
        bands: int = 48,
        depth: int = 2,
        noise: int = 128,
    ) -> None:
        """`exponent` is that of the compression; `latent` channels say the envelope of four frames;
        the rest are widths and depths.
        """
        super().__init__()
        self.exponent = exponent
        self.scale: Tensor
        self.register_buffer("scale", torch.ones(BINS))  # of each bin, by which c is divided
        self.noise = NoiseFeatures(noise)
        self.levels_in = nn.Linear(BINS, width)
        self.encoder = nn.ModuleList(FrameBlock(width, noise) for _ in range(encoder))
        self.from_latent = nn.Linear(latent, GROUP * width)
        self.beside = nn.Conv1d(width, width, 1)
        self.decoder = nn.ModuleList(FrameBlock(width, noise) for _ in range(decoder))
        self.levels_out = nn.Conv1d(width, BINS, 1)
        self.points_in = nn.Conv2d(4 * BAND, bands, 1)
        self.place = nn.Parameter(torch.zeros(bands, BANDS, 1))
        self.points = nn.ModuleList(BandBlock(bands, noise) for _ in range(depth))
        self.points_out = nn.Conv2d(bands, HEADS * BAND, 1)
        _silence(self.levels_out, self.points_out)

    def forward(
        self, x: Tensor, sigma: Tensor, envelope: Tensor, levels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """D [B, 1024, L] of x [B, 1024, L] at sigma [B], and the log variance [B, 512, L] it takes.

        `envelope` [B, 64, L / 4] are the latents that are expected, `levels` [B, 512, L] what the
        codec makes of them: decibels of a full-scale sine's magnitude.
        """
        parts = x.reshape(len(x), 2, BINS, -1)
        noise = self.noise(sigma.log())
        variance = sigma.square()[:, None, None]
        power = parts.square().mean(1)  # a component
        heard = 0.25 * torch.log1p(power / variance)
        coarse = self.log_variance(levels) + self._correction(heard, envelope, noise)
        fine, bias, ahead, behind = self._points(parts, heard, variance, coarse, noise)
        log_variance = (coarse + fine).clamp(-LOG_RANGE, LOG_RANGE)
        own = log_variance.exp()
        total = (own + variance).rsqrt()
        white = torch.complex(parts[:, 0] * total, parts[:, 1] * total)
        rest = (
            bias + ahead * F.pad(white, (0, 1))[..., 1:] + behind * F.pad(white, (1, 0))[..., :-1]
        )
        left_open = (variance.sqrt() * own.sqrt() * total)[:, None]
        skip = (own * total.square())[:, None]
        d = skip * parts + left_open * torch.view_as_real(rest).movedim(-1, 1)
        return d.flatten(1, 2), log_variance

    def log_variance(self, levels: Tensor) -> Tensor:
        """Log variance of a component of |c|^a / scale where |c| has these levels [B, 512, L]."""
        nepers = 2 * self.exponent * math.log(10) / 20  # of power, a decibel of magnitude
        return nepers * levels - (math.log(2) + 2 * self.scale.log())[:, None]

    def _correction(self, heard: Tensor, envelope: Tensor, noise: Tensor) -> Tensor:
        """What is to be added to log variance [B, 512, L]."""
        hidden: Tensor = self.levels_in(heard.transpose(1, 2)).transpose(1, 2)
        for block in self.encoder:
            hidden = block(hidden, noise)
        z = envelope.transpose(1, 2)
        h = ungroup_frames(self.from_latent(z)) + self.beside(hidden)
        for block in self.decoder:
            h = block(h, noise)
        out: Tensor = CORRECTION * (self.levels_out(h) / CORRECTION).tanh()
        return out

    def _points(
        self, parts: Tensor, heard: Tensor, variance: Tensor, coarse: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Correction of log variance, F's bias and shares of both neighbours, each [B, 512, L]."""
        whole = (coarse.exp() + variance).rsqrt()[:, None]
        features = torch.cat(
            [
                (parts * whole).clamp(-4, 4),
                heard[:, None],
                0.25 * (coarse - variance.log())[:, None],
            ],
            dim=1,
        )  # [B, 4, 512, L]
        b, _, _, frames = features.shape
        grid = features.reshape(b, 4, BANDS, BAND, frames).permute(0, 1, 3, 2, 4).flatten(1, 2)
        h = self.points_in(grid.contiguous(memory_format=torch.channels_last)) + self.place
        for block in self.points:
            h = block(h, noise)
        out = self.points_out(h).reshape(b, HEADS, BAND, BANDS, frames)
        fine, *pairs = out.transpose(2, 3).reshape(b, HEADS, BINS, frames).unbind(1)
        bias, ahead, behind = (
            torch.complex(re, im) for re, im in zip(pairs[::2], pairs[1::2], strict=True)
        )
        return fine, bias, ahead, behind
