"""The grid of four stems: bands that add up, levels and powers, an exact transform."""

import math

import pytest
import torch

from sds.signal.band_levels import (
    BANDS,
    BINS,
    N,
    RATE,
    SILENCE,
    band_centres,
    band_matrix,
    band_powers,
    hats,
    istft,
    stft,
    to_levels,
    to_powers,
)


def test_bands_add_up_to_one_in_each_bin():
    matrix = band_matrix()
    assert matrix.shape == (BANDS, BINS)
    torch.testing.assert_close(matrix.sum(0), torch.ones(BINS))
    assert float(matrix.min()) == 0
    centres = band_centres()
    assert torch.equal(centres[:45], torch.arange(1.0, 46.0))
    assert float(centres[-1]) == pytest.approx(1024, rel=1e-5)
    widening = centres[46:] / centres[45:-1]
    assert float(widening.std()) < 1e-5  # even in pitch
    assert 1200 * math.log2(float(widening.mean())) == pytest.approx(65, abs=1)  # cents


def test_gains_on_bands_are_gains_on_bins():
    places = torch.tensor([0.0, 1.5, 700.25, 2000.0])
    weights = hats(places)
    torch.testing.assert_close(weights.sum(0), torch.ones(4))
    assert weights[0, 0] == 1  # below the first centre
    assert weights[-1, 3] == 1  # above the last
    assert weights[0, 1] == weights[1, 1] == 0.5


def test_band_powers_add_up_to_the_power_of_the_sound():
    audio = torch.randn(2, 3, 8000, generator=torch.Generator().manual_seed(0))
    spectrum = stft(audio)
    torch.testing.assert_close(
        band_powers(spectrum).sum(-2), spectrum.abs().square().sum(-2), rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(
        band_powers(spectrum), band_matrix() @ spectrum.abs().square(), rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(istft(spectrum, 8000), audio, rtol=0, atol=1e-5)


def test_a_full_scale_sine_has_0_db_in_its_band():
    t = torch.arange(RATE) / RATE
    bin_ = 20
    levels = to_levels(band_powers(stft(torch.sin(2 * math.pi * bin_ * RATE / N * t))))
    middle = levels[:, 30] * 20 - 40
    assert int(middle.argmax()) == bin_ - 1
    assert float(middle.max()) == pytest.approx(0, abs=0.05)


def test_levels_and_powers_are_inverse_and_silence_is_nothing():
    power = torch.logspace(-7, 0, 20)
    torch.testing.assert_close(to_powers(to_levels(power)), power)
    assert float(to_levels(torch.zeros(1))) == SILENCE
    assert float(to_powers(torch.tensor(SILENCE))) == 0
