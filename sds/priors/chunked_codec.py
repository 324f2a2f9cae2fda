"""Long signals through a convolutional codec in pieces, joined without seams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

GRAPH_CHUNK, GRAPH_OVERLAP = 84, 36
"""Latent frames of a piece through which a gradient flows, and what neighbours share.

The decoder of Stable Audio Open 1.0 keeps 3.8 GB of such a piece for its backward pass (counted at
full size with random weights), and sees 10.2 frames to a side, less than a third of the overlap.
10 s are 4 pieces.
"""


def in_chunks(
    apply: Callable[[int, int], Tensor], frames: int, *, step: int, chunk: int, overlap: int
) -> Tensor:
    """Apply a codec to 0..frames in overlapping pieces and join them: [B, C, frames * step].

    `apply(start, stop)` gives [B, C, (stop - start) * step]. Neighbours share at least `overlap`
    frames. A convolution sees zeros beyond the end of its piece, so the outer thirds of the overlap
    are thrown away and the middle third is cross-faded: where a codec sees no further than overlap
    / 3 frames, the result equals that in one piece. The weights sum to one everywhere, and autograd
    passes through. Raises `ValueError` for an overlap outside 3..chunk - 1.
    """
    if not 3 <= overlap < chunk:
        raise ValueError(f"overlap must be in 3..{chunk - 1} (chunk is {chunk}), got {overlap}")
    if frames <= chunk:
        return apply(0, frames)
    third = overlap * step // 3
    stop = chunk
    out = apply(0, stop)
    while stop < frames:
        start = min(stop - overlap, frames - chunk)  # the last piece is whole: it shares more
        shared = (stop - start) * step
        stop = start + chunk
        after = apply(start, stop)
        ramp = (torch.arange(third, device=after.device) + 0.5) / third
        edge = (shared - third) // 2
        fade = torch.cat([ramp.new_zeros(edge), ramp, ramp.new_ones(shared - third - edge)])
        joined = out[..., -shared:] * (1.0 - fade) + after[..., :shared] * fade
        out = torch.cat([out[..., :-shared], joined, after[..., shared:]], dim=-1)
    return out


def recomputed(apply: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a codec to each row of x [B, D, L] so that autograd keeps x only: gradient
    checkpointing (Chen et al. 2016, arXiv 1604.06174).

    The backward pass goes forward again, row by row, so that the graph of one row is in memory at a
    time. `apply` must do the same each time. Not twice differentiable.
    """
    rows = [_Recomputed.apply(row, apply) for row in x.split(1)]  # type: ignore[no-untyped-call]
    return torch.cat(rows)


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, apply: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.again = apply
        return apply(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        x = x.detach().requires_grad_(True)
        with torch.enable_grad():
            y = ctx.again(x)
        return torch.autograd.grad(y, x, grad)[0], None
