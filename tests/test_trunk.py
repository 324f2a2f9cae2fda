"""The trunk: batch norms folded as PyTorch computes them, levels and maps as its page says."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from sds.priors.checkpoints import ModelUnavailable
from sds.similarity.trunk import BANDS, HOP, N_FFT, RATE, STRIDE, TOP, WIDTHS, Trunk, load_trunk
from sds.train.trunk import fold, read_checkpoint

PREFIX = "embedding_net.conv_block"


def layers():
    """(name, convolution, batch norm) with random numbers, as aiSFX names and orders them."""
    torch.manual_seed(0)
    for block, (a, b) in enumerate(zip((1, *WIDTHS), WIDTHS, strict=False), 1):
        for layer, inside in enumerate((a, b), 1):
            norm = nn.BatchNorm2d(b)
            for value in (norm.weight.data, norm.running_var):
                value.uniform_(0.5, 1.5)
            for value in (norm.bias.data, norm.running_mean):
                value.normal_()
            convolution = nn.Conv2d(inside, b, 3, padding=1, bias=False)
            yield f"{PREFIX}{block}.", layer, convolution, norm.eval()


@torch.no_grad()
def test_a_folded_network_is_the_one_with_batch_norms():
    weights, blocks = {}, []
    for prefix, layer, convolution, norm in layers():
        weights[f"{prefix}conv{layer}.weight"] = convolution.weight
        weights |= {f"{prefix}bn{layer}.{name}": value for name, value in norm.state_dict().items()}
        blocks.append(nn.Sequential(convolution, norm, nn.ReLU()))
    trunk = Trunk()
    trunk.load_state_dict(fold(weights))
    x = torch.rand(2, 19, BANDS, generator=torch.Generator().manual_seed(1))
    wanted = x[:, None]
    for index in range(len(WIDTHS)):
        wanted = F.max_pool2d(wanted, 2) if index else wanted
        wanted = blocks[2 * index + 1](blocks[2 * index](wanted))
    found = trunk.maps(x)[-1]
    assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


def test_bands_are_unit_sums_spaced_evenly_on_the_mel_scale():
    mel = Trunk().mel
    assert mel.sum(1) == pytest.approx(torch.ones(BANDS), abs=1e-5)
    centres = (mel @ torch.arange(N_FFT // 2 + 1).float()) * RATE / N_FFT
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    wanted = 700 * (10 ** (np.arange(1, BANDS + 1) * top / (BANDS + 1) / 2595) - 1)
    assert centres.numpy() == pytest.approx(wanted, abs=0.6 * RATE / N_FFT, rel=0.002)


@pytest.mark.parametrize("amplitude", [1.0, 0.5, 0.01])
def test_a_sine_has_the_level_of_its_three_bins(amplitude):
    trunk, bin_ = Trunk(), 200
    t = torch.arange(RATE, dtype=torch.float64)
    audio = amplitude * (2 * torch.pi * bin_ / N_FFT * t).sin()
    level = trunk.levels(audio.float()[None])[0, 20]
    power = torch.zeros(N_FFT // 2 + 1)
    power[[bin_ - 1, bin_, bin_ + 1]] = torch.tensor([0.25, 1.0, 0.25])  # of a Hann window
    power *= (amplitude * N_FFT / 4) ** 2
    wanted = (1e4 * trunk.mel @ power + 1).log10() / TOP
    loud = wanted > 0.1
    assert loud.sum() >= 1
    assert level[loud].numpy() == pytest.approx(wanted[loud].numpy(), abs=1e-3)
    assert float(trunk.levels(torch.zeros(1, RATE)).abs().max()) == 0.0


def test_maps_halve_time_and_bands_and_a_frame_is_a_mean_over_bands():
    trunk = load_trunk()
    levels = trunk.levels(torch.randn(2, 3 * RATE, generator=torch.Generator().manual_seed(0)) / 9)
    length = 1 + 3 * RATE // HOP
    assert levels.shape == (2, length, BANDS)
    second, third, fourth = trunk.maps(levels)
    assert second.shape == (2, 128, length // 2, 48)
    assert third.shape == (2, 256, length // 2 // 2, 24)
    assert fourth.shape == (2, 512, length // STRIDE, 12)
    assert torch.equal(trunk.frames(levels), fourth.mean(3).transpose(1, 2))
    assert trunk.frames(levels[:, :STRIDE]).shape == (2, 1, 512)
    assert not any(parameter.requires_grad for parameter in trunk.parameters())


def test_other_sounds_are_further_than_two_pieces_of_one():
    t = torch.arange(2 * RATE) / RATE
    noise = torch.randn(2, 2 * RATE, generator=torch.Generator().manual_seed(0))
    tone = torch.stack([(2 * torch.pi * hz * t).sin() for hz in (440.0, 450.0)])
    sounds = torch.cat([noise, tone])
    trunk = load_trunk()
    levels = trunk.levels(0.5 * sounds / sounds.abs().amax(1, keepdim=True))
    vectors = F.normalize(trunk.frames(levels).amax(1), dim=1)
    cosines = vectors @ vectors.T
    assert min(cosines[0, 1], cosines[2, 3]) > cosines[:2, 2:].max() + 0.1


def test_what_is_no_trunk_is_refused(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"model\.safetensors is not there; sds\.train"):
        load_trunk(tmp_path)
    save_file({"x": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnavailable, match="do not fit the trunk"):
        load_trunk(tmp_path)


def test_a_checkpoint_is_read_as_weights_with_numpy_scalars_and_nothing_else(tmp_path):
    path = tmp_path / "checkpoint.pth"
    torch.save(({"a": torch.ones(2)}, {"classes": np.int64(3), "loss": np.float64(0.5)}), path)
    assert read_checkpoint(path)["a"].tolist() == [1.0, 1.0]
    torch.save(({"a": torch.ones(2)}, print), path)
    with pytest.raises(Exception, match="Weights only load failed"):
        read_checkpoint(path)
