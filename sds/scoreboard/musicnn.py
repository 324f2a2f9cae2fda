"""A judge that nothing here was trained or searched with: musicnn, a tagger of music.

    pip install --no-deps musicnn

musicnn (Pons & Serra 2019, arXiv 1909.06654; ISC licence) was trained by others on the tags that
people gave to the music of MagnaTagATune. The package carries the weights as a checkpoint of
TensorFlow, which is read without it, and nothing of the package is imported or run; so it is
installed without what it depends on. Where it is not installed, there is no such judge.

The network is that of `musicnn.models.build_musicnn` in inference: convolutions as high as most of
the spectrum (timbre) and as long as 2 s (tempo), three convolutions over time, pooling over time,
two dense layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.scoreboard.tensorflow_checkpoint import read_checkpoint
from sds.signal.audio_files import mono, resample

PACKAGE, MODEL = "musicnn", "MTT_musicnn"
RATE, N_FFT, HOP, MELS = 16000, 512, 256, 96
FRAMES = 187  # of 3 s, which the network was trained on
EPSILON = 1e-3  # of TensorFlow's batch norm
TAGS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast",
    "piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male",
    "singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman",
    "male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir", "voice",
    "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello", "no voice",
    "weird", "country", "metal", "female voice", "choral",
)  # fmt: skip
"""`MTT_LABELS` of `musicnn.configuration`, in its order."""


TIMBRE, TEMPO, MIDDLE = 2, 3, 3  # convolutions
SHAPES = {
    "conv2d": (7, 38, 1, 204),
    "conv2d_1": (7, 67, 1, 204),
    "conv2d_2": (128, 1, 1, 51),
    "conv2d_3": (64, 1, 1, 51),
    "conv2d_4": (32, 1, 1, 51),
    "conv2d_5": (7, 561, 1, 64),
    "conv2d_6": (7, 64, 1, 64),
    "conv2d_7": (7, 64, 1, 64),
    "dense": (1506, 200),
    "dense_1": (200, 50),
}
"""Of the kernels, by TensorFlow's names: [time, frequency, in, out], [in, out]."""


class Musicnn:
    """The network: log-mel spectra in, an embedding and the probabilities of `TAGS` out."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """From the tensors of a checkpoint by TensorFlow's names. Raises `ValueError` where one is
        missing or has another shape.
        """
        from torchaudio.functional import melscale_fbanks

        for name, shape in SHAPES.items():
            kernel = tensors.get(f"{name}/kernel")
            if kernel is None or tuple(kernel.shape) != shape:
                got = None if kernel is None else tuple(kernel.shape)
                raise ValueError(f"{name} of musicnn must be {shape}, got {got}")
        self._tensors = tensors
        self._mel = melscale_fbanks(
            N_FFT // 2 + 1, 0.0, RATE / 2, MELS, RATE, norm="slaney", mel_scale="slaney"
        ).T

    @torch.no_grad()
    def embed(self, audio: Tensor, rate: int) -> Tensor:
        """Unit vectors [B, 200] of audio [B, C, T] at `rate` Hz: the last layer but one."""
        return F.normalize(self.penultimate(patches(audio, rate, self._mel)).mean(1), dim=1)

    @torch.no_grad()
    def tags(self, audio: Tensor, rate: int) -> Tensor:
        """Probabilities [B, 50] of `TAGS` in audio [B, C, T] at `rate` Hz, the mean of its parts of
        3 s.
        """
        x = self.penultimate(patches(audio, rate, self._mel))
        return self._dense(x, "dense_1").sigmoid().mean(1)

    def penultimate(self, x: Tensor) -> Tensor:
        """The last layer but one [B, N, 200] of log-mel spectra [B, N, L, MELS]."""
        count = x.shape[:2]
        x = self._front(x.flatten(0, 1))
        layers = [x]
        for index in range(MIDDLE):
            kernel = self._tensors[f"conv2d_{index + TIMBRE + TEMPO}/kernel"].squeeze(2)
            more = self._convolution(F.pad(x, (3, 3)), kernel, index + TIMBRE + TEMPO)
            x = x + more if index else more  # the first has another width
            layers.append(x)
        x = torch.cat(layers, 1)  # [B N, 753, L]
        x = torch.stack([x.amax(2), x.mean(2)], 2).flatten(1)  # in the order of tf.flatten
        x = self._dense(self._norm(x, 9), "dense").relu()
        return self._norm(x, 10).reshape(*count, -1)

    def _front(self, x: Tensor) -> Tensor:
        """Timbre and tempo [B, 561, L] of log-mel spectra [B, L, MELS]."""
        x = self._norm(x[:, None], 0)
        found = []
        for index in range(TIMBRE + TEMPO):
            kernel = self._tensors[f"{_name('conv2d', index)}/kernel"]
            more = kernel.shape[0] - 1  # zeros in time: "same", the odd one behind
            padded = F.pad(x, (0, 0, more // 2, more - more // 2))
            found.append(self._convolution(padded, kernel, index).amax(3))
        return torch.cat(found, 1)

    def _convolution(self, x: Tensor, kernel: Tensor, index: int) -> Tensor:
        """Convolution, ReLU, batch norm; one or two axes after the channels."""
        convolve = F.conv2d if kernel.ndim == 4 else F.conv1d
        weight = kernel.movedim((-1, -2), (0, 1))  # [out, in, ...]
        x = convolve(x, weight, self._tensors[f"{_name('conv2d', index)}/bias"])
        return self._norm(x.relu(), index + 1)

    def _norm(self, x: Tensor, index: int) -> Tensor:
        """Batch norm of x [B, F, ...] with the statistics of training."""
        name = _name("batch_normalization", index)
        mean, variance, gamma, beta = (
            self._tensors[f"{name}/{part}"]
            for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return F.batch_norm(x, mean, variance, gamma, beta, eps=EPSILON)

    def _dense(self, x: Tensor, name: str) -> Tensor:
        return x @ self._tensors[f"{name}/kernel"] + self._tensors[f"{name}/bias"]


def patches(audio: Tensor, rate: int, mel: Tensor) -> Tensor:
    """Log-mel spectra [B, N, FRAMES, MELS] of audio [B, C, T] at `rate` Hz: log10(1 + 10^4 p).

    Sounds are brought to a peak of full scale. Silence follows short ones (in training they were
    repeated, but one stroke is no roll: of held-back recordings the nearest has the same class in
    84 % this way, in 80 % that); of long ones the last part that is not whole is left out. `mel`
    [MELS, N_FFT / 2 + 1] weighs the bins.
    """
    signal = resample(mono(audio.float()), rate, RATE)
    signal = signal / signal.abs().amax(1, keepdim=True).clamp_min(1e-9)
    signal = F.pad(signal, (0, max(0, (FRAMES - 1) * HOP - signal.shape[-1])))
    window = torch.hann_window(N_FFT)
    spectrum = torch.stft(signal, N_FFT, HOP, window=window, return_complex=True)
    power = mel @ (spectrum.real**2 + spectrum.imag**2)  # [B, MELS, L]
    x = torch.log10(1.0 + 1e4 * power).mT
    count = x.shape[1] // FRAMES
    return x[:, : count * FRAMES].reshape(len(x), count, FRAMES, MELS)


def _name(kind: str, index: int) -> str:
    """TensorFlow's name of the `index`-th layer of a kind."""
    return f"{kind}_{index}" if index else kind


@lru_cache(maxsize=1)
def load_musicnn() -> Musicnn | None:
    """The network of the installed package; None where there is none. Raises `ValueError` for one
    that is damaged.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return Musicnn(read_checkpoint(Path(spec.origin).parent / MODEL))
