"""The network of multi-source diffusion: a U-Net of waveforms with attention in its deep layers.

The architecture is that of audio-diffusion-pytorch 0.0.43 (`UNet1d`, MIT licence, archinet.ai) in
the configuration of Mariani et al. 2023 (arXiv 2302.02257, appendix B), written anew. Parameters
have the names of that library, so that released weights load.

    x [B, N, T]   patches of 16 samples -> [B, 256, T / 16]
    down          strided convolutions by 4, 4, 4, 2, 2, 2; two residual blocks each; attention in
                  the last three
    bottleneck    residual block, attention, residual block, at T / 8192
    up            the same backwards, each block hearing the block of its level on the way down
    time          learned Fourier features of c_noise, which shift and scale every residual block
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEADS = 8  # of every attention
GROUPS = 8  # of every group norm but those of the patches
SKIP_SCALE = 2**-0.5  # of what comes from the way down


@dataclass(frozen=True, slots=True)
class UNetSettings:
    """What differs between U-Nets; the defaults are the published model of four stems.

    - `tracks`: channels of the waveform: 4, or 1 for the weakly supervised models. Default: 4.
    - `channels`: of the first layer. Default: 256.
    - `patch`: samples that become one frame. Default: 16.
    - `multipliers`: channels of each level, in `channels`; one more than there are layers.
    - `factors`: how many times fewer frames the next level has.
    - `blocks`: residual blocks of each layer.
    - `attentions`: whether a layer has attention.
    - `head_features`: of each of 8 heads. Default: 128.
    """

    tracks: int = 4
    channels: int = 256
    patch: int = 16
    multipliers: tuple[int, ...] = (1, 2, 4, 4, 4, 4, 4)
    factors: tuple[int, ...] = (4, 4, 4, 2, 2, 2)
    blocks: tuple[int, ...] = (2, 2, 2, 2, 2, 2)
    attentions: tuple[bool, ...] = (False, False, False, True, True, True)
    head_features: int = 128

    @property
    def multiple(self) -> int:
        """Samples that a waveform has, or twice that, and so on: those of one deepest frame."""
        return self.patch * math.prod(self.factors)


def settings_of(tensors: Mapping[str, Tensor]) -> UNetSettings:
    """The settings of a U-Net with weights `tensors` [...] by name.

    Raises KeyError or IndexError for the first tensor that is missing or has too few axes, and
    ValueError where a layer would make no fewer frames.
    """
    channels = tensors["to_mapping.0.weight"].shape[0] // 4
    first = tensors["to_in.module_list.0.block.block1.project.weight"]
    layers = range(_count(tensors, "downsamples."))
    downs = [tensors[f"downsamples.{i}.downsample.weight"] for i in layers]
    attends = [f"downsamples.{i}.transformer.attention.fn.to_q.weight" in tensors for i in layers]
    to_q = tensors["bottleneck.attention.fn.to_q.weight"]
    factors = tuple((down.shape[2] - 1) // 2 for down in downs)
    if min(factors, default=0) < 1:
        raise ValueError("it has a layer that makes no fewer frames, or no layer")
    return UNetSettings(
        tracks=first.shape[1],
        channels=channels,
        patch=channels // max(1, first.shape[0]),
        multipliers=(1, *(down.shape[0] // max(1, channels) for down in downs)),
        factors=factors,
        blocks=tuple(_count(tensors, f"downsamples.{i}.blocks.") for i in layers),
        attentions=tuple(attends),
        head_features=to_q.shape[0] // HEADS,
    )


def _count(names: Iterable[str], prefix: str) -> int:
    """How many different words follow `prefix` in names like "prefix0.weight"."""
    return len({name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)})


class WaveformUNet(nn.Module):
    """The U-Net: (x [B, N, T], time [B]) -> [B, N, T]; T is a multiple of `settings.multiple`."""

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        channels = settings.channels
        features = 4 * channels
        widths = [channels * multiplier for multiplier in settings.multipliers]
        self.settings = settings
        self.to_mapping = nn.Sequential(
            nn.Linear(features, features), nn.GELU(), nn.Linear(features, features), nn.GELU()
        )
        embedding = nn.Sequential(FourierFeatures(channels), nn.Linear(channels + 1, features))
        self.to_time = nn.Sequential(embedding, nn.GELU())
        self.to_in = Patches(settings.tracks, channels, settings.patch, features)
        layers = range(len(settings.factors))
        self.downsamples = nn.ModuleList(
            DownLayer(widths[i], widths[i + 1], i, settings, features) for i in layers
        )
        self.bottleneck = Bottleneck(widths[-1], settings.head_features, features)
        self.upsamples = nn.ModuleList(
            UpLayer(widths[i + 1], widths[i], i, settings, features) for i in reversed(layers)
        )
        self.to_out = Unpatches(channels, settings.tracks, settings.patch, features)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Map x [B, N, T] at time [B] to [B, N, T]. Raises ValueError for another T."""
        if x.shape[-1] % self.settings.multiple:
            raise ValueError(
                f"samples must be a multiple of {self.settings.multiple}, got {x.shape[-1]}"
            )
        mapping = self.to_mapping(self.to_time(time))
        first = x = self.to_in(x, mapping)
        skips = []
        for down in self.downsamples:
            x, heard = down(x, mapping)
            skips.append(heard)
        x = self.bottleneck(x, mapping)
        for up in self.upsamples:
            x = up(x, skips.pop(), mapping)
        out: Tensor = self.to_out(x + first, mapping)
        return out


class FourierFeatures(nn.Module):
    """Learned features of time: itself, sines and cosines."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(features // 2))

    def forward(self, time: Tensor) -> Tensor:
        """Time [B] -> [B, features + 1]."""
        angle = 2 * math.pi * time[:, None] * self.weights
        return torch.cat([time[:, None], angle.sin(), angle.cos()], dim=-1)


class ConvBlock(nn.Module):
    """Group norm, shift and scale, SiLU, convolution over three frames."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.groupnorm = nn.GroupNorm(groups, inputs)
        self.project = nn.Conv1d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor, scale_shift: Tensor | None = None) -> Tensor:
        """[B, C, L] -> [B, C', L], scaled and shifted by [B, 2 C, 1]."""
        x = self.groupnorm(x)
        if scale_shift is not None:
            scale, shift = scale_shift.chunk(2, dim=1)
            x = x * (scale + 1) + shift
        out: Tensor = self.project(F.silu(x))
        return out


class ScaleShift(nn.Module):
    """Scale and shift of every channel, from the time."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.to_scale_shift = nn.Sequential(nn.SiLU(), nn.Linear(features, 2 * channels))

    def forward(self, mapping: Tensor) -> Tensor:
        """[B, features] -> [B, 2 C, 1]."""
        out: Tensor = self.to_scale_shift(mapping)[..., None]
        return out


class ResidualBlock(nn.Module):
    """Two convolutions beside one of a single frame, or beside nothing where widths are equal."""

    def __init__(self, inputs: int, outputs: int, groups: int, features: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(inputs, outputs, groups)
        self.to_scale_shift = ScaleShift(features, outputs)
        self.block2 = ConvBlock(outputs, outputs, groups)
        self.to_out = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        """[B, C, L] and the time's [B, features] -> [B, C', L]."""
        h = self.block2(self.block1(x), self.to_scale_shift(mapping))
        out: Tensor = h + self.to_out(x)
        return out


class _Patch(nn.Module):
    """A residual block on the side of the samples."""

    def __init__(self, inputs: int, outputs: int, groups: int, features: int) -> None:
        super().__init__()
        self.block = ResidualBlock(inputs, outputs, groups, features)

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        """[B, C, T] -> [B, C', T]."""
        out: Tensor = self.block(x, mapping)
        return out


class Patches(nn.Module):
    """Samples to frames: a residual block, then its channels at `patch` samples side by side."""

    def __init__(self, tracks: int, channels: int, patch: int, features: int) -> None:
        super().__init__()
        self.patch = patch
        block = _Patch(tracks, channels // patch, min(patch, tracks), features)
        self.module_list = nn.ModuleList([block])

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        """[B, N, T] -> [B, channels, T / patch]."""
        x = self.module_list[0](x, mapping)
        patches = x.reshape(*x.shape[:2], -1, self.patch)  # [B, C, T / patch, patch]
        return patches.transpose(2, 3).flatten(1, 2)


class Unpatches(nn.Module):
    """Frames to samples: the inverse of `Patches`' order, then a residual block."""

    def __init__(self, channels: int, tracks: int, patch: int, features: int) -> None:
        super().__init__()
        self.patch = patch
        block = _Patch(channels // patch, tracks, min(patch, tracks), features)
        self.module_list = nn.ModuleList([block])

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        """[B, channels, L] -> [B, N, L * patch]."""
        patches = x.reshape(len(x), -1, self.patch, x.shape[-1])
        out: Tensor = self.module_list[0](patches.transpose(2, 3).flatten(2, 3), mapping)
        return out


class Norm(nn.Module):
    """Layer norm with a gain and no bias, over axis `dim` of three."""

    def __init__(self, features: int, *, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim
        self.g = nn.Parameter(torch.ones(features if dim == -1 else (1, features, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, C], or [B, C, L] with `dim` 1, normalised."""
        variance, mean = torch.var_mean(x, dim=self.dim, unbiased=False, keepdim=True)
        return (x - mean) * (variance + 1e-5).rsqrt() * self.g


class _Heads(nn.Module):
    """What attention makes of queries, keys and values, and a layer behind it."""

    def __init__(self, channels: int, head_features: int) -> None:
        super().__init__()
        linear = nn.Linear(HEADS * head_features, channels, bias=False)
        self.to_out = nn.Sequential(linear, Norm(channels))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Three of [B, L, HEADS * head_features] -> [B, L, C]."""
        q, k, v = (part.reshape(*q.shape[:2], HEADS, -1).transpose(1, 2) for part in (q, k, v))
        heard = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.to_out(heard.transpose(1, 2).flatten(2))
        return out


class _Frames(nn.Module):
    """Attention of frames to each other."""

    def __init__(self, channels: int, head_features: int) -> None:
        super().__init__()
        width = HEADS * head_features
        self.norm = Norm(channels)
        self.to_q = nn.Linear(channels, width, bias=False)
        self.to_kv = nn.Linear(channels, 2 * width, bias=False)
        self.attention = _Heads(channels, head_features)

    def forward(self, x: Tensor) -> Tensor:
        """[B, L, C] -> [B, L, C]."""
        x = self.norm(x)
        out: Tensor = self.attention(self.to_q(x), *self.to_kv(x).chunk(2, dim=-1))
        return out


class Attention(nn.Module):
    """Attention of frames to each other, channels first."""

    def __init__(self, channels: int, head_features: int) -> None:
        super().__init__()
        self.fn = _Frames(channels, head_features)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, L] -> [B, C, L]."""
        out: Tensor = self.fn(x.mT).mT
        return out


class Transformer(nn.Module):
    """Attention, then a layer on each frame that is twice as wide inside; both are added."""

    def __init__(self, channels: int, head_features: int) -> None:
        super().__init__()
        self.attention = Attention(channels, head_features)
        self.feed_forward = nn.Sequential(
            Norm(channels, dim=1),
            nn.Conv1d(channels, 2 * channels, 1, bias=False),
            nn.GELU(),
            Norm(2 * channels, dim=1),
            nn.Conv1d(2 * channels, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, L] -> [B, C, L]."""
        x = self.attention(x) + x
        out: Tensor = self.feed_forward(x) + x
        return out


class DownLayer(nn.Module):
    """Fewer frames, residual blocks, and attention in deep layers."""

    def __init__(
        self, inputs: int, outputs: int, layer: int, settings: UNetSettings, features: int
    ) -> None:
        super().__init__()
        factor = settings.factors[layer]
        self.downsample = nn.Conv1d(inputs, outputs, 2 * factor + 1, factor, padding=factor)
        self.blocks = nn.ModuleList(
            ResidualBlock(outputs, outputs, GROUPS, features) for _ in range(settings.blocks[layer])
        )
        if settings.attentions[layer]:
            self.transformer = Transformer(outputs, settings.head_features)

    def forward(self, x: Tensor, mapping: Tensor) -> tuple[Tensor, list[Tensor]]:
        """[B, C, L] -> [B, C', L / factor], and what each block said."""
        x = self.downsample(x)
        said = []
        for block in self.blocks:
            x = block(x, mapping)
            said.append(x)
        if hasattr(self, "transformer"):
            x = self.transformer(x)
            said.append(x)
        return x, said


class UpLayer(nn.Module):
    """Residual blocks that hear those of the way down, attention in deep layers, more frames."""

    def __init__(
        self, inputs: int, outputs: int, layer: int, settings: UNetSettings, features: int
    ) -> None:
        super().__init__()
        factor, attends = settings.factors[layer], settings.attentions[layer]
        self.blocks = nn.ModuleList(
            ResidualBlock(2 * inputs, inputs, GROUPS, features)
            for _ in range(settings.blocks[layer] + attends)
        )
        if attends:
            self.transformer = Transformer(inputs, settings.head_features)
        self.upsample = nn.ConvTranspose1d(
            inputs, outputs, 2 * factor, factor, factor // 2 + factor % 2, factor % 2
        )

    def forward(self, x: Tensor, said: list[Tensor], mapping: Tensor) -> Tensor:
        """[B, C, L] and what the blocks of the way down said -> [B, C', L * factor]."""
        for block, heard in zip(self.blocks, reversed(said), strict=True):
            x = block(torch.cat([x, heard * SKIP_SCALE], dim=1), mapping)
        if hasattr(self, "transformer"):
            x = self.transformer(x)
        out: Tensor = self.upsample(x)
        return out


class Bottleneck(nn.Module):
    """A residual block, attention that is not added, and a residual block."""

    def __init__(self, channels: int, head_features: int, features: int) -> None:
        super().__init__()
        self.pre_block = ResidualBlock(channels, channels, GROUPS, features)
        self.attention = Attention(channels, head_features)
        self.post_block = ResidualBlock(channels, channels, GROUPS, features)

    def forward(self, x: Tensor, mapping: Tensor) -> Tensor:
        """[B, C, L] -> [B, C, L]."""
        out: Tensor = self.post_block(self.attention(self.pre_block(x, mapping)), mapping)
        return out
