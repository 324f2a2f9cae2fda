"""The FM voice's noise: unit power at its place, and its gradient."""

from __future__ import annotations

import numpy as np
import pytest

from renderers import noise
from tests.test_movement import slow_envelope

RATE = 44100


@pytest.mark.parametrize(("hz", "width"), [(200.0, 0.5), (1000.0, 1.0), (8000.0, 10.0)])
def test_noise_has_unit_power_where_it_is_asked_for(hz: float, width: float) -> None:
    out = np.empty(noise.PERIOD)
    bands = noise.noise_bands(noise.BANDS, RATE)
    noise.noise_block(noise.noise_weights(hz, width, RATE), bands, 0, out)
    assert np.sqrt(np.mean(out**2)) == pytest.approx(1.0, abs=1e-6)
    power = np.abs(np.fft.rfft(out)) ** 2
    f = np.fft.rfftfreq(noise.PERIOD, 1 / RATE)
    if width < 2.0:  # most of it lies within the width on either side, its middle at hz
        inside = (f > hz / 2**width) & (f < hz * 2**width)
        assert power[inside].sum() > 0.9 * power.sum()
        middle = np.exp2((np.log2(np.maximum(f, 1.0)) * power).sum() / power.sum())
        assert middle == pytest.approx(hz, rel=0.25)
    else:  # as good as white
        low, high = power[(f > 500) & (f < 1000)].mean(), power[(f > 9000) & (f < 12000)].mean()
        assert low == pytest.approx(high, rel=0.6)


def test_noise_above_nyquist_is_silent_not_infinite() -> None:
    for rate in (8000, 16000):
        out = np.empty(4096)
        weights = noise.noise_weights(16000.0, 0.2, rate)
        noise.noise_block(weights, noise.noise_bands(noise.BANDS, rate), 0, out)
        assert np.abs(out).max() < 1e-6


def test_the_floor_of_power_is_below_any_band_that_sounds() -> None:
    for rate in (44100, 192000):
        for hz in np.geomspace(40.0, 16000.0, 33):
            weights = noise.noise_weights(hz, 0.2, rate)
            assert weights @ noise.band_power(rate) @ weights == pytest.approx(1.0, abs=1e-9)


def test_it_repeats_wherever_a_block_begins() -> None:
    bands, weights = noise.noise_bands(noise.BANDS, RATE), np.linspace(0, 1, noise.BANDS)
    across = np.empty(300)
    noise.noise_block(weights, bands, noise.PERIOD - 100, across)
    exact = weights @ np.roll(bands, 100, axis=1)[:, :300].astype(np.float64)
    assert np.abs(across - exact).max() < 1e-12


@pytest.mark.parametrize("level", [0.0, 0.7])
def test_forward_and_gradient_are_the_formula(level: float) -> None:
    bands = noise.noise_bands(noise.BANDS, RATE)
    weights = level * noise.noise_weights(2000.0, 1.0, RATE)
    knobs, held, T = np.array([0.003, 0.02, 0.3, 0.01]), 0.015, 1500
    t, n = np.arange(T) / RATE, bands[:, :T].astype(np.float64)
    f = slow_envelope(t, *knobs, held)
    out = np.ones(T)
    noise.noise_forward(weights, knobs, bands, held, float(RATE), out)
    assert np.abs(out - 1.0 - f * (weights @ n)).max() < 1e-12
    gradient = np.sin(t * 1e4)
    by_weights, by_knobs = np.zeros(noise.BANDS), np.zeros(4)
    noise.noise_adjoint(weights, knobs, bands, held, float(RATE), gradient, by_weights, by_knobs)
    assert np.abs(by_weights - n @ (gradient * f)).max() < 1e-10
    for i in range(4):
        ends = []
        for step in (1e-8, -1e-8):
            moved = knobs.copy()
            moved[i] += step
            ends.append((gradient * (weights @ n)) @ slow_envelope(t, *moved, held))
        assert by_knobs[i] == pytest.approx((ends[0] - ends[1]) / 2e-8, rel=1e-4, abs=1e-4)
