"""Fingerprints know a disturbed recording again, and no other take of the same notes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sds.metrics.fingerprint import BITS, HOP, agreement, asked, fingerprint, signs
from sds.similarity.trunk import RATE
from sds.train.planting import DISTURBANCES

CHORD = 110.0, 138.6, 164.8, 220.0, 277.2


def _take(seed: int) -> Tensor:
    """Three seconds [T] of a chord of noisy partials, which waver as the seed says."""
    rng = np.random.default_rng(seed)
    t = np.arange(3 * RATE) / RATE
    out = 0.05 * rng.standard_normal(len(t)) * np.exp(-3 * t)
    for note in CHORD:
        for partial in range(1, 12):
            knots = rng.uniform(0.1, 1.0, 40) / partial
            level = np.interp(t, np.linspace(0, 3, 40), knots) * np.exp(-t)
            out += level * np.sin(2 * np.pi * (note * partial * t + rng.random()))
    return torch.from_numpy(out / np.abs(out).max()).float()


def _same_spectrum(audio: Tensor) -> Tensor:
    """Audio [T] of the same power spectrum, its phases random."""
    spectrum = torch.fft.rfft(audio)
    turns = torch.rand(len(spectrum), generator=torch.Generator().manual_seed(0))
    out: Tensor = torch.fft.irfft(torch.polar(spectrum.abs(), 2 * torch.pi * turns), len(audio))
    return out


@pytest.mark.parametrize("way", DISTURBANCES)
def test_a_disturbed_copy_agrees_and_another_take_does_not(way: str) -> None:
    words = [fingerprint(_take(seed)) for seed in range(2)]
    rises = asked(DISTURBANCES[way](_take(0), np.random.default_rng(1)))
    assert agreement(rises, words[0]) > 0.7
    assert agreement(rises, words[1]) < 0.4


def test_a_piece_is_found_wherever_it_begins() -> None:
    sound = _take(0)
    for begin in (0.0, 0.731, 1.5):
        part = sound[round(begin * RATE) :][:RATE]
        assert agreement(asked(part), fingerprint(sound)) > 0.85


def test_random_phases_are_no_copy() -> None:
    sound = _take(0)
    assert agreement(asked(_same_spectrum(sound)), fingerprint(sound)) < 0.3


def test_words_are_a_bit_a_band() -> None:
    words = fingerprint(_take(0))
    assert words.dtype == torch.int32
    assert len(words) == 1 + -(-3 * RATE // HOP)
    assert signs(words).shape == (len(words), BITS)
    assert signs(torch.tensor([0, -1], dtype=torch.int32)).tolist() == [[-1.0] * BITS, [1.0] * BITS]


def test_agreement_is_the_share_of_bits_that_agree_less_the_others() -> None:
    words = torch.tensor([0, -1], dtype=torch.int32)
    assert agreement(signs(words)[None], words) == pytest.approx(1.0)
    wrong = signs(words)
    wrong[:, :8] *= -1
    assert agreement(wrong[None], words) == pytest.approx(0.5)
