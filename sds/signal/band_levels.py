"""Levels on 128 bands: fine where partials lie close, a semitone wide above, a frame each 16 ms.

The grid of what tells instruments apart (`sds.priors.stem_masks`, `sds.priors.multi_track`). The
bands are hats over the bins of a short-time Fourier transform that add up to 1 in each bin, so
band powers add up to the power of the sound, and gains on bands are gains on bins.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

RATE = 32000  # Hz
N = 2048  # samples of a window
HOP = N // 4
BINS = N // 2 + 1
BANDS = 128
LINEAR = 45  # bands that are a bin each; above they widen evenly
FLOOR_DB, CENTRE_DB, SCALE_DB = -80.0, -40.0, 20.0  # of a band; a full-scale sine has 0 dB


@lru_cache(maxsize=1)
def band_centres() -> Tensor:
    """Centres [128] of the bands, in bins of 15.6 Hz."""
    low = torch.arange(1.0, LINEAR + 1)
    steps = torch.linspace(0, 1, BANDS - LINEAR + 1)[1:]
    return torch.cat([low, LINEAR * ((BINS - 1) / LINEAR) ** steps])


@lru_cache(maxsize=1)
def band_matrix() -> Tensor:
    """Weights [128, 1025] of bins in bands; each column adds up to 1."""
    return hats(torch.arange(BINS, dtype=torch.float32))


def hats(bins: Tensor) -> Tensor:
    """Weights [128, K] of the bands at places [K] in bins, which need not be whole."""
    centres = band_centres()
    place = bins.clamp(float(centres[0]), float(centres[-1]))
    above = torch.searchsorted(centres, place).clamp(1, BANDS - 1)
    share = (place - centres[above - 1]) / (centres[above] - centres[above - 1])
    out = torch.zeros(BANDS, len(bins))
    out.scatter_(0, (above - 1)[None], (1 - share)[None])
    return out.scatter_add_(0, above[None], share[None])


def stft(audio: Tensor) -> Tensor:
    """Complex spectrogram [..., 1025, T / 512 + 1] of audio [..., T] at 32 kHz; a full-scale sine
    has magnitude 1.
    """
    window = torch.hann_window(N, device=audio.device)
    flat = F.pad(audio.reshape(-1, audio.shape[-1]), (N // 2, N // 2))
    x = torch.stft(flat, N, HOP, window=window, center=False, return_complex=True) * (4.0 / N)
    return x.reshape(*audio.shape[:-1], *x.shape[-2:])


def istft(x: Tensor, samples: int) -> Tensor:
    """Audio [..., samples] of a spectrogram [..., 1025, L]: the inverse of `stft`."""
    window = torch.hann_window(N, device=x.device)
    flat = x.reshape(-1, *x.shape[-2:]) * (N / 4.0)
    audio: Tensor = torch.istft(flat, N, HOP, window=window, length=samples)
    return audio.reshape(*x.shape[:-2], samples)


def band_powers(spectrum: Tensor) -> Tensor:
    """Powers [..., 128, L] of a complex spectrogram [..., 1025, L] on the bands."""
    return on_bands(spectrum.real.square() + spectrum.imag.square())


def on_bands(values: Tensor) -> Tensor:
    """Sums [..., 128, L] over each band of what bins [..., 1025, L] have, by its hat."""
    matrix = band_matrix().to(values)
    low = values[..., : LINEAR + 1, :]  # bins 0 and 1 are the first band, the others one each
    first = low[..., :1, :] + low[..., 1:2, :]
    wide = matrix[LINEAR - 1 :, LINEAR:] @ values[..., LINEAR:, :]
    return torch.cat([first, low[..., 2:LINEAR, :], wide], -2)


def to_levels(power: Tensor) -> Tensor:
    """Powers [...] to scaled dB [...], of about unit variance in music."""
    return (10 * power.clamp_min(10 ** (FLOOR_DB / 10)).log10() - CENTRE_DB) / SCALE_DB


def to_powers(levels: Tensor) -> Tensor:
    """Scaled dB [...] to powers [...]: the inverse of `to_levels`; what is at the floor is 0."""
    db = levels * SCALE_DB + CENTRE_DB
    return torch.where(db > FLOOR_DB + 0.5, 10 ** (db / 10), torch.zeros_like(db))


SILENCE = (FLOOR_DB - CENTRE_DB) / SCALE_DB  # the level of nothing
