"""A complex spectrogram that keeps everything: a packed short-time Fourier transform, compressed,
and its exact inverse.

The representation of EDMSound (Zhu et al. 2023, arXiv 2311.08667) and SGMSE (Richter et al. 2023,
arXiv 2208.05830, eq. 20): c -> |c|^a e^(i arg c). Frames of 1024 samples under the root of a Hann
window, 512 apart: squared windows add up to 1. Frame k is centred on sample 512 k + 256, so there
are as many frames as hops, and phases are those seen from its middle: a click there has the same
phase in all bins.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

N_FFT = 1024
HOP = N_FFT // 2
BINS = N_FFT // 2
"""Of the packed spectrum: the Nyquist bin, which is real, is the imaginary part of the first."""

FLOOR = 1e-4
"""Magnitude (a full-scale sine has 1) below which compression is linear: -80 dB."""

_SCALE = math.pi / N_FFT
_EDGE = HOP // 2


def stft(audio: Tensor) -> Tensor:
    """Packed complex spectrogram [B, 512, L] of audio [B, 512 L]; a full-scale sine has 1."""
    window, signs = _window(audio), _signs(audio)
    frames = F.pad(audio, (_EDGE, _EDGE)).unfold(-1, N_FFT, HOP) * window
    spectrum = torch.fft.rfft(frames) * (_SCALE * signs)
    ends = torch.complex(spectrum[..., 0].real, spectrum[..., -1].real)
    return torch.cat([ends[..., None], spectrum[..., 1:-1]], dim=-1).transpose(1, 2)


def istft(packed: Tensor) -> Tensor:
    """Audio [B, 512 L] of a packed spectrogram [B, 512, L]. The inverse of `stft`."""
    x = packed.transpose(1, 2)
    first, last = torch.view_as_real(x[..., :1]).unbind(-1)
    zero = torch.zeros_like(first)
    whole = torch.cat([torch.complex(first, zero), x[..., 1:], torch.complex(last, zero)], dim=-1)
    window = _window(first)
    frames = torch.fft.irfft(whole * (_signs(first) / _SCALE), n=N_FFT) * window
    weight = window.square().expand(1, frames.shape[1], -1)
    return _overlap_add(frames) / _overlap_add(weight)


def compress(c: Tensor, exponent: float) -> Tensor:
    """Compress complex c [...] to |c|^a e^(i arg c), a the exponent; linear below `FLOOR`, where
    the power has no bounded slope. With a = 1 it is c.
    """
    return c if exponent == 1.0 else c * c.abs().clamp_min(FLOOR) ** (exponent - 1.0)


def expand(y: Tensor, exponent: float) -> Tensor:
    """Expand what `compress` made of complex y [...]: its inverse."""
    if exponent == 1.0:
        return y
    return y * y.abs().clamp_min(FLOOR**exponent) ** (1.0 / exponent - 1.0)


def _window(like: Tensor) -> Tensor:
    return torch.hann_window(N_FFT, device=like.device, dtype=like.dtype).sqrt()


def _signs(like: Tensor) -> Tensor:
    """(-1)^f of bin f [513]: the step from a frame's beginning to its middle."""
    return 1.0 - 2.0 * (torch.arange(BINS + 1, device=like.device, dtype=like.dtype) % 2)


def _overlap_add(frames: Tensor) -> Tensor:
    """Frames [B, L, 1024] laid 512 samples apart and summed, without the edges: [B, 512 L]."""
    first, second = frames[..., :HOP], frames[..., HOP:]
    total = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))
    return total.flatten(1)[:, _EDGE:-_EDGE]
