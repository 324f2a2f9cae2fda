"""Long signals through a convolutional codec in pieces, joined without seams."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


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
