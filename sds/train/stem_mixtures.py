"""Mixtures of four stems as the two trainers see them: powers on bands, and what they share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sds.signal.band_levels import HOP, band_powers, on_bands, stft, to_levels


@dataclass(frozen=True, slots=True)
class Mixtures:
    """Mixtures and what is known of their stems, on bands.

    - `levels`: [B, 128, L] of the mixtures.
    - `stems`, `cross`: [B, 4, 128, K], powers of the stems, and real parts of stem times mixture,
      of every second frame from `first` on.
    - `power`: [B, 128, K] of the mixtures, likewise.
    """

    levels: Tensor
    stems: Tensor
    cross: Tensor
    power: Tensor
    first: int

    def to(self, device: torch.device | str) -> Mixtures:
        """The same on a device."""
        levels, stems, cross, power = (
            each.to(device) for each in (self.levels, self.stems, self.cross, self.power)
        )
        return Mixtures(levels, stems, cross, power, self.first)


def mixtures(audio: Tensor, first: int = 0) -> Mixtures:
    """What is known of stems [B, 4, T] at 32 kHz that are mixed as they are; `first` is 0 or 1."""
    mixture = audio.sum(1)
    levels = to_levels(band_powers(stft(mixture)))
    part = audio[..., first * HOP :]
    spectra = stft(part, 2 * HOP)
    whole = spectra.sum(1)
    cross = spectra.real * whole.real[:, None] + spectra.imag * whole.imag[:, None]
    return Mixtures(levels, band_powers(spectra), on_bands(cross), band_powers(whole), first)
