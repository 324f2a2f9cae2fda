"""Four stems of a mixture in one pass: a mask for bass, drums, guitar and piano on each band.

A U-Net over band levels (`sds.priors.band_network`) says for each band of each frame how the four
share it; the shares add up to 1, so what they take adds up to the mixture. Masks of one network
for all instruments are those of Open-Unmix and Spleeter (Stöter et al. 2019, doi
10.21105/joss.01667), made to compete here. Trained by `sds.train.stem_masks`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.band_network import BLOCK, BandNetwork
from sds.priors.checkpoints import digest, fill, read_tensors
from sds.signal.band_levels import band_powers, stft, to_levels
from sds.weights import weights_folder

FOLDER = weights_folder("stem_masks")
STEMS = 4
LEVEL = 0.1  # root mean square that a mixture is brought to: -20 dBFS


class StemMaskNetwork(nn.Module):
    """Band levels of a mixture to logits of the four shares."""

    def __init__(self) -> None:
        super().__init__()
        self.net = BandNetwork(1, STEMS, widths=(8, 24, 64, 128), blocks=(0, 1, 2, 3))

    def forward(self, levels: Tensor) -> Tensor:
        """Levels [B, 128, L], L a multiple of 8 -> logits [B, 4, 128, L]; shares are their softmax
        over the four.
        """
        out: Tensor = self.net(levels[:, None])
        return out


def gain_to_level(audio: Tensor) -> Tensor:
    """Gains [B, 1] that bring audio [B, T] to the level the networks know; 1 for silence."""
    rms = audio.square().mean(-1, keepdim=True).sqrt()
    return torch.where(rms > 1e-6, LEVEL / rms.clamp_min(1e-6), torch.ones_like(rms))


class StemMasks:
    """The shipped mask network, on the CPU."""

    def __init__(self, network: StemMaskNetwork, *, model_hash: str = "") -> None:
        self.network = network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model_hash = model_hash

    @torch.no_grad()
    def logits(self, levels: Tensor) -> Tensor:
        """Logits [B, 4, 128, L] of levels [B, 128, L] of mixtures, any L."""
        frames = levels.shape[-1]
        padded = F.pad(levels, (0, -frames % BLOCK), mode="replicate")
        out: Tensor = self.network(padded)[..., :frames]
        return out

    def levels(self, mid: Tensor) -> Tensor:
        """Levels [B, 128, L] of mixtures [B, T] at 32 kHz, each brought to the level it knows."""
        return to_levels(band_powers(stft(mid * gain_to_level(mid))))


def load_stem_masks(folder: Path = FOLDER) -> StemMasks:
    """Load the mask network in `folder`.

    Raises `FileNotFoundError` when there is none, `ModelUnavailable` for weights that do not fit.
    """
    path = folder / "model.safetensors"
    network = StemMaskNetwork()
    fill(network, {k: v.float() for k, v in read_tensors(path).items()}, path, "network")
    return StemMasks(network, model_hash=digest(path))
