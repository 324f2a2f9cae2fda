"""Separation of four stems as multi-source diffusion measures it: windows of 4 s, silence and all.

Mariani et al. 2023 (arXiv 2302.02257) and their code, which differ: the code has 22 050 Hz where
the paper says 16 kHz, and adds 1e-8 to sums of squares where the paper says 1e-5. This is the code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

WINDOW_SECONDS = 4.0
HOP_SECONDS = 2.0
SILENT = 1.5e-5  # norm over number of samples: it depends on the window's length
EPSILON = 1e-8
ACTIVE = 2  # stems that a window must have


@dataclass(frozen=True, slots=True)
class MultiSourceFigures:
    """SI-SDR improvement over the mixture in dB, means over windows.

    - `with_silent`: of each stem [N] over all windows, as published. A stem that is silent there
      counts by how quiet its estimate is, often far above what is possible with sound.
    - `active`: of each stem [N] over the windows where it is not silent; NaN where there is none.
    - `windows`: windows with at least two active stems; others are left out.
    - `silent`: of these, how many a stem is silent in, [N].
    """

    with_silent: Tensor
    active: Tensor
    windows: int
    silent: Tensor


def is_silent(audio: Tensor) -> Tensor:
    """Whether audio [..., T] is silent, [...]: its norm over T is below 1.5e-5."""
    norm: Tensor = torch.linalg.vector_norm(audio, dim=-1)
    return norm / audio.shape[-1] < SILENT


def si_sdr_with_epsilon(estimate: Tensor, reference: Tensor) -> Tensor:
    """Scale-invariant SDR in dB, [...], of estimates and references [..., T]: means are not
    removed, 1e-8 is added to every sum of squares.

    For a silent reference the target is silence, and it is 10 log10(eps / (|e|^2 + eps)): finite,
    and higher for a quieter estimate.
    """
    e, s = estimate.double(), reference.double()
    scale = ((e * s).sum(-1, keepdim=True) + EPSILON) / (s.square().sum(-1, keepdim=True) + EPSILON)
    target = scale * s
    noise = (target - e).square().sum(-1) + EPSILON
    return 10 * torch.log10((target.square().sum(-1) + EPSILON) / noise)


def multi_source_figures(estimates: Tensor, references: Tensor, rate: int) -> MultiSourceFigures:
    """Measure estimates [N, T] of the stems [N, T] of one recording at `rate` Hz; the mixture is
    the stems' sum.

    Windows of 4 s begin every 2 s, the last ones shorter where the recording ends. Raises
    ValueError for shapes that differ and for a recording without a window of two active stems.
    """
    if estimates.shape != references.shape or estimates.ndim != 2:
        raise ValueError(
            "estimates and references must be [N, T] and equal, got "
            f"{list(estimates.shape)} and {list(references.shape)}"
        )
    size, hop = int(WINDOW_SECONDS * rate), int(HOP_SECONDS * rate)
    samples = references.shape[-1]
    mixture = references.sum(0)
    improvements, silences = [], []
    for begin in range(0, max(1, samples - (size - hop)), hop):
        part = slice(begin, begin + size)
        silence = is_silent(references[:, part])
        if int((~silence).sum()) < ACTIVE:
            continue
        gain = si_sdr_with_epsilon(estimates[:, part], references[:, part])
        improvements.append(gain - si_sdr_with_epsilon(mixture[part], references[:, part]))
        silences.append(silence)
    if not improvements:
        raise ValueError("no window of 4 s has two stems that are not silent")
    gains, silent = torch.stack(improvements), torch.stack(silences)  # [windows, N]
    active = torch.where(silent, torch.nan, gains).nanmean(0)
    return MultiSourceFigures(gains.mean(0), active, len(gains), silent.sum(0))
