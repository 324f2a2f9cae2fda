"""Adapter of stable-audio-tools checkpoints (the shipped default, Stable Audio Open) to `Prior`.

A checkpoint predicts v or a velocity at a time t; the rest of Scorewire asks for D(x; sigma) with x
= x0 + sigma n (Karras et al. 2022, section 2). The conversions, `to_time` and `to_x0`, follow from
writing the checkpoint's noisy latent z as x divided by its scale:

    v               z = alpha x0 + s n, alpha = cos(pi t/2), s = sin(pi t/2), v = alpha n - s x0;
                    sigma = s / alpha, so t = 2/pi atan(sigma), z = x / sqrt(1 + sigma^2), and
                    alpha z - s v = (alpha^2 + s^2) x0 = x0
    rectified flow  z = (1 - t) x0 + t n, v = n - x0; sigma = t / (1 - t), so
                    t = sigma / (1 + sigma), z = x / (1 + sigma), and z - t v = x0
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sds.priors.base import Cond
from sds.priors.blank_modules import settle_weight_norms
from sds.priors.checkpoints import Checkpoint, ModelUnavailable, load_weights
from sds.priors.chunked_codec import GRAPH_CHUNK, GRAPH_OVERLAP, in_chunks, recomputed
from sds.priors.families import family_of_config
from sds.priors.half_precision import HALVES, halve, in_precision
from sds.priors.memory import Rows
from sds.priors.quiet_import import quiet
from sds.priors.stable_audio_modules import MASK, MASKED, build_model, conditioner_types

__all__ = ["ModelUnavailable", "StableAudioPrior", "build_model", "load_stable_audio"]

OBJECTIVES = frozenset({"v", "rectified_flow", "rf_denoiser"})
CACHED_PROMPTS = 1024
BESIDE = "input_concat_cond"  # what the library concatenates to the noisy latents

log = logging.getLogger(__name__)


def to_time(objective: str, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """The checkpoint's time t [B] and the factor z / x [B] at noise levels sigma [B]; see the
    module text.
    """
    if objective == "v":
        return torch.atan(sigma) * (2.0 / math.pi), torch.rsqrt(1.0 + sigma**2)
    return sigma / (1.0 + sigma), 1.0 / (1.0 + sigma)


def to_x0(objective: str, z: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
    """The clean latent [B, D, L] from z [B, D, L] and the network's answer v [B, D, L]; `sigma`
    broadcasts, [B, 1, 1].
    """
    if objective == "v":
        return (z - sigma * v) * torch.rsqrt(1.0 + sigma**2)
    return z - sigma / (1.0 + sigma) * v


class StableAudioPrior:
    """A `ConditionedDiffusionModelWrapper` with a diffusion transformer, as a `Prior`.

    Weights are frozen; autograd follows the caller through encode, decode and denoise. Arguments
    may be on any device; results are on the same. In another `precision` than float32 the weights
    and products of the transformer are of that type (`sds.priors.half_precision`), until it answers
    with numbers that are not finite: from then on, that answer included, it is in float32. The
    codec always is. Audio longer than `chunk` latent frames goes through the codec in pieces,
    shorter ones where a gradient is wanted; a batch goes through network and codec in as many rows
    as fit the memory (`sds.priors.memory`).
    """

    def __init__(
        self,
        model: nn.Module,
        config: Mapping[str, Any],
        *,
        name: str,
        model_hash: str = "",
        device: torch.device | str = "cpu",
        precision: torch.dtype = torch.float32,
        chunk: int = 256,
        overlap: int = 48,
    ) -> None:
        spec = config["model"]
        self._feeds = conditioner_types(config)
        entries = spec["conditioning"]["configs"]
        self._own_text = any(entry["type"] == "scorewire_text" for entry in entries)
        self.name, self.model_hash = name, model_hash
        self.device, self.precision = torch.device(device), precision
        self.chunk, self.overlap = chunk, overlap
        self.objective = str(spec["diffusion"].get("diffusion_objective", "v"))
        if self.objective not in OBJECTIVES:
            raise ModelUnavailable(
                f"the diffusion_objective of {name} is {self.objective!r}; it must be one of "
                f"{', '.join(sorted(OBJECTIVES))}."
            )
        self._model = cast(Any, model.float().eval().requires_grad_(False).to(self.device))
        settle_weight_norms(self._model)
        self._codec = self._model.pretransform
        self._codec_type = (spec.get("pretransform") or {}).get("type")
        self.sample_rate = int(config["sample_rate"])
        self.channels = int(
            self._codec.io_channels if self._codec is not None else config["audio_channels"]
        )
        self.max_seconds = config["sample_size"] / self.sample_rate
        self.family = family_of_config(config)
        # The library's own range where neither the model nor its family says one.
        low, high = config.get("sigmas", self.family.sigmas or (0.01, 100.0))
        self.sigmas = (float(low), float(high))
        self.latent_channels = int(spec["io_channels"])
        self.ratio = int(self._codec.downsampling_ratio if self._codec is not None else 1)
        self._unit = int(self._model.min_input_length)  # samples; more than ratio if patched
        self._beside: tuple[str, ...] = tuple(spec["diffusion"].get("input_concat_ids") or ())
        if self._beside:  # `sds.priors.inpainting.InpaintingPrior`
            self.inpaint_cond = self._inpaint_cond
        self._embedded: dict[tuple[str, float], Cond] = {}
        where = f"the model {name} on {self.device}"
        self._network_rows, self._codec_rows = Rows(where), Rows(f"the codec of {where}")
        if precision != torch.float32:
            halve(self.network, precision)

    @property
    def codec(self) -> Any:
        """The pretransform of stable-audio-tools; None for a model of waveforms."""
        return self._codec

    @property
    def network(self) -> nn.Module:
        """The diffusion transformer, without codec and conditioner."""
        network: nn.Module = self._model.model
        return network

    @property
    def conditioner(self) -> Any:
        """What turns prompts and seconds into `Cond`, of stable-audio-tools."""
        return self._model.conditioner

    def latent_frames(self, seconds: float) -> int:
        """Latent frames that hold `seconds` of audio, a multiple of what the model needs."""
        return math.ceil(seconds * self.sample_rate / self._unit) * self._unit // self.ratio

    def embed(self, prompts: Sequence[str], seconds: float) -> Cond:
        """Conditioning of each of B prompts, tensors [B, ...] by name, for a clip of `seconds`;
        cached.

        "" is the branch the model was trained without text on. For the library's conditioners that
        is not the embedding of an empty text: all cross-attention and prepended tokens are zeros
        (those of the duration too), the global condition keeps the duration, and
        `classifier_free_guidance` is the library's own guidance. For "scorewire_text" it is the
        empty text: its tokens, and its part of the global condition, are zeros; the duration is in
        both places. Raises `ValueError` for no prompts or seconds that are not finite and above 0.
        """
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"seconds must be finite and above 0, got {seconds}")
        if not prompts:
            raise ValueError("prompts must hold at least one prompt, got none")
        rows = [self._embed_one(prompt, float(seconds)) for prompt in prompts]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}

    def _embed_one(self, prompt: str, seconds: float) -> Cond:
        key = prompt, seconds
        if key not in self._embedded:
            given = {
                "prompt": prompt,
                "seconds": seconds,
                "whole_seconds": math.ceil(seconds),
                "zero": 0,
            }
            values = {name: given[kind] for name, kind in self._feeds.items()}
            with quiet(), torch.inference_mode(False), torch.no_grad():
                tensors = self._model.conditioner([values], self.device)
                empty = torch.zeros(1, 1, 1, device=self.device)  # `denoise` says what is given
                tensors.update({name: [empty, None] for name in self._beside})
                inputs = self._model.get_conditioning_inputs(tensors)
                self._put_readers_away()
            # The transformer drops the masks; padding is already zeros.
            names = ("cross_attn_cond", "global_cond", "prepend_cond")
            row = {name: inputs[name].float() for name in names if inputs[name] is not None}
            if prompt == "" and not self._own_text:
                for name in row.keys() - {"global_cond"}:
                    row[name] = torch.zeros_like(row[name])
            while len(self._embedded) >= CACHED_PROMPTS:
                del self._embedded[next(iter(self._embedded))]
            self._embedded[key] = row
        return self._embedded[key]

    def _inpaint_cond(self, cond: Cond, latent: Tensor, keep: Tensor) -> Cond:
        """`cond` with what is kept: latent [1, D, L] at the frames where `keep` [L] is 1."""
        mask = keep.to(self.device, torch.float32)[None, None]
        given = {MASK: mask, MASKED: latent.to(self.device, torch.float32) * mask}
        return {**cond, BESIDE: torch.cat([given[name] for name in self._beside], dim=1)}

    def _put_readers_away(self) -> None:
        """Back to the CPU with what reads prompts: T5 is asked once a prompt, and the library
        keeps it outside of the module's own parts, as `model`.
        """
        for part in self._model.conditioner.conditioners.values():
            reader = vars(part).get("model")
            if isinstance(reader, nn.Module):
                reader.to("cpu")

    def encode(self, audio: Tensor) -> Tensor:
        """Audio [B, C, T] -> latent [B, D, L], the posterior mean; the end is padded with silence.

        The library samples the posterior of a variational codec at every call; its mean is the
        first half of the encoder's channels.
        """
        if audio.ndim != 3 or audio.shape[1] != self.channels or audio.shape[-1] == 0:
            raise ValueError(f"audio must be [B, {self.channels}, T > 0], got {list(audio.shape)}")
        x = F.pad(audio.to(self.device, torch.float32), (0, -audio.shape[-1] % self._unit))

        def piece(start: int, stop: int) -> Tensor:
            return self._by_rows(self._encode, _trim(x, start, stop, self.ratio))

        return in_chunks(piece, x.shape[-1] // self.ratio, step=1, **self._pieces(x)).to(
            audio.device
        )

    def _in_graph(self, x: Tensor) -> bool:
        """Whether x needs a gradient through a codec too large to keep all that it computes."""
        return torch.is_grad_enabled() and x.requires_grad and self._codec_type == "autoencoder"

    def _pieces(self, x: Tensor) -> dict[str, int]:
        """How long the pieces of x are, and how much neighbours share, for `in_chunks`."""
        if not self._in_graph(x):
            return {"chunk": self.chunk, "overlap": self.overlap}
        shared = min(self.overlap, GRAPH_OVERLAP)
        return {"chunk": min(self.chunk, GRAPH_CHUNK), "overlap": shared}

    def _by_rows(self, apply: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply the codec to the rows of x: as many at once as fit; one by one for a gradient."""
        if self._in_graph(x):
            return recomputed(apply, x)
        return self._codec_rows.each(lambda a, b: apply(x[a:b]), len(x))

    def _encode(self, x: Tensor) -> Tensor:
        if self._codec is None:
            return x
        if self._codec_type != "autoencoder":
            return self._codec.encode(x)  # type: ignore[no-any-return]
        inner, scale = self._codec.model, self._codec.scale
        if type(inner.bottleneck).__name__ == "VAEBottleneck":
            both = inner.encode(x, skip_bottleneck=True, iterate_batch=self._codec.iterate_batch)
            return both.chunk(2, dim=1)[0] / scale  # type: ignore[no-any-return]
        drawn_on = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(drawn_on):  # whatever another bottleneck draws, the same
            torch.manual_seed(0)
            return inner.encode(x, iterate_batch=self._codec.iterate_batch) / scale  # type: ignore[no-any-return]

    def decode(self, latent: Tensor, *, like: Tensor | None = None) -> Tensor:
        """Latent [B, D, L] -> audio [B, C, T]. With `like`, as long as it, and with its phase where
        the codec has magnitudes only (the shipped spectral codec)."""
        z = latent.to(self.device, torch.float32)
        guide = None
        if like is not None and self._codec_type == "scorewire_spectral":
            guide = like.to(self.device, torch.float32).expand(len(z), -1, -1)
            guide = F.pad(guide, (0, max(0, z.shape[-1] * self.ratio - guide.shape[-1])))

        def piece(start: int, stop: int) -> Tensor:
            part = z[..., start:stop]
            if guide is None:
                out = self._by_rows(self._decode, part)
            else:
                phase = _trim(guide, start, stop, self.ratio)
                out = self._codec_rows.each(
                    lambda a, b: self._codec.decode(part[a:b], like=phase[a:b]), len(part)
                )
            return out[..., : (stop - start) * self.ratio]

        audio = in_chunks(piece, z.shape[-1], step=self.ratio, **self._pieces(z)).to(latent.device)
        if like is None:
            return audio
        short = max(0, like.shape[-1] - audio.shape[-1])
        return F.pad(audio, (0, short))[..., : like.shape[-1]]

    def _decode(self, z: Tensor) -> Tensor:
        if self._codec is None:
            return z
        if self._codec_type != "autoencoder":
            return self._codec.decode(z)  # type: ignore[no-any-return]
        inner, each = self._codec.model, self._codec.iterate_batch
        return inner.decode(z * self._codec.scale, iterate_batch=each)  # type: ignore[no-any-return]

    def denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """Denoise x [B, D, L] at noise levels sigma [B] for `cond`: D(x; sigma, cond) [B, D, L].

        A `cond` of batch 1 is shared by all; raises `ValueError` for any other than 1 or B.
        """
        for name, value in cond.items():
            if len(value) not in (1, len(x)):
                raise ValueError(f"{name} must have batch 1 or {len(x)}, got {len(value)}")
        levels = sigma.to(self.device, torch.float32).expand(len(x))
        t, scale = to_time(self.objective, levels)
        z = x.to(self.device, torch.float32) * scale[:, None, None]
        rows = {
            name: value.to(self.device).expand(len(x), *value.shape[1:])
            for name, value in cond.items()
        }
        if self._beside and BESIDE not in rows:
            rows[BESIDE] = z.new_zeros(len(z), 1 + self.latent_channels, z.shape[-1])

        def answer(a: int, b: int) -> Tensor:
            return self._answer(z[a:b], t[a:b], {name: value[a:b] for name, value in rows.items()})

        v = self._network_rows.each(answer, len(z))
        return to_x0(self.objective, z, v, levels[:, None, None]).to(x.device)

    def _answer(self, z: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """What the network says, in float32 from the first time on that its precision is not
        enough.
        """
        with in_precision(self.device, self.precision):
            v: Tensor = self._model.model(z, t, **cond).float()
        if self.precision == torch.float32 or bool(torch.isfinite(v).all()):
            return v
        if not bool(torch.isfinite(z).all()):
            return v  # the question's fault
        log.warning("%s: beyond the range of %s, in float32 now", self.name, self.precision)
        self.network.float()
        self.precision = torch.float32
        return self._answer(z, t, cond)


def _trim(audio: Tensor, start: int, stop: int, ratio: int) -> Tensor:
    return audio[..., start * ratio : stop * ratio]


def load_stable_audio(checkpoint: Checkpoint, device: str) -> StableAudioPrior:
    """Load the prior of a checkpoint found by `sds.priors.checkpoints.find`; on a GPU in float16.
    Raises `ModelUnavailable`.
    """
    conditioner_types(checkpoint.config)  # refuse before the slow part
    with torch.random.fork_rng(devices=[]):
        module = build_model(checkpoint.config, blank=True)
    digest = load_weights(module, checkpoint.weights, device)
    return StableAudioPrior(
        module,
        checkpoint.config,
        name=checkpoint.name,
        model_hash=digest,
        device=device,
        precision=torch.float16 if torch.device(device).type in HALVES else torch.float32,
    )
