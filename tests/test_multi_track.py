"""The model of four stems: its network's preconditioning, what it is told, its masks."""

import pytest
import torch

from sds.priors.band_network import BandNetwork
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.multi_track import (
    MultiTrackNetwork,
    MultiTrackPrior,
    Told,
    halve,
    load_multi_track,
    refined,
)
from sds.priors.stem_masks import (
    LEVEL,
    StemMaskNetwork,
    StemMasks,
    gain_to_level,
    load_stem_masks,
)
from sds.train.common import write_weights


def network(seed=0):
    torch.manual_seed(seed)
    net = MultiTrackNetwork().eval()
    for parameter in net.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return net


def told(count, mixture=False):
    g = torch.Generator().manual_seed(1)
    vector = torch.randn(count, 128, generator=g)
    if not mixture:
        return Told(vector)
    levels = torch.randn(count, 128, 16, generator=g)
    return Told(vector, levels, torch.randn(count, 4, 128, 32, generator=g))


@torch.no_grad()
def test_what_is_known_is_answered_as_it_came():
    x = torch.randn(2, 4, 128, 16, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([[0.0, 2.0, 0.0, 2.0], [3.0, 3.0, 0.0, 3.0]])
    d, correction = network()(x, sigma, told(2))
    known = sigma == 0
    assert torch.equal(d[known], x[known])
    assert float((d[~known] - x[~known]).abs().mean()) > 0.1
    assert correction.shape == x.shape


@torch.no_grad()
def test_an_untrained_network_is_the_denoiser_of_white_data():
    net = MultiTrackNetwork().eval()
    torch.nn.init.zeros_(net.net.last[-1].bias)
    x = torch.randn(1, 4, 128, 8, generator=torch.Generator().manual_seed(0))
    for sigma in (0.1, 1.0, 10.0):
        d, _ = net(x, torch.full((1, 4), sigma), told(1))
        torch.testing.assert_close(d, x / (1 + sigma**2))


@torch.no_grad()
def test_mixture_vector_and_each_noise_level_are_heard():
    net, x = network(), torch.randn(1, 4, 128, 16, generator=torch.Generator().manual_seed(0))
    level = torch.full((1, 4), 1.0)
    plain, _ = net(x, level, told(1))
    other = Told(torch.zeros(1, 128))
    assert float((net(x, level, other)[0] - plain).abs().max()) > 1e-4
    assert float((net(x, level, told(1, mixture=True))[0] - plain).abs().max()) > 1e-4
    moved = torch.tensor([[1.0, 1.0, 1.0, 2.0]])
    assert float((net(x, moved, told(1))[0][:, 0] - plain[:, 0]).abs().max()) > 1e-4


def test_levels_are_whitened_and_back():
    net = MultiTrackNetwork()
    net.mean.normal_()
    net.deviation.uniform_(0.5, 2)
    levels = torch.randn(2, 4, 128, 8)
    torch.testing.assert_close(net.coloured(net.white(levels)), levels)


def test_a_frame_of_the_state_is_the_mean_power_of_two():
    assert halve(torch.tensor([1.0, 3.0, 5.0, 5.0])).tolist() == [2.0, 5.0]


def test_a_correction_of_nothing_leaves_the_masks():
    logits = torch.randn(1, 4, 128, 32)
    assert torch.equal(refined(logits, torch.zeros(1, 4, 128, 16)), logits)
    ones = refined(logits, torch.ones(1, 4, 128, 16)) - logits
    torch.testing.assert_close(ones, torch.ones_like(logits))


@torch.no_grad()
def test_masks_are_the_same_at_any_level_and_of_any_length():
    torch.manual_seed(0)
    masks = StemMasks(StemMaskNetwork())
    mid = 0.05 * torch.randn(1, 9000)
    levels = masks.levels(mid)
    logits = masks.logits(levels)
    assert logits.shape == (1, 4, 128, levels.shape[-1])
    torch.testing.assert_close(masks.levels(20 * mid), levels)
    gain = gain_to_level(mid)
    assert float((mid * gain).square().mean().sqrt()) == pytest.approx(LEVEL)
    assert gain_to_level(torch.zeros(1, 5)).tolist() == [[1.0]]


def test_weights_that_do_not_fit_are_refused(tmp_path):
    write_weights({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
    for load in (load_multi_track, load_stem_masks):
        with pytest.raises(ModelUnavailable, match="do not fit the network"):
            load(tmp_path)
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "none")


def test_the_denoiser_of_the_prior():
    prior = MultiTrackPrior(network(), StemMasks(StemMaskNetwork()), name="test")
    assert prior.window_seconds == pytest.approx(12.0, abs=0.05)
    x = prior.encode(torch.rand(1, 4, 128, 32))
    d = prior.denoise(x, torch.zeros(1, 4), told(1))
    assert torch.equal(d, x)


def test_frames_must_be_a_multiple_of_eight():
    with pytest.raises(RuntimeError):
        BandNetwork(1, 1, widths=(8, 8, 8, 8), blocks=(0, 0, 0, 0))(torch.zeros(1, 1, 128, 12))
