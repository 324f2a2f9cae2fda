"""Frames that the tagger hears: the trunk's last map, its bands in four groups.

Sounds of a mixture often lie in different bands, and a mean over all of them would blend what the
trunk (`sds.similarity.trunk`) keeps apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sds.similarity.trunk import HOP, PEAK, RATE, STRIDE, WIDTH, Trunk

GROUPS = 4  # of the twelve bands of the last map
FRAME = HOP * STRIDE  # samples of a frame at RATE, 186 ms
QUIET = 1e-4  # peak that is not raised further than to PEAK times this over it

__all__ = ["FRAME", "GROUPS", "RATE", "WIDTH", "band_frames"]


@torch.no_grad()
def band_frames(
    trunk: Trunk, audio: Tensor, last_map: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Frames [B, N, GROUPS, 512] of audio [B, T] at RATE, brought to the peak that the trunk wants.

    N = T // FRAME: frame i is of the samples from i * FRAME on. T is at least FRAME. `last_map`
    says how the trunk's last map [B, 512, N', 12] of levels [B, L, 96] is made, where there is a
    faster way.
    """
    peak = audio.abs().amax(1, keepdim=True).clamp_min(QUIET)
    levels = trunk.levels(audio * (PEAK / peak))
    last = last_map(levels) if last_map is not None else trunk.maps(levels)[-1]
    groups = last.reshape(*last.shape[:3], GROUPS, -1).mean(4)  # [B, 512, N', GROUPS]
    out: Tensor = groups[:, :, : audio.shape[1] // FRAME].permute(0, 2, 3, 1)
    return out
