"""The U-Net of waveforms against the library whose weights it takes."""

import hashlib

import pytest
import torch

from sds.priors.waveform_unet import Patches, UNetSettings, WaveformUNet, settings_of

TINY = UNetSettings(
    channels=16, patch=2, multipliers=(1, 2, 2), factors=(4, 2), blocks=(1, 2),
    attentions=(False, True), head_features=4,
)  # fmt: skip


def network(settings=TINY):
    torch.manual_seed(1)
    return WaveformUNet(settings).eval().requires_grad_(False)


@pytest.mark.parametrize(
    ("tracks", "parameters", "names"),
    [(4, 405_497_700, "8cb8cf32af0b76b0"), (1, 405_491_100, "9c9aea6e5c6e1192")],
)
def test_names_and_shapes_of_the_published_size(tracks, parameters, names):
    """SHA-256 of the lines "NAME [SHAPE]" of audio-diffusion-pytorch 0.0.43, so configured."""
    with torch.device("meta"):
        tensors = WaveformUNet(UNetSettings(tracks=tracks)).state_dict()
    assert len(tensors) == 434
    assert sum(value.numel() for value in tensors.values()) == parameters
    lines = "\n".join(f"{name} {list(value.shape)}" for name, value in sorted(tensors.items()))
    assert hashlib.sha256(lines.encode()).hexdigest()[:16] == names
    assert settings_of(tensors) == UNetSettings(tracks=tracks)


def test_settings_are_read_from_the_weights():
    assert settings_of(network().state_dict()) == TINY
    assert TINY.multiple == 16
    assert UNetSettings().multiple == 8192


def test_an_answer_of_the_library():
    """What UNet1d of audio-diffusion-pytorch 0.0.43 says with these weights and this input."""
    unet = network().double()
    for index, (_, parameter) in enumerate(sorted(unet.named_parameters())):
        angle = torch.arange(parameter.numel(), dtype=torch.float64).reshape(parameter.shape)
        parameter.copy_(torch.sin(angle * 0.7 + index) * 0.3)
    x = torch.sin(torch.arange(2 * 4 * 64, dtype=torch.float64) * 1.3).reshape(2, 4, 64)
    out = unet(x, torch.tensor([-0.8, 0.3], dtype=torch.float64))
    answer = torch.tensor(
        [
            [0.0547572965, -0.1988906270, -0.3135817875, -0.8645572462],
            [0.7831895481, -0.2020138479, -1.0196167049, -0.2744209028],
        ],
        dtype=torch.float64,
    )
    torch.testing.assert_close(out[:, :, 17], answer, atol=1e-9, rtol=0)


def test_patches_are_samples_side_by_side():
    patches = Patches(1, 4, 2, 8)
    x = torch.arange(8.0).reshape(1, 1, 8)
    block = patches.module_list[0]
    block.forward = lambda x, mapping: torch.cat([x, x + 100], 1)
    assert patches(x, None)[0].tolist() == [
        [0, 2, 4, 6], [1, 3, 5, 7], [100, 102, 104, 106], [101, 103, 105, 107],
    ]  # fmt: skip


def test_only_whole_frames():
    with pytest.raises(ValueError, match="samples must be a multiple of 16, got 24"):
        network()(torch.zeros(1, 4, 24), torch.zeros(1))
