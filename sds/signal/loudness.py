"""Loudness of a recording in LUFS: ITU-R BS.1770-4, gated, at any rate."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK, STEP = 0.4, 0.1  # seconds of a block, and to the next
ABSOLUTE, RELATIVE = -70.0, -10.0  # gates: LUFS, and below what passes the first
OFFSET = -0.691  # dB, so that a sine of 997 Hz at full scale, in one channel, has -3.01 LUFS


def loudness(audio: Tensor, rate: int) -> float:
    """Integrated loudness in LUFS of audio [C, T], one or two channels; -inf for silence.

    Sounds shorter than a block are padded to one. The filters are those of the standard as
    Brecht De Man has them for any rate (pyloudnorm, libebur128).
    """
    from scipy.signal import lfilter  # a second of a worker's start

    x = audio.detach().double().numpy()
    for b, a in (_shelf(rate), _highpass(rate)):
        x = lfilter(b, a, x, axis=-1)
    block, step = round(BLOCK * rate), round(STEP * rate)
    padded = F.pad(torch.from_numpy(x), (0, max(0, block - x.shape[-1])))
    power = padded.unfold(-1, block, step).square().mean(-1).sum(0)  # [blocks]
    loud = power > 10 ** ((ABSOLUTE - OFFSET) / 10)
    if not bool(loud.any()):
        return -math.inf
    gate = float(power[loud].mean()) * 10 ** (RELATIVE / 10)
    return OFFSET + 10 * math.log10(float(power[loud & (power > gate)].mean()))


def _shelf(rate: int) -> tuple[list[float], list[float]]:
    """The head: 4 dB more above 1.7 kHz."""
    hz, gain_db, q = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * hz / rate)
    high = 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    b = [high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k]
    a = [1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k]
    return [value / a0 for value in b], [value / a0 for value in a]


def _highpass(rate: int) -> tuple[list[float], list[float]]:
    """What is too low to be heard."""
    hz, q = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * hz / rate)
    a0 = 1 + k / q + k * k
    return [1.0, -2.0, 1.0], [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
