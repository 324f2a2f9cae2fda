"""How much of a sound is in tune with a key: the share of its strongest partials.

A partial is a peak of the spectrum under a Hann window of `WINDOW` seconds, placed where the sound
is loudest; what is nearer than `APART` to a stronger one is its beat, or its tremolo, and no other
partial. Peaks lie between bins, by a parabola through the logarithm of the power.
"""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 0.25  # seconds: bins of 4 Hz, a main lobe of 16
APART = 12.0  # Hz
PADDED = 4  # zero-padding, times the window
LOWEST = 20.0  # Hz: below is no tone
CENTS = 25.0
STRONGEST = 12


def in_tune_share(audio: Tensor, rate: int, hz: float) -> float:
    """The share of energy, 0..1, that is within 25 cents of the harmonics of `hz`.

    Of the 12 strongest partials of audio [T] at `rate` Hz. NaN for a silent sound.
    """
    where, power = partials(audio, rate)
    if not len(where):
        return float("nan")
    nearest = (where / hz).round().clamp_min(1.0) * hz
    inside = (1200.0 * torch.log2(where / nearest)).abs() <= CENTS
    return float(power[inside].sum() / power.sum())


def partials(audio: Tensor, rate: int) -> tuple[Tensor, Tensor]:
    """Frequencies in Hz and powers of the (at most 12) strongest partials of audio [T]."""
    n = round(WINDOW * rate)
    window = torch.hann_window(n, periodic=False, dtype=torch.float64)
    x = torch.nn.functional.pad(audio.detach().double().flatten(), (n, n))
    spectrum = torch.fft.rfft(window * x[_loudest(x, n) :][:n], PADDED * n)
    power = spectrum.abs().square()
    step = rate / (PADDED * n)
    middle = power[1:-1]
    peaks = torch.where((middle > power[:-2]) & (middle >= power[2:]))[0] + 1
    peaks = peaks[peaks * step >= LOWEST]
    chosen: list[int] = []
    for peak in peaks[power[peaks].argsort(descending=True)].tolist():
        if all(abs(peak - other) * step >= APART for other in chosen):
            chosen.append(peak)
            if len(chosen) == STRONGEST:
                break
    at = torch.tensor(chosen, dtype=torch.long)
    before, here, after = (power[at + k].clamp_min(1e-300).log() for k in (-1, 0, 1))
    between = 0.5 * (before - after) / (before - 2.0 * here + after)
    return (at + between) * step, power[at]


def _loudest(x: Tensor, n: int) -> int:
    """The last place in x [T] from which n samples have the most energy.

    A struck sound begins there. A window that rises from there has no edge in it, whose skirts
    would move the peaks.
    """
    total = torch.cat([x.new_zeros(1), x.square().cumsum(0)])
    energy = total[n:] - total[:-n]
    return int(torch.where(energy >= 0.999 * energy.max())[0][-1])
