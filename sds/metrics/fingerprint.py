"""Whether two sounds are one recording: fingerprints of a word of 32 bits every 46 ms.

A bit says in which of two neighbouring bands the level rises more from frame to frame (Haitsma and
Kalker 2002, "A highly robust audio fingerprinting system", equation 1). What stays the same, as an
equaliser or the chord that is played, has no part in it: another take of the same chord
agrees in little more than half of the bits. The asked sound keeps its differences as numbers, so
that what is hardly there counts for little, and it is laid over the other at all times and at a
few speeds.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sds.similarity.trunk import RATE

HOP, WINDOW = 2048, 4096  # samples
PHASES = 4  # places of the asked sound's frames within HOP
SPEEDS = (0.98, 0.99, 1.0, 1.01, 1.02)
BITS, LOW, HIGH = 32, 100.0, 10000.0  # of a word; Hz, of the bands, each as wide on a log scale
FLOOR = (
    20.0  # dB below the asked sound's mean power, spread as white noise: what is below is unsure
)
SURE = 3.0  # dB of a difference that counts fully, nearly
FAINT = 1e-12


def _power(audio: Tensor, hop: int) -> Tensor:
    """Power spectra [N, 1 + WINDOW / 2] of audio [T] at RATE, one every `hop` samples."""
    padded = F.pad(audio.float(), (WINDOW // 2, WINDOW // 2 + hop))
    window = torch.hann_window(WINDOW)
    parts = torch.split(padded.unfold(0, WINDOW, hop), 1024)
    return torch.cat([torch.fft.rfft(part * window).abs().square() for part in parts])


def _edges(speed: float = 1.0) -> Tensor:
    """The edges [BITS + 2] of the bands in bins of the spectrum, of a sound at that speed."""
    steps = torch.arange(BITS + 2) / (BITS + 1)
    edges: Tensor = LOW * (HIGH / LOW) ** steps * speed * WINDOW / RATE + 0.5
    return edges


def _bands(power: Tensor, edges: Tensor) -> Tensor:
    """Energies [N, BITS + 1] between the edges of power spectra [N, F]."""
    below = F.pad(power.double().cumsum(1), (1, 0))
    low = edges.long()
    part = (edges - low).double()
    energies: Tensor = (below[:, low] * (1 - part) + below[:, low + 1] * part).diff(dim=1)
    return energies.clamp_min(FAINT).float()


def _rises(energies: Tensor) -> Tensor:
    """How many dB more a band rises than the next one up, [N, BITS], of energies [N, BITS + 1]."""
    levels = 10 * energies.log10()
    return F.pad((levels[:, :-1] - levels[:, 1:]).diff(dim=0), (0, 0, 1, 0))


def fingerprint(audio: Tensor) -> Tensor:
    """Words [N] int32 of audio [T] at RATE, one every HOP samples."""
    rises = _rises(_bands(_power(audio, HOP), _edges()))
    packed = np.packbits((rises > 0).numpy(), axis=1).view(np.int32)[:, 0]
    return torch.from_numpy(packed.copy())


def signs(words: Tensor) -> Tensor:
    """Bits [N, BITS] as -1 and 1 of words [N] int32."""
    unpacked = np.unpackbits(words.numpy()[:, None].view(np.uint8), axis=1)
    return torch.from_numpy(unpacked).float() * 2 - 1


def asked(audio: Tensor) -> Tensor:
    """Rises -1..1 [PHASES * SPEEDS, N, BITS] of audio [T] at RATE that is to be compared.

    Each is of frames HOP apart at one speed and one place within HOP.
    """
    power = _power(audio, HOP // PHASES)
    white = power.sum(1).mean() / power.shape[1] * 10 ** (-FLOOR / 10)
    floor = white * _edges().diff()
    count = 1 + int(len(power) * max(SPEEDS) / PHASES)
    out = []
    for speed in SPEEDS:
        energies = _bands(power, _edges(speed)) + floor
        for phase in range(PHASES):
            frames = (torch.arange(count) * PHASES / speed + phase).round().long()
            rises = _rises(energies[frames[frames < len(power)]])
            out.append(F.pad(torch.tanh(rises / SURE), (0, 0, 0, count - len(rises))))
    return torch.stack(out)


def agreement(rises: Tensor, words: Tensor) -> float:
    """How well what `asked` returned [K, N, BITS] agrees with words [M], where it does best.

    1.0: in all bits that count; 0.0: as often as not, which chance comes near; half of the
    asked sound may lie before or behind the words.
    """
    spare = rises.shape[1] // 2
    there = F.pad(signs(words).T[None], (spare, spare + 1))
    found = F.conv1d(there, rises.transpose(1, 2))[0].amax(1)
    return float((found / rises.abs().sum((1, 2)).clamp_min(1e-6)).max())
