"""A network in half precision: its matrices in 16 bits, and what needs the range in 32.

float16 where the device has it, not bfloat16: at guidance 60 the difference of two answers is
multiplied by 60, and with bfloat16's 8 bits the target of a Decoder-SDS step was 6-11 % off (mean
spectrogram, shipped prior, t from 0.1 to 0.85), with float16's 11 bits 0.5-1.9 %. What float16 has
less is range, up to 65504: answers must be looked at.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn

HALVES = frozenset({"cuda", "mps"})
"""Types of device on which half precision is quicker, and memory scarce."""


def halve(network: nn.Module, dtype: torch.dtype) -> None:
    """Change the matrices of a diffusion transformer to a 16-bit `dtype` in place: half the memory,
    and nothing to convert at each call.

    Under autocast they would be rounded alike: answers `in_precision` are the same, bit for bit.
    Its time features stay in float32: near t = 1 a half has steps of 1/256 or 1/2048. So does a
    matrix with numbers beyond the range: its answers will not be finite, and are then wanted of the
    whole matrix.
    """
    transformer: Any = network.model
    transformer.timestep_features = _FullPrecision(transformer.timestep_features)
    kept = set(transformer.timestep_features.modules())
    for part in network.modules():
        if isinstance(part, nn.Linear | nn.Conv1d) and part not in kept:
            most = max(float(weight.abs().max()) for weight in part.parameters(recurse=False))
            if most <= torch.finfo(dtype).max:
                part.to(dtype)


def in_precision(
    device: torch.device, dtype: torch.dtype
) -> contextlib.AbstractContextManager[None]:
    """Inside, products are taken in `dtype`, and sums that need the range in float32; for float32
    nothing changes.
    """
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype)


class _FullPrecision(nn.Module):
    """A module that autocast leaves alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.inner(x.float())  # type: ignore[no-any-return]
