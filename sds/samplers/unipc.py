"""UniPC: a multistep predictor whose corrector costs no evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from sds.samplers.denoiser import Denoiser
from sds.samplers.dpm_solver import exponential_step
from sds.samplers.ode import _per_item, _wide


def unipc(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, order: int = 3) -> Tensor:
    """Solve the ODE from x [B, D, L] down `sigmas` [N + 1] or [N + 1, B] by UniPC: one evaluation a
    step; x at the last.

    Zhao et al. 2023 (arXiv 2302.04867), algorithms 5 and 7, UniP-p and UniC-p on D with B(h) = e^h
    - 1 and p = `order`: D at what was predicted for a level first corrects x there, then predicts
    x at the next. The corrector lifts the order by one, to p + 1; the first steps have p = 1, 2, ..
    The last level is not corrected, which would need one more evaluation; a last level of zero
    returns D.
    """
    known: list[tuple[Tensor, Tensor]] = []  # sigma [B] and D, the newest first
    before = x
    for sigma, after in zip(_per_item(sigmas[:-1], x), _per_item(sigmas[1:], x), strict=True):
        d = denoise(x, sigma)
        if torch.all(after == 0):
            return d
        if known:
            x = _correct(before, known[0][0], sigma, known, d)
        known = [(sigma, d), *known[: order - 1]]
        before, x = x, _predict(x, sigma, after, known)
    return x


# The paper solves R_p(h) a_p B(h) = phi_p(h) for the weights: those of the polynomial through all
# known D, whatever B is, since B cancels. B matters where the paper sets a_1 = 1/2 in place of
# solving for one unknown: then 1/2 B(h) stands for h phi_2(h), from which it differs in h^2.


def _predict(x: Tensor, sigma: Tensor, after: Tensor, known: list[tuple[Tensor, Tensor]]) -> Tensor:
    """UniP-p, p = len(known)."""
    if len(known) != 2:
        return exponential_step(x, sigma, after, known)
    (_, d), (old, d_old) = known
    r = (sigma / after).log() / (old / sigma).log()
    return exponential_step(x, sigma, after, [(sigma, d + _wide(r, x) * (d - d_old) / 2)])


def _correct(
    x: Tensor, sigma: Tensor, after: Tensor, known: list[tuple[Tensor, Tensor]], d_after: Tensor
) -> Tensor:
    """UniC-p, p = len(known): x at `after` from x at `sigma`, with D at `after`."""
    if len(known) == 1:
        return exponential_step(x, sigma, after, [(sigma, (known[0][1] + d_after) / 2)])
    return exponential_step(x, sigma, after, [*known, (after, d_after)])
