"""Weights in eight bits: each row of a matrix as integers and a scale of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sds.priors.checkpoints import read_tensors

SCALE = ".scale"  # of the rows of an eight-bit matrix: the name of its tensor ends so


def quantise(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices [rows, columns] as eight-bit integers and a scale [rows, 1] each, the rest in half
    precision.

    A number is off by at most half a 127th of the greatest of its row.
    """
    out = {}
    for name, value in tensors.items():
        if value.ndim == 2:
            scale = (value.abs().amax(1, keepdim=True).clamp_min(1e-9) / 127).half()
            out[name] = (value / scale.float()).round().clamp(-127, 127).to(torch.int8)
            out[name + SCALE] = scale
        else:
            out[name] = value.half()
    return {name: value.contiguous() for name, value in out.items()}


def read_quantised(path: Path) -> dict[str, Tensor]:
    """Read the tensors [...] by name that `quantise` made, in single precision.

    Raises `ModelUnavailable` for a file that is damaged or has numbers that are not finite.
    """
    stored = read_tensors(path)
    return {
        name: value.float() * stored[name + SCALE].float()
        if name + SCALE in stored
        else value.float()
        for name, value in stored.items()
        if not name.endswith(SCALE)
    }
