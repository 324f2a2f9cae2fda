"""Modules built without weights of their own: parameters on the meta device, buffers computed.

A factory draws random numbers for every weight, and a checkpoint overwrites them all: for Stable
Audio Open 14 of the 23 s of a core that loading took, and as much memory again as the weights.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.weight_norm import WeightNorm


@contextlib.contextmanager
def without_weights() -> Iterator[None]:
    """Inside, every parameter that a module is given lies on the meta device, without numbers.

    Buffers stay real: those that no checkpoint holds (the frequencies of rotary positions) are
    computed as always. Not for modules that fetch weights of their own. The modules are whole after
    `load_state_dict(tensors, assign=True)` with a tensor for each parameter.
    """
    register = nn.Module.register_parameter

    def blank(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if param is not None:
            param = nn.Parameter(param.to("meta"), requires_grad=param.requires_grad)
        register(module, name, param)

    nn.Module.register_parameter = blank  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


@torch.no_grad()
def settle_weight_norms(model: nn.Module) -> None:
    """Compute each weight that a weight norm makes of its length and direction, as a forward pass
    would first: from building on it is a relic, without numbers or with a graph that no copy of the
    model can have.
    """
    for part in model.modules():
        for hook in part._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm):
                hook(part, None)
