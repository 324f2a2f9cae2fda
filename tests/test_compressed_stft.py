"""The compressed spectrogram is turned back exactly, and its phases say where sounds begin."""

import math

import pytest
import torch

from sds.signal.compressed_stft import BINS, FLOOR, HOP, N_FFT, compress, expand, istft, stft

RATE = 44100


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("exponent", [1.0, 0.5, 1 / 3])
def test_there_and_back_is_exact(exponent):
    audio = 0.1 * noise(2, 20 * HOP) * torch.logspace(0, -4, 20 * HOP)
    back = istft(expand(compress(stft(audio), exponent), exponent))
    error = (back - audio).square().sum() / audio.square().sum()
    assert 10 * math.log10(float(error)) < -120


def test_shapes_and_the_level_of_a_full_scale_sine():
    assert stft(torch.zeros(3, 7 * HOP)).shape == (3, BINS, 7)
    for k in (10, 100, 400):
        sine = torch.sin(2 * math.pi * k / N_FFT * torch.arange(20 * HOP))
        assert stft(sine[None])[0, k, 3:-3].abs() == pytest.approx(1.0, abs=0.01)


def test_inside_the_edges_energy_is_kept():
    audio = noise(1, 40 * HOP)
    audio[:, : 2 * HOP] = audio[:, -2 * HOP :] = 0
    # each bin but the packed one stands for itself and its mirror image
    c = stft(audio) / (math.pi / N_FFT)
    energy = (2 * c[:, 1:].abs().square().sum() + c[:, 0].abs().square().sum()) / N_FFT
    torch.testing.assert_close(energy, audio.square().sum(), rtol=1e-5, atol=0)


def test_with_exponent_one_it_is_linear():
    a, b = noise(1, 8 * HOP), noise(1, 8 * HOP, seed=1)
    both = compress(stft(2 * a - 3 * b), 1.0)
    torch.testing.assert_close(both, 2 * compress(stft(a), 1.0) - 3 * compress(stft(b), 1.0))


def test_a_click_in_the_middle_of_a_frame_has_one_phase_in_all_bins():
    audio = torch.zeros(1, 10 * HOP)
    audio[0, 5 * HOP + HOP // 2] = 1.0  # frame 5 is centred here
    c = stft(audio)[0, 1:, 5]
    torch.testing.assert_close(c, c.real[:1].expand(BINS - 1).to(c), rtol=1e-4, atol=1e-7)


def test_compression_is_a_power_above_the_floor_and_linear_below():
    loud = torch.polar(torch.tensor([0.01, 0.25, 1.0]), torch.tensor([0.3, -2.0, 3.0]))
    torch.testing.assert_close(compress(loud, 0.5).abs(), loud.abs().sqrt())
    torch.testing.assert_close(compress(loud, 0.5).angle(), loud.angle())
    soft = torch.full((1,), FLOOR / 10) + 0j
    torch.testing.assert_close(compress(soft, 0.5), soft * FLOOR**-0.5)


def test_gradients_are_right_and_finite_at_silence():
    c = torch.complex(noise(6).double(), noise(6, seed=1).double()).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: compress(x, 0.5), c)
    assert torch.autograd.gradcheck(lambda x: expand(x, 0.5), c)
    silence = torch.zeros(1, 4 * HOP, requires_grad=True)
    compress(stft(silence), 0.5).abs().square().sum().backward()
    assert torch.isfinite(silence.grad).all()
