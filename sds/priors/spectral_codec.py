"""The default model's codec: magnitudes at frame rate, phase from what is already playing.

Waveform codecs train too slowly on two cores, and predicted phase never aligned in the time at
hand; but score distillation compares magnitudes and separation masks keep the mixture's phase. So
a latent holds magnitudes only, and `decode` takes its phase from `like` (the current render, or
the mixture), refined by a few rounds of Griffin & Lim (1984); without `like` it starts from a
deterministic noise phase (fast Griffin-Lim, Perraudin et al. 2013, arXiv 1304.4394).

    audio -> |STFT| 2048/512 -> mel, dB [B, 128, 4L] -> four frames to one, linear -> z [B, 64, L]
    z -> linear (mel, dB) + ConvNeXt -> |STFT| in dB on the 1025 linear bins -> inverse STFT

The linear maps are the principal components of the training corpus: latents exist before the first
step of training, and stay as they are, so the prior is trained beside the decoder. Compared: after
250 steps (of 16 x 1.5 s) a ConvNeXt encoder on top had not made held-back clips better.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.quiet_import import importing

with importing():
    from stable_audio_tools.models.pretransforms import Pretransform

N_FFT = 2048
HOP = 512
GROUP = 4  # STFT frames in one latent frame
BINS = N_FFT // 2 + 1
FLOOR_DB, CEILING_DB = -90.0, 10.0  # a full-scale sine is at 0
CENTRE_DB, SCALE_DB = -60.0, 20.0
FLATTEN = 0.5  # how far `principal` evens the latents out: 0 not at all, 1 wholly


@lru_cache(maxsize=8)
def _window(device: torch.device) -> Tensor:
    return torch.hann_window(N_FFT, device=device)


def stft(audio: Tensor) -> Tensor:
    """Complex spectrogram [B, 1025, T / 512] of audio [B, T]; a full-scale sine has magnitude 1."""
    audio = F.pad(audio[:, None], (N_FFT // 2 - HOP // 2, N_FFT // 2 - HOP // 2), mode="reflect")
    x: Tensor = torch.stft(
        audio[:, 0], N_FFT, HOP, window=_window(audio.device), center=False, return_complex=True
    )
    return x * (4.0 / N_FFT)


def istft(x: Tensor) -> Tensor:
    """Audio [B, 512 * frames] of a spectrogram [B, 1025, frames]. The inverse of `stft`."""
    window = _window(x.device)
    frames = torch.fft.irfft(x.transpose(1, 2) * (N_FFT / 4.0), n=N_FFT) * window
    total = _overlap_add(frames)
    weight = _overlap_add((window**2).expand(1, x.shape[-1], -1))
    edge = N_FFT // 2 - HOP // 2
    return (total / weight.clamp_min(1e-3))[:, edge : total.shape[-1] - edge]


def _overlap_add(frames: Tensor) -> Tensor:
    """Frames [B, L, 2048] laid 512 samples apart and summed, [B, 512 (L + 3)]."""
    b, length, _ = frames.shape
    overlap = N_FFT // HOP
    total = frames.new_zeros(b, length + overlap - 1, HOP)
    for k, part in enumerate(frames.reshape(b, length, overlap, HOP).unbind(2)):
        total[:, k : k + length] += part
    return total.reshape(b, -1)


def to_db(magnitude: Tensor) -> Tensor:
    """Magnitudes [...] to decibels [...]: 20 log10, floored at -90 dB, shifted and scaled to about
    unit variance.
    """
    db = 20.0 * torch.log10(magnitude.clamp_min(10.0 ** (FLOOR_DB / 20.0)))
    return (db - CENTRE_DB) / SCALE_DB


def from_db(level: Tensor) -> Tensor:
    """Scaled decibels [...] to magnitudes [...], the inverse of `to_db`.

    What is at the floor becomes silence, and nothing passes +10 dB: guidance of 60 extrapolates
    decibels, and would overflow.
    """
    db = (level * SCALE_DB + CENTRE_DB).clamp_max(CEILING_DB)
    return torch.where(db > FLOOR_DB + 1.0, 10.0 ** (db / 20.0), torch.zeros_like(db))


def mel_matrix(rate: int, mels: int) -> Tensor:
    """Mel matrix [mels, 1025] of triangles on the Slaney scale at `rate` Hz, each row summing to 1
    (a mean, not a sum). Raises `ValueError` for more mels than bins can hold.
    """
    from torchaudio.functional import melscale_fbanks

    weights: Tensor = melscale_fbanks(
        BINS, 0.0, rate / 2, mels, rate, norm=None, mel_scale="slaney"
    ).T  # [mels, BINS]
    if float(weights.sum(1).min()) < 0.9:
        raise ValueError(f"mels must leave every band a bin of {rate / N_FFT:.1f} Hz, got {mels}")
    return weights / weights.sum(1, keepdim=True)


def mel_spread(mel: Tensor) -> Tensor:
    """Matrix [1025, mels] that gives every bin the mean of the bands of mel [mels, 1025] over it,
    linear in dB.
    """
    spread = (mel / mel.amax(1, keepdim=True)).T
    empty = torch.where(spread.sum(1) < 1e-6)[0]
    for row in empty:  # below the first or above the last band
        spread[row, 0 if row < BINS // 2 else -1] = 1.0
    return spread / spread.sum(1, keepdim=True)


class Block(nn.Module):
    """A ConvNeXt block (Liu et al. 2022) over time: depthwise 7, norm, widen, GELU, narrow."""

    def __init__(self, width: int, mult: int = 2) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, width * mult)
        self.narrow = nn.Linear(width * mult, width)
        nn.init.zeros_(self.narrow.weight)
        nn.init.zeros_(self.narrow.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Activations x [B, width, L] after the block, of the same shape."""
        y: Tensor = self.norm(self.depthwise(x).transpose(1, 2))
        y = self.narrow(F.gelu(self.widen(y))).transpose(1, 2)
        out: Tensor = x + y
        return out


class SpectralCodec(Pretransform):  # type: ignore[misc]
    """A stable-audio-tools `Pretransform`: mono [B, 1, T] <-> latents [B, latent, T / 2048]."""

    def __init__(
        self,
        latent: int = 64,
        mels: int = 128,
        width: int = 256,
        blocks: int = 6,
        rate: int = 44100,
    ) -> None:
        super().__init__(enable_grad=False, io_channels=1, is_discrete=False)
        self.encoded_channels = latent
        self.downsampling_ratio = HOP * GROUP
        self.rate = rate
        mel = mel_matrix(rate, mels)
        self.register_buffer("mel", mel, persistent=False)
        self.register_buffer("spread", mel_spread(mel), persistent=False)
        self.analysis = nn.Linear(GROUP * mels, latent)
        self.synthesis = nn.Linear(latent, GROUP * mels)
        self.dec_in = nn.Linear(latent, GROUP * width)
        self.dec = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.dec_out = nn.Conv1d(width, BINS, 1)
        nn.init.zeros_(self.dec_out.weight)
        self.dec_out.bias = nn.Parameter(torch.zeros(BINS))

    def deviation(self) -> Tensor:
        """Standard deviation [latent] of each latent over the corpus of `principal`."""
        # Columns are vectors * scale, scale = k s ** FLATTEN: a latent, of deviation s / scale, has
        # scale ** (1 / FLATTEN - 1) but for a factor; the mean square of all is 1.
        scale: Tensor = self.synthesis.weight.norm(dim=0)
        deviation = scale ** (1.0 / FLATTEN - 1.0)
        return deviation / deviation.square().mean().sqrt()

    def tilts(self) -> Tensor:
        """Latent changes [2, latent] of 1 dB more level, and of 1 dB from the middle to the top."""
        mels = self.mel.shape[0]
        curves = torch.stack([torch.ones(mels), torch.linspace(-1, 1, mels)]) / SCALE_DB
        change: Tensor = curves.repeat(1, GROUP) @ self.analysis.weight.T
        return change

    def at_speed(self, z: Tensor, speed: Tensor, frames: int) -> Tensor:
        """Latents [B, latent, `frames`] of the sound in z [B, latent, L] played at `speed` [B].

        Twice as fast is an octave higher: mel levels are looked up where both came from. Past the
        edges of z the last frame, band, is held.
        """
        levels = ungroup_frames(self.synthesis(z.transpose(1, 2)))  # [B, mels, 4L]
        b, mels, length = levels.shape
        centre = self.mel @ torch.arange(BINS, device=z.device, dtype=z.dtype)  # [mels], rising
        source = centre / speed[:, None]
        above = torch.searchsorted(centre, source).clamp(1, mels - 1)
        below, upper = centre[above - 1], centre[above]
        band = above - 1 + ((source - below) / (upper - below)).clamp(0, 1)
        ticks = torch.arange(GROUP * frames, device=z.device, dtype=z.dtype)
        frame = (ticks + 0.5) * speed[:, None] - 0.5
        at = torch.stack(
            [
                (frame * 2 + 1).div(length)[:, None].expand(b, mels, -1) - 1,
                (band * 2 + 1).div(mels)[:, :, None].expand(-1, -1, GROUP * frames) - 1,
            ],
            dim=3,
        )
        moved = F.grid_sample(levels[:, None], at, padding_mode="border", align_corners=False)
        return self.encode_levels(moved[:, 0])

    def levels(self, audio: Tensor) -> Tensor:
        """Mel magnitudes in scaled dB [B, mels, 4L] of audio [B, T], T a multiple of 2048."""
        return to_db(self.mel @ stft(audio).abs())

    def encode_levels(self, levels: Tensor) -> Tensor:
        """Encode scaled mel decibels [B, mels, 4L] to latents [B, latent, L]."""
        z: Tensor = self.analysis(group_frames(levels))
        return z.transpose(1, 2)

    def decode_levels(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Decode latents [B, latent, L] to scaled dB on bins [B, 1025, 4L] and on mels [B, mels,
        4L].
        """
        z = z.transpose(1, 2)
        mel = ungroup_frames(self.synthesis(z))
        bins = self.spread @ mel + self.dec_out(self.dec(ungroup_frames(self.dec_in(z))))
        return bins, mel

    def encode(self, x: Tensor) -> Tensor:
        """Audio [B, 1, T] -> latents [B, latent, ceil(T / 2048)], the end padded with silence."""
        short = -x.shape[-1] % self.downsampling_ratio
        return self.encode_levels(self.levels(F.pad(x[:, 0], (0, short))))

    def magnitudes(self, z: Tensor) -> Tensor:
        """Latents [B, latent, L] -> |STFT| [B, 1025, 4L]."""
        return from_db(self.decode_levels(z)[0])

    def decode(self, z: Tensor, *, like: Tensor | None = None, rounds: int = 8) -> Tensor:
        """Latents [B, latent, L] -> audio [B, 1, 2048 L], phase from `like` [B, 1, T] if given."""
        magnitude = self.magnitudes(z)
        length = z.shape[-1] * self.downsampling_ratio
        if like is None:
            phase = _noise_phase(magnitude.shape[-1]).to(z.device)
            return griffin_lim(magnitude, phase[None], rounds=2 * rounds)[:, None]
        like = F.pad(like[..., :length], (0, max(0, length - like.shape[-1])))
        reference = stft(like[:, 0])
        # Where the reference is silent its phase says nothing: a little noise breaks the tie.
        hush = 1e-5 * _noise_phase(magnitude.shape[-1]).to(z.device)
        return griffin_lim(magnitude, reference + hush, rounds=max(1, rounds // 4))[:, None]


def griffin_lim(magnitude: Tensor, start: Tensor, *, rounds: int, momentum: float = 0.9) -> Tensor:
    """Reconstruct audio [B, T] from |STFT| [B, 1025, L] by fast Griffin-Lim (arXiv 1304.4394,
    algorithm 2).

    `start` [B or 1, 1025, L] is a complex spectrogram whose phase is the first guess.
    """
    phase = torch.sgn(start)
    before = torch.zeros_like(phase)
    for _ in range(rounds):
        spectrum = stft(istft(magnitude * phase))
        phase = torch.sgn(spectrum + momentum * (spectrum - before))
        before = spectrum
    return istft(magnitude * phase)


@lru_cache(maxsize=8)
def _noise_phase(frames: int) -> Tensor:
    """Unit phasors [1025, frames]: the phase of fixed white noise, which is at least consistent."""
    noise = torch.randn(1, frames * HOP, generator=torch.Generator().manual_seed(0))
    return torch.sgn(stft(noise)[0])


def group_frames(x: Tensor) -> Tensor:
    """Lay four frames of x [B, C, 4L] side by side: [B, L, 4C]."""
    b, c, n = x.shape
    return x.reshape(b, c, n // GROUP, GROUP).permute(0, 2, 3, 1).reshape(b, n // GROUP, GROUP * c)


def ungroup_frames(x: Tensor) -> Tensor:
    """Lay four frames of x [B, L, 4C] one after the other: [B, C, 4L]. The inverse of
    `group_frames`.
    """
    b, n, c = x.shape
    return x.reshape(b, n * GROUP, c // GROUP).transpose(1, 2)


def principal(codec: SpectralCodec, levels: Tensor) -> float:
    """Fit the codec's linear maps to mel levels [N, mels, 4L]: their principal components.

    A component of standard deviation s becomes a latent of deviation s ** (1 - FLATTEN) / k, k such
    that latents have unit variance on average: between no whitening (the prior is trained on the
    loud components only) and full whitening (it spends itself on faint ones). Returns the share of
    variance, 0..1, that the kept components explain.
    """
    x = group_frames(levels).reshape(-1, codec.analysis.in_features)
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((x - mean).T))
    keep = codec.encoded_channels
    vectors = vectors.flip(1)[:, :keep]
    deviation = values.flip(0)[:keep].clamp_min(1e-8).sqrt()
    scale = deviation**FLATTEN
    scale = scale * math.sqrt(float(((deviation / scale) ** 2).mean()))
    with torch.no_grad():
        codec.analysis.weight.copy_((vectors / scale).T)
        codec.analysis.bias.copy_(-(vectors / scale).T @ mean)
        codec.synthesis.weight.copy_(vectors * scale)
        codec.synthesis.bias.copy_(mean)
    return float(values.flip(0)[:keep].sum() / values.sum())
