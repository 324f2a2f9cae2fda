"""The network of the complex-spectrogram prior: its preconditioning is the Wiener gain."""

import math

import pytest
import torch

from sds.priors.complex_network import CORRECTION, ComplexSpectrogramNetwork
from sds.signal.compressed_stft import BINS

FRAMES = 16


@pytest.fixture
def net():
    torch.manual_seed(0)
    return ComplexSpectrogramNetwork().eval().requires_grad_(False)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def envelope(batch):
    return noise(batch, 64, FRAMES // 4, seed=5)


def levels_of(variance, batch):
    """Levels in dB [B, 512, L] of what has this variance [512] with exponent 1/2 and scale 1."""
    return (20 * (2 * variance).log10())[None, :, None].expand(batch, -1, FRAMES)


def test_with_the_variance_known_d_is_the_posterior_mean(net):
    variance = torch.logspace(-4, 1, BINS)
    x, sigma = noise(3, 2 * BINS, FRAMES), torch.tensor([0.01, 0.5, 20.0])
    d, log_variance = net(x, sigma, envelope(3), levels_of(variance, 3))
    torch.testing.assert_close(log_variance[0, :, 0].exp(), variance, rtol=1e-4, atol=0)
    gain = variance / (variance + sigma[:, None] ** 2)  # of GaussianPrior.denoise
    torch.testing.assert_close(d, x * gain.repeat(1, 2)[:, :, None], rtol=1e-4, atol=1e-5)


def test_what_is_left_open_has_the_deviation_of_the_posterior(net):
    """F = 1 moves D by sigma sd / sqrt(sigma^2 + sd^2), Karras et al. 2022, table 1."""
    variance, sigma = torch.full((BINS,), 0.3), torch.tensor([0.7])
    x = noise(1, 2 * BINS, FRAMES)
    before, _ = net(x, sigma, envelope(1), levels_of(variance, 1))
    net.points_out.bias[8:16] = 1.0  # the real part of F, eight bins of every point
    after, _ = net(x, sigma, envelope(1), levels_of(variance, 1))
    c_out = 0.7 * math.sqrt(0.3) / math.sqrt(0.49 + 0.3)
    moved = (after - before).reshape(2, BINS, FRAMES)
    torch.testing.assert_close(moved[0], torch.full((BINS, FRAMES), c_out))
    torch.testing.assert_close(moved[1], torch.zeros(BINS, FRAMES))


def test_a_neighbour_is_weighed_as_a_complex_number(net):
    """F = i times the next frame: D moves by c_out i x(k + 1) / sqrt(sigma^2 + sd^2)."""
    variance, sigma = torch.full((BINS,), 1.0), torch.tensor([1.0])
    x = noise(1, 2 * BINS, FRAMES)
    before, _ = net(x, sigma, envelope(1), levels_of(variance, 1))
    net.points_out.bias[4 * 8 : 5 * 8] = 1.0  # imaginary part of the share of the frame after
    after, _ = net(x, sigma, envelope(1), levels_of(variance, 1))
    c = torch.complex(*x.reshape(2, BINS, FRAMES))
    moved = torch.complex(*(after - before).reshape(2, BINS, FRAMES))
    ahead = torch.nn.functional.pad(c, (0, 1))[:, 1:]
    torch.testing.assert_close(moved, 1j * ahead * math.sqrt(0.5) * math.sqrt(0.5))


def test_clips_of_a_batch_do_not_hear_each_other(net):
    x, sigma, z = noise(2, 2 * BINS, FRAMES), torch.tensor([0.1, 3.0]), envelope(2)
    levels = -30 + noise(2, BINS, FRAMES)
    both, _ = net(x, sigma, z, levels)
    one, _ = net(x[1:], sigma[1:], z[1:], levels[1:])
    torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-5)


def test_variance_is_corrected_within_limits(net):
    torch.nn.init.constant_(net.levels_out.bias, 100.0)
    variance = torch.full((BINS,), 0.1)
    _, said = net(
        torch.zeros(1, 2 * BINS, FRAMES), torch.ones(1), envelope(1), levels_of(variance, 1)
    )
    torch.testing.assert_close(said, torch.full_like(said, math.log(0.1) + CORRECTION))


def test_gradients_reach_x_through_silence(net):
    x = torch.zeros(1, 2 * BINS, FRAMES, requires_grad=True)
    levels = torch.full((1, BINS, FRAMES), -90.0)
    net(x, torch.tensor([0.1]), envelope(1), levels)[0].square().sum().backward()
    assert torch.isfinite(x.grad).all()
