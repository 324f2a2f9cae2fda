"""Stable Audio Open in the layout of diffusers (`StableAudioPipeline`) as a `Prior`.

The scheduler's own preconditioning turns the network's answer into D(x; sigma): with v-prediction
and sigma_data 1 it is x / (1 + sigma^2) - sigma / sqrt(1 + sigma^2) v.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from sds.priors.base import Cond
from sds.priors.diffusers_prior import TEXT_DEVICE, DiffusersPrior
from sds.priors.families import FAMILIES

TOKENS = 128  # of a prompt, as its tokenizer pads it


class DiffusersStableAudioPrior(DiffusersPrior):
    """A `StableAudioPipeline` as a `Prior`; see `DiffusersPrior`.

    `Cond` holds `context` [B, tokens, E], the text and both ends of the clip, and `ends` [B, 1,
    2 E]. The branch of "" is zeros in `context`, as in the pipeline.
    """

    text_parts: ClassVar[tuple[str, ...]] = ("text_encoder", "projection_model")

    def __init__(self, pipeline: Any, **settings: Any) -> None:
        settings.setdefault("chunk", 256)
        super().__init__(pipeline, family=FAMILIES["stable-audio-open-1.0"], **settings)
        codec, scheduler = pipeline.vae, pipeline.scheduler.config
        self.sample_rate, self.channels = codec.config.sampling_rate, codec.config.audio_channels
        self.ratio, self.latent_channels = int(codec.hop_length), self._config("in_channels")
        self.max_seconds = self._config("sample_size") * self.ratio / self.sample_rate
        self.sigmas = (float(scheduler.sigma_min), float(scheduler.sigma_max))

    def _config(self, name: str) -> int:
        return int(self._pipeline.transformer.config[name])

    def _embed_one(self, prompt: str, seconds: float) -> Cond:
        pipe = self._pipeline
        text = pipe.encode_prompt([prompt], TEXT_DEVICE, False)
        start, end = pipe.encode_duration(0.0, seconds, TEXT_DEVICE, False, 1)
        context = torch.cat([text, start, end], 1).float()
        if prompt == "":
            context = torch.zeros_like(context)
        return {"context": context, "ends": torch.cat([start, end], 2).float()}

    def _encode(self, audio: Tensor) -> Tensor:
        latent: Tensor = self._pipeline.vae.encode(audio).latent_dist.mode()
        return latent

    def _decode(self, latent: Tensor) -> Tensor:
        audio: Tensor = self._pipeline.vae.decode(latent).sample
        return audio

    def _denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        scheduler, wide = self._pipeline.scheduler, sigma[:, None, None]
        z, t = scheduler.precondition_inputs(x, wide), scheduler.precondition_noise(sigma)
        d: Tensor = scheduler.precondition_outputs(x, self.ask(z, t, cond), wide)
        return d

    def ask(self, z: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """v [B, D, L] at z [B, D, L] and the scheduler's time t [B]."""
        from diffusers.models.embeddings import get_1d_rotary_pos_embed

        positions = get_1d_rotary_pos_embed(
            self._pipeline.rotary_embed_dim,
            torch.arange(z.shape[-1] + 1, device=z.device),
            use_real=True,
            repeat_interleave_real=False,
        )
        answer: Tensor = self.network(
            z.to(self.precision),
            t,
            encoder_hidden_states=cond["context"].to(self.precision),
            global_hidden_states=cond["ends"].to(self.precision),
            rotary_embedding=positions,
            return_dict=False,
        )[0]
        return answer.float()

    def blank_cond(self) -> Cond:
        """Tensors in the shapes of `embed` of one prompt, on the device."""
        width, ends = self._config("cross_attention_input_dim"), 2
        return {
            "context": torch.zeros(1, TOKENS + ends, width, device=self.device),
            "ends": torch.zeros(1, 1, ends * width, device=self.device),
        }
