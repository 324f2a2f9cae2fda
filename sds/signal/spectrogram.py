"""Spectral emphasis: magnitudes of short-time Fourier transforms at several window sizes.

Audio-SDS (Richter-Powell et al. 2025, arXiv 2505.04621) compares renders with denoised targets
through S_m, m in 1024, 2048, 4096 samples, because a waveform distance punishes phase.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

SCALES = (1024, 2048, 4096)
DISTANCE_SCALES = (64, 128, 256, 512, 1024, 2048)


def stft(audio: Tensor, n: int) -> Tensor:
    """Hann STFT with hop n/4: audio [B, C, T] -> complex [B, C, n/2 + 1, T // (n/4) + 1].

    Divided by the window's norm, so that white noise of variance v has mean power v in each bin.
    Edges are padded with zeros: any T >= 1 is long enough.
    """
    window = torch.hann_window(n, device=audio.device, dtype=audio.dtype)
    flat = torch.stft(
        audio.flatten(0, 1), n, n // 4, window=window, pad_mode="constant", return_complex=True
    )
    return (flat / window.square().sum().sqrt()).reshape(*audio.shape[:2], *flat.shape[1:])


def istft(spectrum: Tensor, n: int, samples: int) -> Tensor:
    """The inverse of `stft`: complex [B, C, F, N] -> audio [B, C, samples]."""
    window = torch.hann_window(n, device=spectrum.device, dtype=spectrum.real.dtype)
    scaled = (spectrum * window.square().sum().sqrt()).flatten(0, 1)
    flat = torch.istft(scaled, n, n // 4, window=window, length=samples)
    return flat.reshape(*spectrum.shape[:2], samples)


def magnitude(audio: Tensor, n: int) -> Tensor:
    """|STFT| [B, C, F, N], with a finite gradient (zero) where the spectrum is zero."""
    spectrum = torch.view_as_real(stft(audio, n))
    return (spectrum.square().sum(-1) + 1e-16).sqrt() - 1e-8


def magnitudes(audio: Tensor, scales: Sequence[int] = SCALES) -> list[Tensor]:
    """Magnitude spectrograms S_m of audio [B, C, T], one [B, C, m/2 + 1, N] a window size m."""
    return [magnitude(audio, n) for n in scales]


def squared_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Squared distance [B] between spectrograms a and b, lists of [B, C, F, N], one a window size.

    The paper's 1/2 sum_m || S_m - T_m ||^2, each norm a mean over bins.
    """
    terms = [(x - y).square().flatten(1).mean(1) / 2 for x, y in zip(a, b, strict=True)]
    return torch.stack(terms).sum(0)


def complex_distance(a: Tensor, b: Tensor, scales: Sequence[int] = SCALES) -> Tensor:
    """Squared distance [B] between complex spectra of audio a and b [B, C, T].

    1/2 sum_m || STFT_m a - STFT_m b ||^2, each norm a mean over bins, as in `squared_distance`.

    It hears phase, which magnitudes do not: a sign, a delay. Equal to `squared_distance` where b is
    silent; 4 times as much between a sound and its negative, where the other is 0.
    """
    terms = [torch.view_as_real(stft(a - b, n)).square().sum(-1).flatten(1).mean(1) for n in scales]
    return torch.stack(terms).sum(0) / 2


def relative_distance(a: Sequence[Tensor], b: Sequence[Tensor], *, log_weight: float) -> Tensor:
    """Linear and logarithmic distance [B] of spectrograms a to targets b, lists of [B, C, F, N].

    sum_m 1/2 [ |S - T|^2 / |T|^2 + log_weight mean (log(S + e) - log(T + e))^2 ], without unit, e =
    1 % of the target's root mean square: quiet partials and tails count, the floor of the recording
    does not.
    """
    terms = []
    for x, y in zip(a, b, strict=True):
        power = y.square().flatten(1).mean(1).clamp_min(1e-10)  # [B]
        e = 0.01 * power.sqrt().reshape(-1, 1, 1, 1)
        linear = (x - y).square().flatten(1).mean(1) / power
        log = ((x + e).log() - (y + e).log()).square().flatten(1).mean(1)
        terms.append((linear + log_weight * log) / 2)
    return torch.stack(terms).sum(0)


def level_of(audio: Tensor) -> Tensor:
    """Root mean square [B, 1, 1] of audio [B, C, T], at least 1e-8.

    Whatever adds a small constant to magnitudes divides audio by this first, so that the constant
    means the same for soft sounds as for loud ones.
    """
    return audio.square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-8)


def shares(powers: Tensor) -> Tensor:
    """Parts [K, F, N] of powers as shares of their sum; equal shares where there is nothing.

    Nothing is what lies 120 dB below the loudest bin.
    """
    floor = 1e-12 * powers.sum(0).max() + 1e-30
    return (powers + floor) / (powers + floor).sum(0)


def log_spectra(audio: Tensor, scales: Sequence[int]) -> list[Tensor]:
    """Log spectrograms log(S_m + 0.01), one [B, C, F, N] a window size m, of audio [B, C, T]
    brought to a root mean square of 1.
    """
    return [(magnitude(audio / level_of(audio), n) + 0.01).log() for n in scales]


def log_gaps(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Multi-scale log-spectral distance [A, B], mean |log S - log T| in nepers, of each of a [A, C,
    F, N] to each of b [B, C, F, N]; both are lists, one a window size.
    """
    gaps = [(x[:, None] - y[None]).abs().flatten(2).mean(2) for x, y in zip(a, b, strict=True)]
    return torch.stack(gaps).mean(0)


def multi_scale_distance(a: Tensor, b: Tensor, scales: Sequence[int] = DISTANCE_SCALES) -> Tensor:
    """Multi-scale spectrogram loss of DDSP (Engel et al. 2020, arXiv 2001.04643), level-free; [B].

    Audio a [B, C, T] against the true b. Mean over windows m of sum|S - T| / sum|T| + mean|ln S -
    ln T|: DDSP's two terms and six windows, the first relative so that level does not count. In
    the logarithm what is 80 dB below the loudest bin of T counts as that.
    """
    level, terms = level_of(b), []
    for n in scales:
        x, y = magnitude(a / level, n), magnitude(b / level, n)
        floor = 1e-4 * y.flatten(1).amax(1).clamp_min(1e-8).reshape(-1, 1, 1, 1)
        linear = (x - y).abs().flatten(1).sum(1) / y.flatten(1).sum(1).clamp_min(1e-8)
        log = (x.maximum(floor).log() - y.maximum(floor).log()).abs().flatten(1).mean(1)
        terms.append(linear + log)
    return torch.stack(terms).mean(0)


def log_mel_distance(a: Tensor, b: Tensor, rate: int, *, mels: int = 80, n: int = 2048) -> Tensor:
    """Mean difference in dB of mel powers, audio a [B, C, T] against the true b at `rate`; [B].

    The mel-spectrogram loss of HiFi-GAN (Kong et al. 2020, arXiv 2010.05646) in dB, with `mels`
    Slaney bands up to half the rate and windows of `n`; what is 80 dB below the loudest band of b
    counts as that.
    """
    from torchaudio.functional import melscale_fbanks

    bank = melscale_fbanks(n // 2 + 1, 0.0, rate / 2, mels, rate, mel_scale="slaney").T
    level = level_of(b)
    x, y = (bank.to(s) @ magnitude(s / level, n).square() for s in (a, b))  # [B, C, mels, N]
    floor = 1e-8 * y.flatten(1).amax(1).clamp_min(1e-12).reshape(-1, 1, 1, 1)
    db = 10 * (x.maximum(floor).log10() - y.maximum(floor).log10())
    distance: Tensor = db.abs().flatten(1).mean(1)
    return distance
