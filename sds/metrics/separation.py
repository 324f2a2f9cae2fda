"""Signal-to-distortion ratios of stems, and levels, in dB.

All but the last three functions take [..., T]. Ratios are kept within +-LIMIT dB, so that a perfect
answer is a number that JSON can carry.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import lstsq, toeplitz
from scipy.signal import fftconvolve
from torch import Tensor

from sds.metrics.frechet import _rows

LIMIT = 200.0


def sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Plain SDR in dB, [...], of estimates [..., T]: 10 log10(|s|^2 / |s - e|^2), as AudioSep and
    MDX use it; NaN for a silent reference s [..., T].
    """
    s, e = reference.double(), estimate.double()
    return _ratio_db(_energy(s), _energy(s - e)).masked_fill(_energy(s) == 0, torch.nan)


def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Scale-invariant SDR in dB, [...], of estimates [..., T] of references [..., T].

    10 log10(|as|^2 / |as - e|^2) with a = <e, s> / |s|^2 (Le Roux et al. 2019, eq. 3); means are
    not removed. NaN for a silent reference, -LIMIT for a silent estimate.
    """
    s, e = reference.double(), estimate.double()
    power = _energy(s)
    target = ((e * s).sum(-1) / power.clamp_min(1e-300))[..., None] * s
    ratio = _ratio_db(_energy(target), _energy(target - e))
    return ratio.masked_fill(_energy(e) == 0, -LIMIT).masked_fill(power == 0, torch.nan)


def si_sdr_improvement(estimate: Tensor, reference: Tensor, mixture: Tensor) -> Tensor:
    """SI-SDRi in dB, [...]: `si_sdr` of the estimate [..., T] minus that of the untouched mixture
    [..., T].
    """
    return si_sdr(estimate, reference) - si_sdr(mixture, reference)


def bss_sdr(estimate: Tensor, reference: Tensor, *, taps: int = 512) -> Tensor:
    """SDR in dB, [...], of BSSEval's `sources` version: |f|^2 / |e - f|^2 of estimates and
    references [..., T].

    Vincent et al. 2006, eq. 17. f is the reference through the filter of `taps` that comes nearest
    to the estimate, one filter for all of T. So what the estimate left out of the spectrum is
    forgiven: masks are flattered (the authors of museval advise against it). NaN for a silent
    reference, -LIMIT for a silent estimate.
    """
    rows = [
        _filter_ratio(e, s, taps)
        for e, s in zip(_rows(estimate).numpy(), _rows(reference).numpy(), strict=True)
    ]
    return torch.tensor(rows, dtype=torch.float64).reshape(reference.shape[:-1])


def _filter_ratio(e: np.ndarray, s: np.ndarray, taps: int) -> float:
    if not s.any() or not e.any():
        return -LIMIT if s.any() else float("nan")
    s, e = np.pad(s, (0, taps - 1)), np.pad(e, (0, taps - 1))
    # normal equations: G w = d, G[i, j] = <s(n - i), s(n - j)>, d[i] = <s(n - i), e(n)>
    middle = len(s) - 1
    auto = fftconvolve(s, s[::-1])[middle : middle + taps]
    cross = fftconvolve(e, s[::-1])[middle : middle + taps]
    w = lstsq(toeplitz(auto), cross, lapack_driver="gelsy")[0]
    f = fftconvolve(s, w)[: len(s)]
    return float(_ratio_db(*(_energy(torch.from_numpy(x)) for x in (f, e - f))))


def museval_sdr(estimates: Tensor, references: Tensor, rate: int) -> Tensor:
    """SDR [K] as museval 0.4 reports it (BSSEval v4, Stoter et al. 2018): medians over windows.

    Estimates and references are [K, C, T] at `rate`. In each whole second (all of T if it is
    shorter) it is the plain SDR over all channels: museval's filters of 512 taps enter its other
    figures only. A second in which any reference or estimate is all zeros counts for no source;
    NaN where none is left.
    """
    size = min(rate, references.shape[-1])
    s, e = (
        x.double().unfold(-1, size, size).movedim(1, -2).flatten(-2)  # [K, seconds, C * size]
        for x in (references, estimates)
    )
    counted = ((_energy(s) > 0) & (_energy(e) > 0)).all(0)
    ratios = _ratio_db(_energy(s), _energy(s - e))[:, counted]
    return (
        ratios.quantile(0.5, dim=1) if bool(counted.any()) else ratios.new_full((len(s),), np.nan)
    )


def level_db(part: Tensor, whole: Tensor) -> float:
    """Level in dB of `part` [...]: its energy over that of `whole` [...]; over full scale when
    `whole` is silent.
    """
    energy = _energy(whole.double().flatten())
    return float(
        _ratio_db(
            _energy(part.double().flatten()), energy if energy > 0 else torch.ones_like(energy)
        )
    )


def null_db(mixture: Tensor, parts: Tensor) -> float:
    """Null depth: level of mixture [C, T] minus the sum of parts [K, C, T], dB below the mixture.

    -200 or so is a perfect null; 0 means that nothing was cancelled.
    """
    return level_db(mixture.double() - parts.double().sum(0), mixture)


def _energy(x: Tensor) -> Tensor:
    return x.square().sum(-1)


def _ratio_db(a: Tensor, b: Tensor) -> Tensor:
    tiny = torch.finfo(torch.float64).tiny
    ratio = 10 * (a.clamp_min(tiny).log10() - b.clamp_min(tiny).log10())
    return ratio.clamp(-LIMIT, LIMIT)
