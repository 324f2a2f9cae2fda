"""Bass, drums, guitar and piano as one diffusion model: it makes them, goes along with some of
them, and tells them apart.

The state is what four tracks sound like together: levels [B, 4, 128, L] on the bands of
`sds.signal.band_levels`, a frame each 32 ms, each band with mean 0 and deviation 1 over the
corpus. Tracks have noise levels of their own (MGE-LDM, arXiv 2505.23305), so what is known is given
clean, at sigma 0, and is answered as it came. Beside the tracks the network may be told

- a vector of a text or of a sound (MT-MusicLDM, arXiv 2409.02845, uses CLAP's), zeros for none;
- where the beats are (`sds.priors.beats`), so that what is made keeps to a tempo;
- the levels of a mixture, and what `sds.priors.stem_masks` says of it: then it separates, and
  corrects those masks (DiCoSe, diffusion that refines a fast separator).

    x [B, 4, 128, L] + sigma [B, 4]  ->  D(x; sigma) [B, 4, 128, L]  and corrections of mask logits

Preconditioned as in Karras et al. 2022 (arXiv 2206.00364, table 1) with data of deviation 1, for
each track by itself. Trained by `sds.train.multi_track`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sds.priors.band_network import BandNetwork
from sds.priors.beats import BEATS
from sds.priors.checkpoints import digest, fill, read_tensors
from sds.priors.complex_network import NoiseFeatures
from sds.priors.stem_masks import STEMS, StemMasks, load_stem_masks
from sds.signal.band_levels import BANDS, HOP, RATE, between, to_levels
from sds.weights import weights_folder

FOLDER = weights_folder("multi_track")
VECTOR = 128  # numbers that say a text or a sound
NOISE = 48  # features of a track's noise level
CONDITION = 192
PAIR = 2  # frames of the masks' grid to one of this
WINDOW = 376  # frames denoised at once: 12 s
LEAST = 1e-3  # share of a mask
SIGMAS = (0.03, 40.0)


@dataclass(frozen=True, slots=True)
class Told:
    """What the network is told beside the tracks.

    - `vector`: [B, 128], of a text or a sound; zeros for none.
    - `mixture`: [B, 128, L], levels of the mixture, or None.
    - `logits`: [B, 4, 128, 2 L], of the masks of `sds.priors.stem_masks`, where there is a mixture.
    - `beats`: [B, 4, L], of `sds.priors.beats`, or None.
    """

    vector: Tensor
    mixture: Tensor | None = None
    logits: Tensor | None = None
    beats: Tensor | None = None


class MultiTrackNetwork(nn.Module):
    """D of four tracks' levels, and corrections of the masks of their mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.net = BandNetwork(
            2 * STEMS + 2 + 1 + BEATS,
            2 * STEMS,
            widths=(16, 32, 96, 160),
            blocks=(0, 1, 2, 3),
            condition=CONDITION,
            model=256,
            layers=3,
        )
        self.noise = NoiseFeatures(NOISE)
        self.condition = nn.Sequential(
            nn.Linear(STEMS * NOISE + VECTOR, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION)
        )
        last = self.net.last[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(STEMS, BANDS))
        self.register_buffer("deviation", torch.ones(STEMS, BANDS))

    def white(self, levels: Tensor) -> Tensor:
        """Levels [B, 4, 128, L] as the state has them."""
        return (levels - self.mean[..., None]) / self.deviation[..., None]

    def coloured(self, x: Tensor) -> Tensor:
        """The state [B, 4, 128, L] as levels: the inverse of `white`."""
        return x * self.deviation[..., None] + self.mean[..., None]

    def forward(self, x: Tensor, sigma: Tensor, told: Told) -> tuple[Tensor, Tensor]:
        """D [B, 4, 128, L] of x [B, 4, 128, L] at noise levels sigma [B, 4], L a multiple of 8, and
        what to add to the logits of masks [B, 4, 128, L].
        """
        wide = sigma[:, :, None, None]
        scale = (1 + wide.square()).rsqrt()
        log_sigma = sigma.clamp_min(0.5 * SIGMAS[0]).log().reshape(-1)
        noise = self.noise(log_sigma).reshape(len(x), -1)
        condition = self.condition(torch.cat([noise, told.vector], 1))
        f = self.net(torch.cat([x * scale, self._beside(x, told)], 1), condition)
        d = x * scale.square() + wide * scale * f[:, :STEMS]
        return d, f[:, STEMS:]

    def _beside(self, x: Tensor, told: Told) -> Tensor:
        """Maps [B, 11, 128, L] of the mixture, whether there is one, the masks, bands and beats."""
        b, _, _, frames = x.shape
        bands = torch.linspace(-1, 1, BANDS).to(x)[None, None, :, None].expand(b, 1, -1, frames)
        beats = x.new_zeros(b, BEATS, frames) if told.beats is None else told.beats
        bands = torch.cat([bands, beats[:, :, None].expand(-1, -1, BANDS, -1)], 1)
        if told.mixture is None or told.logits is None:
            return torch.cat([x.new_zeros(b, 2 + STEMS, BANDS, frames), bands], 1)
        shares = told.logits[..., ::PAIR].softmax(1)
        masks = (shares + LEAST).log() / 4
        flag = torch.ones_like(told.mixture)
        return torch.cat([told.mixture[:, None], flag[:, None], masks, bands], 1)


def refined(logits: Tensor, correction: Tensor) -> Tensor:
    """Logits [B, 4, 128, 2 L] of masks with a correction [B, 4, 128, L] added."""
    return logits + between(correction)


class MultiTrackPrior:
    """The shipped model of four stems, on the CPU; weights frozen."""

    sample_rate = RATE
    hop = PAIR * HOP  # samples of a frame
    window_seconds = WINDOW * PAIR * HOP / RATE
    sigmas = SIGMAS

    def __init__(
        self, network: MultiTrackNetwork, masks: StemMasks, *, name: str, model_hash: str = ""
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.masks, self.name, self.model_hash = masks, name, model_hash

    def encode(self, power: Tensor) -> Tensor:
        """The state [B, 4, 128, L] of band powers [B, 4, 128, L], a frame each 32 ms."""
        return self.network.white(to_levels(power))

    def levels(self, x: Tensor) -> Tensor:
        """Levels [B, 4, 128, L] of the state x [B, 4, 128, L]."""
        return self.network.coloured(x)

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: Tensor, told: Told) -> Tensor:
        """D(x; sigma) [B, 4, 128, L] of at most `WINDOW` frames, a multiple of 8; sigma [B, 4]."""
        d: Tensor = self.network(x, sigma, told)[0]
        return d

    @torch.no_grad()
    def correct(self, x: Tensor, sigma: Tensor, told: Told) -> tuple[Tensor, Tensor]:
        """D [B, 4, 128, L] and corrections of the mask logits [B, 4, 128, L]; as `denoise`."""
        out: tuple[Tensor, Tensor] = self.network(x, sigma, told)
        return out


def load_multi_track(folder: Path = FOLDER) -> MultiTrackPrior:
    """Load the model in `folder` and the shipped masks.

    Raises `FileNotFoundError` when there is none, `ModelUnavailable` for weights that do not fit.
    """
    path = folder / "model.safetensors"
    network = MultiTrackNetwork()
    fill(network, {k: v.float() for k, v in read_tensors(path).items()}, path, "network")
    return MultiTrackPrior(network, load_stem_masks(), name="multi_track", model_hash=digest(path))
