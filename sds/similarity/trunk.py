"""The trunk under what hears: a convolutional network trained on professional sound effects.

The embedding network of aiSFX (Ma and Lerch, "Representation Learning for the Automatic Indexing of
Sound Effects Libraries", ISMIR 2022; weights CC BY 4.0): nine layers, 4.7 M parameters, which told
apart the classes of nine libraries. `sds.train.trunk` takes its weights out of the package `aisfx`,
with each batch norm folded into the convolution before it. Nothing here trains it further.

    audio -> log mel power [B, 96, T / 1024] -> 64 x [96, L] -> 128 x [48, L/2] -> 256 x [24, L/4]
          -> 512 x [12, L/8]

The evaluation scorer must not hear through it: what reports stays apart from what searches.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.checkpoints import fill, read_tensors, shipped_file
from sds.weights import weights_folder

FOLDER = weights_folder("trunk")
RATE = 44100
N_FFT, HOP, BANDS = 2048, 1024, 96
PEAK = 0.5  # of the sounds it was trained on
TOP = 9.457798957824707  # the greatest level it was trained on
WIDTHS = (64, 128, 256, 512)
STRIDE = 8  # frames of HOP to one of the last block
WIDTH = WIDTHS[-1]


class _Block(nn.Sequential):
    """Convolutions, each followed by what is above nothing."""

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self:
            x = F.relu(convolution(x))
        return x


class Trunk(nn.Module):
    """Levels of sounds to feature maps, four blocks of two convolutions."""

    def __init__(self) -> None:
        from torchaudio.functional import melscale_fbanks

        super().__init__()
        mel = melscale_fbanks(N_FFT // 2 + 1, 0.0, RATE / 2, BANDS, RATE, mel_scale="htk").T
        self.mel: Tensor
        self.register_buffer("mel", (mel / mel.sum(1, keepdim=True)).contiguous(), persistent=False)
        self.blocks = nn.ModuleList(
            _Block(nn.Conv2d(a, b, 3, padding=1), nn.Conv2d(b, b, 3, padding=1))
            for a, b in zip((1, *WIDTHS), WIDTHS, strict=False)
        )

    def levels(self, audio: Tensor) -> Tensor:
        """Levels [B, L, 96] of audio [B, T] at RATE, L = 1 + T / HOP.

        They hang on how loud it is: bring it to PEAK first.
        """
        spectrum = torch.stft(
            audio,
            N_FFT,
            HOP,
            window=torch.hann_window(N_FFT, device=audio.device),
            pad_mode="constant",
            return_complex=True,
        )
        power = self.mel @ (spectrum.real**2 + spectrum.imag**2)
        return (1e4 * power + 1).log10().transpose(1, 2) / TOP

    def maps(self, levels: Tensor, blocks: int = len(WIDTHS)) -> list[Tensor]:
        """The maps of the first blocks of levels [B, L, 96] before they are pooled, less the very
        first: of all four, unless told.

        [B, 128, L/2, 48], [B, 256, L/4, 24] and [B, 512, L/8, 12], rounded down; L is at least 8.
        """
        x, out = levels[:, None], []
        for index, block in enumerate(self.blocks[:blocks]):
            x = block(F.max_pool2d(x, 2) if index else x)
            out.append(x)
        return out[1:]

    def frames(self, levels: Tensor) -> Tensor:
        """Features [B, L/8, 512] of levels [B, L, 96], mean over bands.

        Their maximum over time is the embedding that aiSFX's classifiers were given.
        """
        return self.maps(levels)[-1].mean(3).transpose(1, 2)


@lru_cache(maxsize=1)
def load_trunk(folder: Path = FOLDER) -> Trunk:
    """Load the trunk, frozen; the same one each time.

    Raises `ModelUnavailable` for weights that are not there, do not fit or are not finite.
    """
    path = shipped_file(folder / "model.safetensors", "sds.train.trunk")
    trunk = Trunk()
    fill(trunk, read_tensors(path), path, "trunk")
    trunk.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return trunk
