"""Denoisers of several tracks made of others: of one noise level for all, or of one track each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser, TrackDenoiser


def one_level(denoise: Denoiser) -> TrackDenoiser:
    """Build D(x [B, N, ...]; sigma [B, N]) of a denoiser that knows one level for all tracks.

    Raises ValueError where the levels of an item differ: such a denoiser was not trained for known
    tracks at sigma 0, and imputes by replacement.
    """

    def together(x: Tensor, sigma: Tensor) -> Tensor:
        if not torch.equal(sigma, sigma[:, :1].expand_as(sigma)):
            raise ValueError("sigma must be the same for all tracks: this model knows one level")
        return denoise(x, sigma[:, 0])

    return together


def independent(denoisers: Sequence[Denoiser]) -> TrackDenoiser:
    """Build D(x [B, N, ...]; sigma [B, N]) of N denoisers of one track, D_n(x [B, ...]; sigma [B]).

    The weakly supervised variant of multi-source diffusion (Mariani et al. 2023, arXiv 2302.02257,
    section 4.3): p(x_1, ..., x_N) = prod p_n(x_n). Tracks know of each other by a mixture only.
    """

    def apart(x: Tensor, sigma: Tensor) -> Tensor:
        if x.shape[1] != len(denoisers):
            raise ValueError(f"x must have {len(denoisers)} tracks, got {x.shape[1]}")
        each = [denoise(x[:, n], sigma[:, n]) for n, denoise in enumerate(denoisers)]
        return torch.stack(each, 1)

    return apart
