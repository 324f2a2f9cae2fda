"""Multi-source diffusion (MSDM): one denoiser of the waveforms of bass, drums, guitar and piano.

Mariani et al. 2023 (arXiv 2302.02257). The model knows sources that play together, 11.9 s of them
at 22 050 Hz, mono. Its released weights are of synthetic four-stem material (Slakh2100), and
`scorewire convert` makes safetensors of their checkpoints. The weakly supervised models are four
networks of one source each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sds.priors.checkpoints import ModelUnavailable, digest, misfits, read_tensors
from sds.priors.pickled_checkpoint import read_state_dict
from sds.priors.waveform_unet import WaveformUNet, settings_of
from sds.samplers.denoiser import Denoiser, TrackDenoiser
from sds.samplers.tracks import independent, one_level

SOURCES = ("bass", "drums", "guitar", "piano")
"""The tracks, in the model's order."""

SAMPLE_RATE = 22050  # Hz
WINDOW = 262144  # samples that it was trained on
SIGMA_DATA = 0.2  # deviation of the training data
PREFIXES = ("model.unet.", "model.diffusion.net.")
"""What the names of a released checkpoint begin with: it holds the network twice."""


@dataclass(frozen=True, slots=True)
class MultiSource:
    """A multi-source model.

    - `name`, `model_hash`: what it is called, and 16 hex digits that say which weights it has.
    - `denoise`: D(x [B, 4, T]; sigma [B, 4]); the joint model knows one level for all tracks, the
      weak one any. T is a multiple of `multiple`.
    - `multiple`: samples of one deepest frame of the network.
    - `sample_rate`: in Hz. Default: 22050.
    - `window`: samples that it was trained on, a multiple of `multiple`. Default: 262144.
    """

    name: str
    model_hash: str
    denoise: TrackDenoiser
    multiple: int
    sample_rate: int = SAMPLE_RATE
    window: int = WINDOW

    @property
    def window_seconds(self) -> float:
        """Seconds that it was trained on."""
        return self.window / self.sample_rate


def preconditioned(network: Callable[[Tensor, Tensor], Tensor]) -> Denoiser:
    """Build D(x [B, N, T]; sigma [B]) of a network F(x [B, N, T], c_noise [B]).

    Karras et al. 2022 (arXiv 2206.00364, eq. 7): D = c_skip x + c_out F(c_in x; c_noise), for data
    of deviation 0.2, clamped to [-1, 1], as samples are.
    """

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma[:, None, None]
        total = s.square() + SIGMA_DATA**2
        heard = network(x / total.sqrt(), sigma.log() / 4)
        x0 = SIGMA_DATA**2 / total * x + s * SIGMA_DATA / total.sqrt() * heard
        return x0.clamp(-1.0, 1.0)

    return denoise


def joint_denoiser(network: WaveformUNet) -> TrackDenoiser:
    """Build D(x [B, 4, T]; sigma [B, 4]) of a network of four tracks; one level for all."""
    return one_level(preconditioned(network))


def weak_denoiser(networks: Sequence[WaveformUNet]) -> TrackDenoiser:
    """Build D(x [B, 4, T]; sigma [B, 4]) of four networks of one track each, in our order."""

    def alone(network: WaveformUNet) -> Denoiser:
        denoise = preconditioned(network)
        return lambda x, sigma: denoise(x[:, None], sigma)[:, 0]

    return independent([alone(network) for network in networks])


def read_released(path: Path) -> dict[str, Tensor]:
    """Read a released checkpoint: the tensors [...] of its U-Net, once, by the network's names.

    The file's pickle is not trusted (`pickled_checkpoint`). Raises `ModelUnavailable`, one
    sentence, for another file, and for a network that is not one of ours.
    """
    state = read_state_dict(path)
    for prefix in PREFIXES:
        own = {
            name.removeprefix(prefix): value.contiguous().clone()
            for name, value in _bounded(path, state, prefix).items()
        }
        if own:
            _empty_network(path, own)
            return own
    raise ModelUnavailable(
        f"{path} is not a checkpoint of multi-source diffusion: none of its {len(state)} tensors "
        f"has a name that begins with {PREFIXES[0]}."
    )


def load_multi_source(path: Path) -> MultiSource:
    """Load a multi-source model: a .safetensors file that `scorewire convert` made, or a folder
    with bass.safetensors, drums.safetensors, guitar.safetensors and piano.safetensors, one weakly
    supervised model each. Raises `ModelUnavailable`.
    """
    files = [path / f"{source}.safetensors" for source in SOURCES] if path.is_dir() else [path]
    for file in files:
        if file.suffix != ".safetensors" or not file.is_file():
            raise ModelUnavailable(
                f"there is no multi-source model {file}; give a .safetensors file (`scorewire "
                "convert` makes it of a released checkpoint), or a folder with one of each of "
                f"{', '.join(SOURCES)}."
            )
    networks = [_network(file, len(SOURCES) // len(files)) for file in files]
    multiple = max(network.settings.multiple for network in networks)
    hashes = [digest(file) for file in files]
    if len(files) == 1:
        return MultiSource(path.stem, hashes[0], joint_denoiser(networks[0]), multiple)
    own = hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
    return MultiSource(path.name, own, weak_denoiser(networks), multiple)


def _bounded(path: Path, state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with `prefix`; all copies together are not larger than the file."""
    own = {name: value for name, value in state.items() if name.startswith(prefix)}
    if sum(value.nbytes for value in own.values()) > path.stat().st_size:
        raise ModelUnavailable(f"{path} is broken: its tensors are larger than the file.")
    return own


def _network(path: Path, tracks: int) -> WaveformUNet:
    tensors = {name: value.float() for name, value in read_tensors(path).items()}
    network = _empty_network(path, tensors)
    if network.settings.tracks != tracks:
        raise ModelUnavailable(
            f"{path} is a model of {network.settings.tracks} tracks, and one of {tracks} is needed."
        )
    network.load_state_dict(tensors, assign=True)
    network.eval().requires_grad_(False)
    return network


def _empty_network(path: Path, tensors: Mapping[str, Tensor]) -> WaveformUNet:
    """A network without numbers that `tensors` fit. Raises `ModelUnavailable` where none does."""
    try:
        with torch.device("meta"):
            network = WaveformUNet(settings_of(tensors))
    except (LookupError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise ModelUnavailable(
            f"{path} does not hold the U-Net of multi-source diffusion ({error})."
        ) from error
    if wrong := misfits(network.state_dict(), tensors):
        raise ModelUnavailable(f"the weights in {path} do not fit the U-Net: {wrong}.")
    return network
