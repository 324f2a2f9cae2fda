"""MSDM: the denoiser by hand, and a tiny released checkpoint from end to end."""

import pytest
import torch
from safetensors.torch import save_file

from sds.priors.checkpoints import ModelUnavailable
from sds.priors.multi_source import (
    SOURCES,
    WINDOW,
    joint_denoiser,
    load_multi_source,
    preconditioned,
    read_released,
    weak_denoiser,
)
from sds.priors.waveform_unet import UNetSettings, WaveformUNet


class LogNormalDistribution:
    """Pickled in the hyper-parameters of a checkpoint."""

    def __init__(self):
        self.mean, self.std = -3.0, 1.0


def network(tracks=4, seed=1):
    settings = UNetSettings(
        tracks=tracks, channels=16, patch=2, multipliers=(1, 2, 2), factors=(4, 2), blocks=(1, 2),
        attentions=(False, True), head_features=4,
    )  # fmt: skip
    torch.manual_seed(seed)
    return WaveformUNet(settings).eval().requires_grad_(False)


def released(path, net):
    """A Lightning checkpoint as the authors' code writes it: the network is in it twice."""
    state = net.state_dict()
    twice = {f"model.unet.{name}": value for name, value in state.items()}
    twice |= {f"model.diffusion.net.{name}": value for name, value in state.items()}
    hyper = {"learning_rate": 1e-4, "diffusion_sigma_distribution": LogNormalDistribution()}
    torch.save({"epoch": 419, "state_dict": twice, "hyper_parameters": hyper}, path)
    return path


def test_preconditioning_by_hand():
    """Karras et al. 2022, eq. 7, at sigma = 0.2, where c_skip = 1/2 and c_out = c_in^-1 / 2 / 2."""
    heard = []

    def answer(x, time):
        heard.append((x, time))
        return torch.full_like(x, 0.3)

    denoise = preconditioned(answer)
    x = torch.full((1, 4, 8), 0.4)
    out = denoise(x, torch.tensor([0.2]))
    root = (2 * 0.2**2) ** 0.5
    torch.testing.assert_close(out, torch.full_like(x, 0.2 + 0.2 * 0.2 / root * 0.3))
    torch.testing.assert_close(heard[0][0], x / root)
    torch.testing.assert_close(heard[0][1], torch.tensor([0.2]).log() / 4)


def test_samples_stay_within_one():
    denoise = preconditioned(lambda x, time: torch.full_like(x, 100.0))
    assert torch.equal(denoise(torch.zeros(1, 4, 8), torch.ones(1)), torch.ones(1, 4, 8))
    near = denoise(torch.full((1, 4, 8), 0.4), torch.tensor([1e-6]))
    torch.testing.assert_close(near, torch.full((1, 4, 8), 0.4), atol=2e-4, rtol=0)


def test_a_released_checkpoint_from_end_to_end(tmp_path):
    net = network()
    tensors = read_released(released(tmp_path / "epoch=419.ckpt", net))
    assert tensors.keys() == net.state_dict().keys()
    save_file(tensors, tmp_path / "msdm.safetensors")
    model = load_multi_source(tmp_path / "msdm.safetensors")
    assert (model.name, model.sample_rate, model.window) == ("msdm", 22050, 262144)
    assert model.window_seconds == pytest.approx(11.889, abs=1e-3)
    assert len(model.model_hash) == 16
    x, sigma = torch.randn(2, 4, 32), torch.full((2, 4), 0.3)
    assert torch.equal(model.denoise(x, sigma), joint_denoiser(net)(x, sigma))
    with pytest.raises(ValueError, match="same for all tracks"):
        model.denoise(x, torch.tensor([[0.3, 0.3, 0.3, 0.0]] * 2))


def test_four_weakly_supervised_checkpoints_are_one_model(tmp_path):
    nets = [network(1, seed) for seed in range(4)]
    for source, net in zip(SOURCES, nets, strict=True):
        tensors = read_released(released(tmp_path / f"{source}.ckpt", net))
        save_file(tensors, tmp_path / f"{source}.safetensors")
    model = load_multi_source(tmp_path)
    x, sigma = torch.randn(2, 4, 32), torch.tensor([[0.3, 0.1, 0.2, 0.5]] * 2)
    out = model.denoise(x, sigma)
    assert torch.equal(out, weak_denoiser(nets)(x, sigma))
    for n, net in enumerate(nets):
        alone = preconditioned(net)(x[:, [n]], sigma[:, n])
        assert torch.equal(out[:, [n]], alone)
    (tmp_path / "drums.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"no multi-source model .*drums\.safetensors"):
        load_multi_source(tmp_path)


def test_the_published_window_is_of_whole_frames():
    assert WINDOW % UNetSettings().multiple == 0


def test_what_is_not_such_a_checkpoint(tmp_path):
    torch.save({"state_dict": {"w": torch.ones(2)}}, tmp_path / "other.ckpt")
    with pytest.raises(ModelUnavailable, match="none of its 1 tensors has a name that begins"):
        read_released(tmp_path / "other.ckpt")
    torch.save({"state_dict": {"model.unet.w": torch.ones(2)}}, tmp_path / "w.ckpt")
    with pytest.raises(ModelUnavailable, match="does not hold the U-Net"):
        read_released(tmp_path / "w.ckpt")
    flat = network()
    flat.downsamples[0].downsample = torch.nn.Conv1d(16, 32, 1)
    with pytest.raises(ModelUnavailable, match="a layer that makes no fewer frames"):
        read_released(released(tmp_path / "flat.ckpt", flat))
    net = network()
    net.to_mapping[2].bias = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ModelUnavailable, match=r"do not fit the U-Net: to_mapping\.2\.bias is 3"):
        read_released(released(tmp_path / "shape.ckpt", net))


def test_a_small_file_does_not_become_large_weights(tmp_path):
    one = torch.ones(100)
    state = {f"model.unet.{i}": one for i in range(100)}
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    with pytest.raises(ModelUnavailable, match="its tensors are larger than the file"):
        read_released(tmp_path / "a.ckpt")


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(ModelUnavailable, match="scorewire convert"):
        load_multi_source(released(tmp_path / "a.ckpt", network()))
    save_file(network(1).state_dict(), tmp_path / "bass.safetensors")
    with pytest.raises(ModelUnavailable, match="a model of 1 tracks, and one of 4 is needed"):
        load_multi_source(tmp_path / "bass.safetensors")
