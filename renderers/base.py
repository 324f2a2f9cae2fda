"""What a renderer is: a name, a version, a table of knobs, and one pure function to audio."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from presets import Note, Param

Render = Callable[[Tensor, Note, int, int], Tensor]


@dataclass(frozen=True, slots=True)
class Renderer:
    """Parameters to audio.

    `render(u, note, rate, samples)`: u [B, P] in [0, 1], columns as `params`; `rate` in Hz;
    returns [B, C, samples], differentiable in u, deterministic, on the CPU in u's dtype.
    `version` goes up whenever the same u would sound different.
    """

    name: str
    version: int
    params: tuple[Param, ...]
    render: Render


# Both scales of Param in one line. With L = ln(high / low) and span 0 for a log scale, and L = 0
# and span = high - low for a linear one:
#     value(u) = low exp(L u) + span u
# so no branch, and no NaN hides behind a `where`.
@dataclass(frozen=True, slots=True)
class Curves:
    """A table of `Param` as three float64 columns [P]: built once, applied to many patches."""

    low: Tensor
    log_ratio: Tensor
    span: Tensor


def curves(params: tuple[Param, ...]) -> Curves:
    """The columns of `params`, in their order."""
    low = torch.tensor([p.low for p in params], dtype=torch.float64)
    high = torch.tensor([p.high for p in params], dtype=torch.float64)
    log = torch.tensor([p.scale == "log" for p in params])
    ones = torch.ones_like(low)
    log_ratio = torch.where(log, high / torch.where(log, low, ones), ones).log()
    return Curves(low, torch.where(log, log_ratio, 0.0), torch.where(log, 0.0, high - low))


def physical(table: Curves, u: Tensor) -> Tensor:
    """Physical values [B, P] in float64 of u [B, P]: `Param.value`, differentiably.

    u is clipped to [0, 1]; the gradient at 0 and at 1 is that of the curve. Inverse: `positions`.
    """
    x = u.double().clamp(0.0, 1.0)
    return table.low * torch.exp(table.log_ratio * x) + table.span * x


def positions(table: Curves, values: Tensor) -> Tensor:
    """u [B, P] of physical values [B, P], clipped to [0, 1]. Inverse: `physical`."""
    log = table.span == 0.0
    low = torch.where(log, table.low, 1.0)
    logs = (values.double().clamp_min(1e-300) / low).log() / torch.where(log, table.log_ratio, 1.0)
    linear = (values.double() - table.low) / torch.where(log, 1.0, table.span)
    return torch.where(log, logs, linear).clamp(0.0, 1.0)


def below_nyquist(hz: Tensor, rate: int) -> Tensor:
    """Gain that fades a partial out before it would alias: 1 up to 0.9 Nyquist, 0 from Nyquist on.

    The fade is the smoothstep 3 x^2 - 2 x^3, so value and slope are continuous at both ends.
    """
    x = ((0.5 * rate - hz) / (0.05 * rate)).clamp(0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def check_shape(renderer: str, u: Tensor, count: int, rate: int, samples: int) -> None:
    """Raise `ValueError` unless u is [B, count] of floats, rate >= 1000 Hz and samples >= 1."""
    if u.ndim != 2 or u.shape[1] != count or not u.dtype.is_floating_point:
        raise ValueError(
            f"{renderer}: u must be floating [B, {count}], got {u.dtype} {list(u.shape)}"
        )
    if rate < 1000:
        raise ValueError(f"{renderer}: rate must be at least 1000 Hz, got {rate}")
    if samples < 1:
        raise ValueError(f"{renderer}: samples must be at least 1, got {samples}")


def each_patch(job: Callable[[int], None], count: int) -> None:
    """Run job(0) .. job(count - 1) on torch's number of threads: the kernels hold no lock."""
    if count == 1:
        job(0)
        return
    with ThreadPoolExecutor(min(count, torch.get_num_threads())) as pool:
        list(pool.map(job, range(count)))


def fft_size(samples: int) -> int:
    """The least length from `samples` on for which a real FFT is fast: 2^a 3^b 5^c."""
    from scipy.fft import next_fast_len  # half a second of a worker's start

    return int(next_fast_len(samples, real=True))
