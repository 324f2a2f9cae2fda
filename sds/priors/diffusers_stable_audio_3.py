"""Stable Audio 3 through diffusers (`StableAudio3Pipeline`, `AutoencoderSAME`) as a `Prior`.

A rectified flow: z = (1 - t) x0 + t n, v = n - x0, sigma = t / (1 - t), so that t = sigma / (1 +
sigma), z = x / (1 + sigma) and z - t v = x0. The base models are that and nothing more;
post-trained ones answer in eight steps ("ping-pong": each D is noised anew) without guidance. Which
one it is, the scheduler's `stochastic_sampling` says.

The network takes a second input at every latent frame, what is kept of a sound: a mask, 1 where it
is kept, and its latent there (Stable Audio 3 report, arXiv 2605.17991). A projection of it is added
in each block. Where nothing is kept both are zeros. The makers' program gives the network these
zeros for text alone too, as in training; diffusers' text pipeline leaves the input out, which is
another function as soon as the projection's biases are not zero. Here zeros are given: D is that of
`StableAudio3InpaintPipeline` with nothing kept.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from sds.priors.base import Cond
from sds.priors.diffusers_prior import TEXT_DEVICE, DiffusersPrior
from sds.priors.families import FAMILIES

LOG_SNR = (-6.2, 2.0)
"""Of log((1 - t) / t) at the ends of the pipeline's noise levels: sigma is exp(-it)."""

TOKENS = 256  # of a prompt, as the pipeline reads it

LONGEST = {"small": 120.0, "medium": 380.0}  # seconds, as published
SMALL_CODEC = 128  # base channels of SAME-S, which the small models have; SAME-L has 256


class StableAudio3Prior(DiffusersPrior):
    """A `StableAudio3Pipeline` as a `Prior`; see `DiffusersPrior` and the module text.

    `Cond` holds `context` [B, tokens, E] and its mask `valid`, `duration` [B, E] and, where
    something is kept, `kept` [B, 1 + D, L].
    """

    text_parts: ClassVar[tuple[str, ...]] = ("text_encoder", "duration_embedder")

    def __init__(self, pipeline: Any, **settings: Any) -> None:
        codec = pipeline.vae.config
        reach = max(codec.encoder_transformer_depths) * codec.sliding_window + 1
        settings.setdefault("chunk", 128)
        settings.setdefault("overlap", 3 * reach)
        post_trained = bool(pipeline.scheduler.config.stochastic_sampling)
        row = FAMILIES["stable-audio-3" if post_trained else "stable-audio-3-base"]
        super().__init__(pipeline, family=row, **settings)
        self.sample_rate, self.channels = int(codec.sampling_rate), int(codec.audio_channels)
        self.ratio, self.latent_channels = int(pipeline.vae.downsampling_ratio), codec.latent_dim
        size = "small" if codec.encoder_channels <= SMALL_CODEC else "medium"
        self.max_seconds = min(LONGEST[size], float(pipeline.duration_embedder.config.max_val))
        self.sigmas = (math.exp(-LOG_SNR[1]), math.exp(-LOG_SNR[0]))
        self._times = int(pipeline.scheduler.config.num_train_timesteps)
        beside = int(pipeline.transformer.config.local_add_cond_dim)
        self._inpaints = (
            beside == 1 + self.latent_channels and pipeline.transformer.config.patch_size == 1
        )

    def _embed_one(self, prompt: str, seconds: float) -> Cond:
        pipe = self._pipeline
        text, valid = pipe.encode_prompt([prompt], TEXT_DEVICE, 1)
        duration = pipe.encode_duration(seconds, TEXT_DEVICE, 1, 1)
        context, valid = pipe.prepare_cross_attention(text, valid, duration)
        return {"context": context.float(), "valid": valid, "duration": duration.float()}

    def inpaint_cond(self, cond: Cond, latent: Tensor, keep: Tensor) -> Cond:
        """`cond` of B prompts with what is to be kept of a sound: its latent [1 or B, D, L] at the
        frames where `keep` [L] or [1 or B, 1, L] is 1; where it is 0 the model fills in.

        What `StableAudio3InpaintPipeline` gives its network. The frames that are kept come out
        close to `latent`, not equal to it. Raises `ValueError` for shapes that do not fit, and for
        a model that was not made for it.
        """
        if not self._inpaints:
            raise ValueError(f"the model {self.name} takes no sound to keep beside the noise")
        if latent.ndim != 3 or latent.shape[1] != self.latent_channels:
            raise ValueError(
                f"latent must be [1 or B, {self.latent_channels}, L], got {list(latent.shape)}"
            )
        mask = keep.to(latent)
        mask = mask[None, None] if mask.ndim == 1 else mask
        if mask.ndim != 3 or mask.shape[1] != 1 or mask.shape[-1] != latent.shape[-1]:
            raise ValueError(
                f"keep must be [{latent.shape[-1]}] or [1 or B, 1, {latent.shape[-1]}], "
                f"got {list(keep.shape)}"
            )
        count = max(len(cond["context"]), len(latent), len(mask))
        kept = torch.cat([mask.expand(len(latent), -1, -1), latent * mask], 1)
        return {**cond, "kept": kept.expand(count, -1, -1)}

    def _encode(self, audio: Tensor) -> Tensor:
        latent: Tensor = self._pipeline.vae.encode(audio).latents
        return latent

    def _decode(self, latent: Tensor) -> Tensor:
        audio: Tensor = self._pipeline.vae.decode(latent).sample
        return audio

    def _denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        t, wide = sigma / (1.0 + sigma), sigma[:, None, None]
        z = x / (1.0 + wide)
        return z - t[:, None, None] * self.ask(z, t * self._times, cond)

    def ask(self, z: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """v [B, D, L] at z [B, D, L] and t [B] of the network's scale."""
        kept = cond.get("kept")
        if kept is None and self._inpaints:
            kept = z.new_zeros(len(z), 1 + self.latent_channels, z.shape[-1])
        v: Tensor = self.network(
            z.to(self.precision),
            t,
            encoder_hidden_states=cond["context"].to(self.precision),
            global_hidden_states=cond["duration"].to(self.precision),
            encoder_attention_mask=cond["valid"],
            local_add_cond=None if kept is None else kept.to(self.precision),
            return_dict=False,
        )[0]
        return v.float()

    def blank_cond(self) -> Cond:
        """Tensors in the shapes of `embed` of one prompt, on the device."""
        network, there = self._pipeline.transformer.config, self.device
        return {
            "context": torch.zeros(1, TOKENS + 1, network.cond_token_dim, device=there),
            "valid": torch.ones(1, TOKENS + 1, device=there),
            "duration": torch.zeros(1, network.global_cond_dim, device=there),
        }
