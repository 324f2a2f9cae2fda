"""How far an estimate is from the truth, in dB. All take [..., T] and work over the last axis.

Ratios are kept within +-LIMIT dB, so that a perfect answer is a number that JSON can carry.
"""

from __future__ import annotations

import torch
from torch import Tensor

LIMIT = 200.0


def sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Plain SDR, 10 log10(|s|^2 / |s - e|^2), as AudioSep and MDX use it; NaN for a silent s."""
    s, e = reference.double(), estimate.double()
    return _ratio_db(_energy(s), _energy(s - e)).masked_fill(_energy(s) == 0, torch.nan)


def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Scale-invariant SDR (Le Roux et al. 2019, eq. 3): 10 log10(|as|^2 / |as - e|^2).

    a = <e, s> / |s|^2; means are not removed. NaN for a silent reference, -LIMIT for a silent
    estimate.
    """
    s, e = reference.double(), estimate.double()
    power = _energy(s)
    target = ((e * s).sum(-1) / power.clamp_min(1e-300))[..., None] * s
    ratio = _ratio_db(_energy(target), _energy(target - e))
    return ratio.masked_fill(_energy(e) == 0, -LIMIT).masked_fill(power == 0, torch.nan)


def si_sdr_improvement(estimate: Tensor, reference: Tensor, mixture: Tensor) -> Tensor:
    """SI-SDRi: `si_sdr` of the estimate minus that of the untouched mixture."""
    return si_sdr(estimate, reference) - si_sdr(mixture, reference)


def null_db(mixture: Tensor, parts: Tensor) -> float:
    """Null depth: energy of mixture [C, T] minus the sum of parts [K, C, T], dB below the mixture.

    -200 or so is a perfect null; 0 means that nothing was cancelled. For a silent mixture the
    remainder counts against full scale.
    """
    left = _energy((mixture.double() - parts.double().sum(0)).flatten())
    whole = _energy(mixture.double().flatten())
    return float(_ratio_db(left, whole if whole > 0 else torch.ones_like(whole)))


def _energy(x: Tensor) -> Tensor:
    return x.square().sum(-1)


def _ratio_db(a: Tensor, b: Tensor) -> Tensor:
    tiny = torch.finfo(torch.float64).tiny
    ratio = 10 * (a.clamp_min(tiny).log10() - b.clamp_min(tiny).log10())
    return ratio.clamp(-LIMIT, LIMIT)
