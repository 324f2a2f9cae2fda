"""The spectral distance, against numbers worked out by hand."""

import math
from functools import partial

import pytest
import torch

from sds.signal.spectrogram import (
    SCALES,
    complex_distance,
    istft,
    log_mel_distance,
    magnitude,
    magnitudes,
    multi_scale_distance,
    relative_distance,
    shares,
    squared_distance,
    stft,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", SCALES)
def test_white_noise_has_its_variance_in_every_bin(n):
    power = stft(0.5 * noise(1, 1, 200_000), n).abs().square()[..., 1:-1, 4:-4].mean()
    assert float(power) == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize("n", SCALES)
def test_sine_peaks_at_its_bin_with_the_window_gain(n):
    """A sine of amplitude a at a bin's centre: a/2 sum(w) / |w| = a sqrt(n/6)."""
    sine = 0.8 * torch.sin(2 * torch.pi * 100 / n * torch.arange(4 * n))[None, None]
    frame = magnitude(sine, n)[0, 0, :, 8]
    assert int(frame.argmax()) == 100
    assert float(frame[100]) == pytest.approx(0.8 * math.sqrt(n / 6), rel=1e-3)


@pytest.mark.parametrize("samples", [1, 300, 4096, 10_001])
def test_inverse_restores_audio(samples):
    audio = noise(2, 2, samples)
    assert torch.allclose(istft(stft(audio, 1024), 1024, samples), audio, atol=1e-5)


def test_shapes_hop_a_quarter_window():
    shapes = [tuple(m.shape) for m in magnitudes(noise(3, 2, 8192))]
    assert shapes == [(3, 2, 513, 33), (3, 2, 1025, 17), (3, 2, 2049, 9)]


def test_complex_distance_hears_what_magnitudes_do_not():
    a, b = noise(2, 1, 4096), noise(2, 1, 4096, seed=1)
    power = squared_distance(magnitudes(a), magnitudes(0 * a))
    torch.testing.assert_close(complex_distance(a, 0 * a), power, rtol=1e-4, atol=0)
    torch.testing.assert_close(complex_distance(a, -a), 4 * power, rtol=1e-4, atol=0)
    assert squared_distance(magnitudes(a), magnitudes(-a)).abs().max() < 1e-9
    assert bool((complex_distance(a, b) > squared_distance(magnitudes(a), magnitudes(b))).all())


def test_gradient_is_finite_at_silence_and_right_elsewhere():
    silent = torch.zeros(1, 1, 2000, requires_grad=True)
    squared_distance(magnitudes(silent), magnitudes(noise(1, 1, 2000))).sum().backward()
    assert bool(silent.grad.isfinite().all())
    x = noise(1, 1, 16).double().requires_grad_(True)
    y = [magnitude(noise(1, 1, 16, seed=1).double(), 8)]
    b = noise(1, 1, 16, seed=1).double()
    assert torch.autograd.gradcheck(lambda a: complex_distance(a, b, (4, 8)), x)
    for distance in (squared_distance, partial(relative_distance, log_weight=0.3)):
        assert torch.autograd.gradcheck(lambda a, d=distance: d([magnitude(a, 8)], y), x)


def test_distances_of_a_scaled_copy():
    """S(g x) = g S(x): 1/2 (g-1)^2 P a scale, relative 1/2 [(g-1)^2 + w ln(g)^2]."""
    x = magnitudes(noise(1, 1, 20_000))
    scaled = [1.5 * m for m in x]
    power = sum(float(m.square().mean()) for m in x)
    assert float(squared_distance(scaled, x)) == pytest.approx(0.5 * 0.25 * power, rel=1e-4)
    linear = relative_distance(scaled, x, log_weight=0.0)
    assert float(linear) == pytest.approx(3 * 0.5 * 0.25, rel=1e-4)
    both = relative_distance(scaled, x, log_weight=1.0)
    assert float(both - linear) == pytest.approx(3 * 0.5 * math.log(1.5) ** 2, rel=0.05)


def test_distance_ignores_phase_but_not_pitch():
    n = torch.arange(20_000) / 44100
    a, shifted, other = (
        magnitudes(torch.sin(2 * torch.pi * f * n + phase)[None, None])
        for f, phase in ((440, 0.0), (440, 1.0), (466, 0.0))
    )
    same = relative_distance(shifted, a, log_weight=0.0)
    assert float(same) < 0.01 * float(relative_distance(other, a, log_weight=0.0))


def test_distances_of_twice_as_loud():
    x = noise(2, 1, 20_000)
    assert multi_scale_distance(2 * x, x).tolist() == pytest.approx(2 * [1 + math.log(2)], rel=1e-4)
    assert log_mel_distance(2 * x, x, 44100).tolist() == pytest.approx(2 * [6.0206], rel=1e-4)


def test_what_is_80_db_below_the_loudest_is_silence():
    x = noise(1, 1, 20_000)
    tail = torch.cat([x, torch.zeros_like(x)], -1)
    hiss = tail + 1e-6 * noise(1, 1, 40_000, seed=1)
    assert float(multi_scale_distance(hiss, tail)) < 1e-3
    assert float(log_mel_distance(hiss, tail, 44100)) < 1e-3
    # silence in place of noise of power v: 80 dB, and less where its bands are below the loudest
    assert 65 < float(log_mel_distance(0 * x, x, 44100)) < 80


def test_distances_ignore_the_level_of_the_pair():
    a, b = noise(1, 1, 20_000), noise(1, 1, 20_000, seed=1)
    for distance in (multi_scale_distance, partial(log_mel_distance, rate=44100)):
        once = float(distance(a, b))
        assert once > 0.5
        for gain in (1e-2, 1e-4):
            assert float(distance(gain * a, gain * b)) == pytest.approx(once, rel=1e-5)


def test_shares_are_of_powers_whatever_their_level():
    powers = torch.tensor([[[3.0, 0.0]], [[1.0, 0.0]]])  # [2, 1, 2]
    for level in (1.0, 1e-12):
        found = shares(level * powers)
        assert found.flatten().tolist() == pytest.approx([0.75, 0.5, 0.25, 0.5])
    assert shares(torch.zeros(3, 1, 1)).flatten().tolist() == pytest.approx([1 / 3] * 3)


def test_rows_are_independent():
    a, b = magnitudes(noise(3, 1, 5000)), magnitudes(noise(3, 1, 5000, seed=1))
    rows = relative_distance(a, b, log_weight=0.1)
    one = relative_distance([m[1:2] for m in a], [m[1:2] for m in b], log_weight=0.1)
    assert float(rows[1]) == pytest.approx(float(one))
