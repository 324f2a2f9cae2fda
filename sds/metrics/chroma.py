"""Whether two tracks are in one harmony: the notes of the octave that sound at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.signal.audio_files import mono, resample

RATE = 11025
N, HOP = 4096, 1024  # 372 ms, bins of 2.7 Hz; a frame each 93 ms
LOWEST, HIGHEST = 55.0, 2000.0  # Hz: below, a semitone is less than a bin
WIDTH = 0.35  # semitones, deviation of a bin's share in the notes beside it
LOCAL = 5  # frames over which notes are heard together: half a second
QUIET = 40.0  # dB below the loudest frame: what is softer has no say
TINY = 1e-9


def chroma(audio: Tensor, rate: int) -> Tensor:
    """Chroma [12, L], C first, a frame each 93 ms, of audio [C, T] at `rate` Hz.

    Magnitudes of bins from 55 Hz to 2 kHz as square roots, each given to the nearest notes
    (Fujishima 1999; Mueller 2015, section 3.1.2), mean over half a second; frames that are silent
    are zeros.
    """
    x = resample(mono(audio[None].float())[0], rate, RATE)
    spectrum = torch.stft(
        F.pad(x, (N // 2, N // 2)), N, HOP, window=torch.hann_window(N), center=False,
        return_complex=True,
    )  # fmt: skip
    magnitude = spectrum.abs()
    power = magnitude.square().sum(0)
    loud = power > power.max().clamp_min(TINY) * 10 ** (-QUIET / 10)
    notes = _notes() @ magnitude.sqrt() * loud
    return F.avg_pool1d(notes[None], LOCAL, 1, LOCAL // 2, count_include_pad=False)[0]


def _notes() -> Tensor:
    """Weights [12, N / 2 + 1] of bins in pitch classes."""
    hz = torch.arange(N // 2 + 1) * RATE / N
    place = 69 + 12 * torch.log2(hz.clamp_min(1.0) / 440)  # MIDI keys
    off = (place[None] - torch.arange(12)[:, None] + 6) % 12 - 6
    inside = (hz >= LOWEST) & (hz <= HIGHEST)
    # a semitone of the top holds more bins than one of the bottom
    return torch.exp(-0.5 * (off / WIDTH) ** 2) * inside / hz.clamp_min(LOWEST)


def chroma_agreement(one: Tensor, other: Tensor) -> float:
    """Mean correlation -1..1 of two tracks' chroma [12, L] over the frames in which both sound: 1
    for the same notes, about 0 for notes that have nothing to do with each other; NaN where they
    never sound together.
    """
    count = min(one.shape[1], other.shape[1])
    a, b = (track[:, :count].double() for track in (one, other))
    together = (a.sum(0) > TINY) & (b.sum(0) > TINY)
    a, b = (track - track.mean(0) for track in (a, b))
    norms = a.norm(dim=0) * b.norm(dim=0)
    together &= norms > TINY
    if not bool(together.any()):
        return math.nan
    return float(((a * b).sum(0)[together] / norms[together]).mean())
