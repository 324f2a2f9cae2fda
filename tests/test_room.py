"""Noise in bands with movable centres: its centres, its power, its slopes, its two sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from renderers.noise import PERIOD, noise_bands
from renderers.reverberation import T60
from renderers.room import centres, noise_around, stereo_room, width

RATE = 44100


def knobs(*rows: float) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.float64)


def test_log_spaced_bands_of_the_left_are_those_of_all_other_renderers() -> None:
    left = noise_around(centres(6).numpy(), RATE, torch.float64)[0]
    fixed = noise_bands(6, RATE)
    assert np.abs(left[1:-1] - fixed[1:-1]).max() < 1e-7 * np.abs(fixed).max() + 1e-8
    power = [np.mean(np.square(x[0])) for x in (left, fixed)]
    assert power[0] < power[1]  # the first of the fixed ones reaches down to 0 Hz


@pytest.mark.parametrize("hz", [150.0, 2000.0, 7777.0])
def test_a_band_passes_what_its_formula_says(hz: float) -> None:
    bands = noise_around(np.array([hz, 500.0, 900.0]), RATE, torch.float64)
    spectrum, at = np.fft.rfft(bands[:, 0]), np.fft.rfftfreq(PERIOD, 1 / RATE)
    x = np.log(np.maximum(at, 1e-9) / hz) / width(3)
    gain = np.where(np.abs(x) < 1, np.cos(0.5 * np.pi * x) ** 2, 0.0)
    # power of white noise 10 / rate a sample: PERIOD * 10 / rate a bin, exponentially distributed
    want = gain**2 * PERIOD * 10 / RATE
    got = np.abs(spectrum) ** 2
    inside = gain > 0.5
    assert np.all(got[:, gain == 0.0] < 1e-9 * got.max())
    assert got[:, inside].sum() / want[inside].sum() / 2 == pytest.approx(1.0, abs=0.05)


def test_a_room_is_its_formula() -> None:
    gain, decay, hz = knobs(0.5, 0.2), knobs(1e-3, 3e-3), knobs(300.0, 4000.0)
    room = stereo_room(gain, decay, hz, RATE, 700, torch.float64)[0].numpy()
    t = np.arange(700)
    bands = noise_around(hz[0].numpy(), RATE, torch.float64)[:, :, :700]
    slow = sum(float(gain[0, m]) * np.exp(-float(decay[0, m]) * t) * bands[:, m] for m in range(2))
    assert room.shape == (2, 700)
    assert np.abs(room - slow).max() < 1e-12


def test_the_sides_are_two_noises_of_equal_power() -> None:
    decay = T60 / (4.0 * RATE)
    left, right = stereo_room(
        knobs(1.0, 1.0), knobs(decay, decay), knobs(400.0, 3000.0), RATE, 2 * RATE, torch.float32
    )[0].numpy()
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.02  # 2 RATE samples: 0.003 by chance, and bands
    assert 10 * np.log10((left @ left) / (right @ right)) == pytest.approx(0.0, abs=0.3)


def test_the_noise_repeats_after_its_period() -> None:
    arguments = knobs(1.0), knobs(0.0), knobs(1000.0), RATE
    room = stereo_room(*arguments, PERIOD + 900, torch.float32)[0]
    assert torch.allclose(room[:, PERIOD:], room[:, :900], rtol=0, atol=1e-7)


def test_gradcheck() -> None:
    inputs = [
        x.requires_grad_() for x in (knobs(0.5, 0.2), knobs(1e-3, 3e-3), knobs(300.0, 4000.0))
    ]
    assert torch.autograd.gradcheck(
        lambda *x: stereo_room(*x, RATE, 60, torch.float64), inputs, eps=1e-6, fast_mode=True
    )


@pytest.mark.parametrize(("hz", "heard"), [(20.0, True), (20000.0, False)])
def test_the_slope_is_finite_and_vanishes_where_a_band_is_above_nyquist(
    hz: float, heard: bool
) -> None:
    f = torch.full((1, 30), hz, dtype=torch.float64, requires_grad=True)
    flat = torch.ones(1, 30, dtype=torch.float64)
    room = stereo_room(flat, 1e-3 * flat, f, 8000, 500, torch.float32)
    room.square().sum().backward()
    slope = torch.as_tensor(f.grad)
    assert torch.isfinite(slope).all()
    assert bool(slope.any()) == bool(room.any()) == heard
