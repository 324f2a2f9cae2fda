"""A U-Net over band levels: what separates four stems, and what denoises them.

Ronneberger et al. 2015 (arXiv 1505.04597), with residual blocks that a condition scales and shifts
(FiLM, Perez et al. 2018, arXiv 1709.07871), a learned bias for each band, since what is low is not
what is high, and at the coarsest grid attention over time: a beat and a chord go on for bars.

    maps [B, C, 128, L] -> 128 x L, 64 x L/2, 32 x L/4, 16 x L/8 -> attention over L/8 -> and back
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.signal.band_levels import BANDS

BLOCK = 8  # frames of which the network takes a whole number
HEADS = 4


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of maps [B, C, M, L] that lie channels last."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, M, L], each cell of mean 0 and deviation 1 over its channels."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Residual(nn.Module):
    """Two convolutions of 3 x 3, the second scaled and shifted by the condition."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(width), ChannelNorm(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        self.modulate = nn.Linear(condition, 2 * width) if condition else None

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Maps x [B, width, M, L] and a condition [B, D] -> [B, width, M, L]."""
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        if self.modulate is not None and condition is not None:
            scale, shift = self.modulate(condition)[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        out: Tensor = x + self.conv2(F.silu(h))
        return out


class OverTime(nn.Module):
    """Attention over frames, all bands of a frame together; adds to the maps."""

    def __init__(self, width: int, bands: int, model: int, layers: int, condition: int) -> None:
        super().__init__()
        self.inward = nn.Linear(width * bands, model)
        self.condition = nn.Linear(condition, model) if condition else None
        self.near = nn.Conv1d(model, model, 5, padding=2, groups=model)  # where a frame is
        layer = nn.TransformerEncoderLayer(
            model, HEADS, 2 * model, 0.0, F.gelu, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.outward = nn.Linear(model, width * bands)
        nn.init.zeros_(self.outward.weight)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """Maps x [B, width, bands, L] -> [B, width, bands, L]."""
        b, width, bands, frames = x.shape
        tokens = self.inward(x.permute(0, 3, 1, 2).reshape(b, frames, width * bands))
        if self.condition is not None and condition is not None:
            tokens = tokens + self.condition(condition)[:, None]
        tokens = tokens + self.near(tokens.transpose(1, 2)).transpose(1, 2)
        said = self.outward(self.layers(tokens))
        out: Tensor = x + said.reshape(b, frames, width, bands).permute(0, 2, 3, 1)
        return out


class BandNetwork(nn.Module):
    """Maps of band levels to maps of band levels, under a condition."""

    def __init__(
        self,
        inward: int,
        outward: int,
        *,
        widths: Sequence[int] = (16, 32, 64, 128),
        blocks: Sequence[int] = (1, 2, 2, 2),
        condition: int = 0,
        model: int = 192,
        layers: int = 2,
    ) -> None:
        """`inward` and `outward` channels; `widths` and residual `blocks` at each grid, the finest
        first; `condition` numbers of what modulates, 0 for none; `model` and `layers` of attention.
        """
        super().__init__()
        sizes = [BANDS >> level for level in range(len(widths))]
        self.stem = nn.Conv2d(inward, widths[0], 3, padding=1)
        self.bands = nn.ParameterList(
            nn.Parameter(0.02 * torch.randn(width, size, 1))
            for width, size in zip(widths, sizes, strict=True)
        )
        self.encode = nn.ModuleList(
            nn.ModuleList(Residual(width, condition) for _ in range(count))
            for width, count in zip(widths, blocks, strict=True)
        )
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in pairs)
        self.over_time = OverTime(widths[-1], sizes[-1], model, layers, condition)
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairs)
        self.decode = nn.ModuleList(Residual(width, condition) for width in widths[:-1])
        last = nn.Conv2d(widths[0], outward, 1)
        self.last = nn.Sequential(ChannelNorm(widths[0]), nn.SiLU(), last)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Maps x [B, inward, 128, L], L a multiple of 8 -> [B, outward, 128, L]."""
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        kept: list[Tensor] = []
        for level, (bias, blocks) in enumerate(zip(self.bands, self.encode, strict=True)):
            if level:
                kept.append(x)
                x = self.down[level - 1](x)
            x = x + bias
            for block in blocks:  # type: ignore[attr-defined]  # a ModuleList
                x = block(x, condition)
        x = self.over_time(x, condition).contiguous(memory_format=torch.channels_last)
        for level in reversed(range(len(kept))):
            x = F.pixel_shuffle(self.up[level](x), 2) + kept[level]
            x = self.decode[level](x, condition)
        out: Tensor = self.last(x)
        return out
