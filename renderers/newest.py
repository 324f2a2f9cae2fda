"""Keep the newest result of a pure function of tensors: of a patch whose knob is turned, the parts
that the knob does not touch are not computed again.

The same bits as without: a result is kept for the same arguments only, of one patch at a time, and
where no gradient is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

R = TypeVar("R")


def newest(work: Callable[..., R]) -> Callable[..., R]:
    """`work`, whose first argument is a tensor [B, ...], with the newest result kept for B = 1."""
    kept: list[tuple[Any, R]] = []

    @wraps(work)
    def asked(*arguments: Any) -> R:
        if torch.is_grad_enabled() or len(arguments[0]) != 1:
            return work(*arguments)
        key = tuple(_content(each) for each in arguments)
        if not (kept and kept[0][0] == key):
            kept[:] = [(key, work(*arguments))]
        return kept[0][1]

    return asked


def _content(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return argument.dtype, argument.shape, argument.numpy().tobytes()
    return argument
