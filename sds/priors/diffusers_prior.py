"""What the adapters of diffusers' pipelines share: text on the CPU, the codec in pieces, checks.

A pipeline is a bag of parts (codec, text encoder, network, scheduler) and a loop. The loop is ours:
an adapter asks the parts for what the pipeline's own loop asks them, and answers as a `Prior`.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.base import Cond
from sds.priors.blank_modules import settle_weight_norms
from sds.priors.chunked_codec import in_chunks, recomputed
from sds.priors.families import Family
from sds.priors.memory import Rows
from sds.priors.quiet_import import quiet

CACHED_PROMPTS = 1024
TEXT_DEVICE = torch.device("cpu")

log = logging.getLogger(__name__)


class DiffusersPrior(ABC):
    """A pipeline of diffusers as a `Prior`; a class below says what is its own.

    Weights are frozen; autograd follows the caller through encode, decode and denoise. Arguments
    may be on any device; results are on the same. The network is on `device` in `precision`, until
    it answers with numbers that are not finite: from then on, that answer included, in float32. The
    codec is there in float32, and what embeds prompts stays on the CPU in float32, where each
    prompt passes once. Audio longer than `chunk` latent frames goes through the codec in pieces;
    with 0, never. A batch goes through both in as many rows as fit (`sds.priors.memory`).
    """

    sample_rate: int
    channels: int
    max_seconds: float
    sigmas: tuple[float, float]
    latent_channels: int
    ratio: int

    text_parts: ClassVar[tuple[str, ...]]
    """Attributes of the pipeline that embed prompts and durations."""
    codec_parts: ClassVar[tuple[str, ...]] = ("vae",)
    network_part: ClassVar[str] = "transformer"

    def __init__(
        self,
        pipeline: Any,
        *,
        name: str,
        family: Family,
        model_hash: str = "",
        device: torch.device | str = "cpu",
        precision: torch.dtype = torch.float32,
        chunk: int = 0,
        overlap: int = 48,
    ) -> None:
        self._pipeline = pipeline
        self.name, self.family, self.model_hash = name, family, model_hash
        self.device = torch.device(device)
        self.chunk, self.overlap = chunk, overlap
        text_device = self.device if self.device.type == "meta" else TEXT_DEVICE
        for part in self.text_parts:
            _freeze(getattr(pipeline, part), text_device, torch.float32)
        for module in self.codec:
            _freeze(module, self.device, torch.float32)
            settle_weight_norms(module)
        fits = precision == torch.float32 or _largest(self.network) <= torch.finfo(precision).max
        self.precision = precision if fits else torch.float32
        _freeze(self.network, self.device, self.precision)
        self._embedded: dict[tuple[str, float], Cond] = {}
        where = f"the model {name} on {self.device}"
        self._network_rows, self._codec_rows = Rows(where), Rows(f"the codec of {where}")

    @property
    def network(self) -> nn.Module:
        """The network that denoises, without codec and text encoders."""
        network: nn.Module = getattr(self._pipeline, self.network_part)
        return network

    @property
    def codec(self) -> list[nn.Module]:
        """The modules of the codec."""
        return [getattr(self._pipeline, part) for part in self.codec_parts]

    def latent_frames(self, seconds: float) -> int:
        """Latent frames that hold `seconds` of audio."""
        return math.ceil(seconds * self.sample_rate / self.ratio)

    def embed(self, prompts: Sequence[str], seconds: float) -> Cond:
        """Conditioning of each of B prompts, tensors [B, ...] by name, for a clip of `seconds`;
        cached.

        "" is the unconditional branch, as the pipeline makes it when no negative prompt is given.
        Raises `ValueError` for no prompts or seconds that are not finite and above 0.
        """
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"seconds must be finite and above 0, got {seconds}")
        if not prompts:
            raise ValueError("prompts must hold at least one prompt, got none")
        rows = [self._cached(prompt, float(seconds)) for prompt in prompts]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def _cached(self, prompt: str, seconds: float) -> Cond:
        key = prompt, seconds
        if key not in self._embedded:
            with quiet(), torch.inference_mode(False), torch.no_grad():
                row = self._embed_one(prompt, seconds)
            while len(self._embedded) >= CACHED_PROMPTS:
                del self._embedded[next(iter(self._embedded))]
            self._embedded[key] = {name: value.to(self.device) for name, value in row.items()}
        return self._embedded[key]

    def encode(self, audio: Tensor) -> Tensor:
        """Audio [B, C, T] -> latent [B, D, L], deterministic; the end is padded with silence."""
        if audio.ndim != 3 or audio.shape[1] != self.channels or audio.shape[-1] == 0:
            raise ValueError(f"audio must be [B, {self.channels}, T > 0], got {list(audio.shape)}")
        x = F.pad(audio.to(self.device, torch.float32), (0, -audio.shape[-1] % self.ratio))

        def piece(start: int, stop: int) -> Tensor:
            part = x[..., start * self.ratio : stop * self.ratio]
            return self._by_rows(self._encode, part)

        frames = x.shape[-1] // self.ratio
        return self._pieces(piece, frames, self.in_graph(x), step=1).to(audio.device)

    def decode(self, latent: Tensor, *, like: Tensor | None = None) -> Tensor:
        """Latent [B, D, L] -> audio [B, C, T]. With `like` [B, C, T], as long as it."""
        z = latent.to(self.device, torch.float32)

        def piece(start: int, stop: int) -> Tensor:
            part = z[..., start:stop]
            return self._by_rows(self._decode, part)[..., : (stop - start) * self.ratio]

        frames, step = z.shape[-1], self.ratio
        audio = self._pieces(piece, frames, self.in_graph(z), step=step).to(latent.device)
        if like is None:
            return audio
        short = max(0, like.shape[-1] - audio.shape[-1])
        return F.pad(audio, (0, short))[..., : like.shape[-1]]

    @property
    def graph_chunk(self) -> int:
        """Latent frames of a piece of the codec where autograd follows: shorter ones, for the graph
        of one piece of one row is in memory at a time. 0 for the whole.
        """
        return min(self.chunk, 2 * self.overlap)

    @staticmethod
    def in_graph(x: Tensor) -> bool:
        """Whether x [B, ...] needs a gradient."""
        return torch.is_grad_enabled() and x.requires_grad

    def _pieces(
        self, piece: Callable[[int, int], Tensor], frames: int, graph: bool, *, step: int
    ) -> Tensor:
        if not self.chunk:
            return piece(0, frames)
        chunk = self.graph_chunk if graph else self.chunk
        return in_chunks(piece, frames, step=step, chunk=chunk, overlap=self.overlap)

    def _by_rows(self, apply: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply the codec to the rows of x: as many at once as fit; one by one for a gradient."""
        if self.in_graph(x):
            return recomputed(apply, x)
        return self._codec_rows.each(lambda a, b: apply(x[a:b]), len(x))

    def denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """Denoise x [B, D, L] at noise levels sigma [B] for `cond`: D(x; sigma, cond) [B, D, L].

        A `cond` of batch 1 is shared by all; raises `ValueError` for any other than 1 or B.
        """
        for name, value in cond.items():
            if len(value) not in (1, len(x)):
                raise ValueError(f"{name} must have batch 1 or {len(x)}, got {len(value)}")
        rows = {
            name: value.to(self.device).expand(len(x), *value.shape[1:])
            for name, value in cond.items()
        }
        levels = sigma.to(self.device, torch.float32).expand(len(x))
        there = x.to(self.device, torch.float32)

        def answer(a: int, b: int) -> Tensor:
            own = {name: value[a:b] for name, value in rows.items()}
            return self._answer(there[a:b], levels[a:b], own)

        return self._network_rows.each(answer, len(x)).to(x.device)

    def _answer(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        d = self._denoise(x, sigma, cond)
        if self.precision == torch.float32 or bool(torch.isfinite(d).all()):
            return d
        if not bool(torch.isfinite(x).all()):
            return d  # the question's fault
        log.warning("%s: beyond the range of %s, in float32 now", self.name, self.precision)
        self.precision = torch.float32
        _freeze(self.network, self.device, self.precision)
        return self._denoise(x, sigma, cond)

    @abstractmethod
    def _embed_one(self, prompt: str, seconds: float) -> Cond:
        """The tensors [1, ...] of one prompt."""

    @abstractmethod
    def _encode(self, audio: Tensor) -> Tensor:
        """Whole frames of audio [B, C, L ratio] -> [B, D, L]."""

    @abstractmethod
    def _decode(self, latent: Tensor) -> Tensor:
        """[B, D, L] -> [B, C, at least L ratio]."""

    @abstractmethod
    def _denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """D [B, D, L] in float32, all arguments on the device, `cond` of the batch of x."""

    @abstractmethod
    def ask(self, z: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """The network's own answer, in float32, at its noisy latent z [B, D, L] and its time t [B];
        all arguments on the device, `cond` of the batch of z.
        """

    @abstractmethod
    def blank_cond(self) -> Cond:
        """Tensors in the shapes of `embed` of one prompt, on the device: for counts."""


def _largest(network: nn.Module) -> float:
    return max(float(weight.detach().abs().max()) for weight in network.parameters())


def _freeze(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Buffers stay as they are: positions in float16 would be wrong from 2,048 on."""
    nn.Module.to(module.eval().requires_grad_(False), device=device)
    for weights in module.parameters():
        weights.data = weights.data.to(dtype)
