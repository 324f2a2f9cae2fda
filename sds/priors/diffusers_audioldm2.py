"""AudioLDM 2 through diffusers (`AudioLDM2Pipeline`) as a `Prior`: mels of 16 kHz mono.

The network says the noise (or v) at discrete times, as in `sds.samplers.discrete_time`. The codec
is an autoencoder of log mel spectrograms with a vocoder behind it: what is decoded sounds alike and
is no copy, even of a sound that was only encoded, because the vocoder makes up the phase.
Latents [B, c, time, mel] are kept as [B, c mel, time].
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.priors.base import Cond
from sds.priors.checkpoints import ModelUnavailable
from sds.priors.diffusers_prior import TEXT_DEVICE, DiffusersPrior
from sds.priors.families import Family
from sds.samplers.discrete_time import time_of

AUDIOLDM2 = Family(
    "audioldm2", "AudioLDM 2", 3.5, 200, "tab3", "karras", None, False,
    "CC BY-NC-SA 4.0: not for commercial use",
)  # fmt: skip
"""The pipeline's own defaults: guidance 3.5 in 200 steps."""

WINDOW = 1024  # samples of a spectrum
FLOOR = 1e-5  # of magnitudes before the logarithm
NEW_TOKENS = 8  # of the language model, where it does not say
TEXT_TOKENS = 128
"""Tokens of the second text encoder, to which prompts are padded; a longer one is cut."""


class AudioLDM2Prior(DiffusersPrior):
    """An `AudioLDM2Pipeline` as a `Prior`; see `DiffusersPrior` and the module text.

    `Cond` holds `context` [B, 8, E], what the language model continues the prompt with, `text`
    [B, tokens, E'] and its mask `valid`. "" is embedded as any other prompt; the pipeline pads it
    to the length of the prompt that it stands beside, which moves its `context` a little.
    """

    text_parts: ClassVar[tuple[str, ...]] = (
        "text_encoder", "text_encoder_2", "projection_model", "language_model",
    )  # fmt: skip
    codec_parts: ClassVar[tuple[str, ...]] = ("vae", "vocoder")
    network_part = "unet"

    def __init__(self, pipeline: Any, **settings: Any) -> None:
        super().__init__(pipeline, family=AUDIOLDM2, **settings)
        voice, scheduler = pipeline.vocoder.config, pipeline.scheduler
        self.kind = str(scheduler.config.prediction_type)
        if self.kind not in ("epsilon", "v_prediction"):
            raise ModelUnavailable(
                f"the prediction_type of {self.name} is {self.kind!r}; it must be 'epsilon' or "
                "'v_prediction'."
            )
        self.channels, self.sample_rate = 1, int(voice.sampling_rate)
        self._hop, self._bands = math.prod(voice.upsample_rates), int(voice.model_in_dim)
        self.ratio = self._hop * pipeline.vae_scale_factor
        self._latent_bands = self._bands // pipeline.vae_scale_factor
        self.latent_channels = int(pipeline.unet.config.in_channels) * self._latent_bands
        self.max_seconds = pipeline.unet.config.sample_size * self.ratio / self.sample_rate
        abar = scheduler.alphas_cumprod.double()
        self._levels = ((1 - abar) / abar).sqrt()
        self.sigmas = (float(self._levels[0]), float(self._levels[-1]))
        self._filters = _mel_filters(self.sample_rate, self._bands).to(self.device)

    def _embed_one(self, prompt: str, seconds: float) -> Cond:
        text, valid, context = self._pipeline.encode_prompt([prompt], TEXT_DEVICE, 1, False)
        short = TEXT_TOKENS - text.shape[1]
        return {
            "context": context.float(),
            "text": F.pad(text.float(), (0, 0, 0, short)),
            "valid": F.pad(valid, (0, short)),
        }

    def _encode(self, audio: Tensor) -> Tensor:
        mel = self.mel(audio)[:, None]
        vae = self._pipeline.vae
        return self._flat(vae.encode(mel).latent_dist.mode() * vae.config.scaling_factor)

    def _decode(self, latent: Tensor) -> Tensor:
        vae = self._pipeline.vae
        mel = vae.decode(self._deep(latent) / vae.config.scaling_factor).sample
        audio: Tensor = self._pipeline.vocoder(mel[:, 0])
        return audio[:, None]

    def mel(self, audio: Tensor) -> Tensor:
        """The log mel spectrogram [B, T / hop, bands] of audio [B, 1, T] that the autoencoder was
        trained on: magnitudes of 1,024 samples, Slaney's bands up to half the rate, natural
        logarithm from 1e-5 up. T is a multiple of the hop, 160 samples at 16 kHz.
        """
        mono = audio[:, 0]
        window = torch.hann_window(WINDOW, device=mono.device)
        edge = "reflect" if mono.shape[-1] > WINDOW // 2 else "constant"
        spectrum = torch.stft(
            mono, WINDOW, self._hop, window=window, pad_mode=edge, return_complex=True
        ).abs()
        levels = torch.einsum("bft,fm->btm", spectrum, self._filters)
        return levels.clamp_min(FLOOR).log()[:, : mono.shape[-1] // self._hop]

    def _denoise(self, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        wide = sigma[:, None, None]
        scale = torch.rsqrt(1.0 + wide**2)
        t = time_of(sigma.cpu(), self._levels).float().to(x.device)
        said = self.ask(x * scale, t, cond)
        if self.kind == "epsilon":
            return x - wide * said
        return (x * scale - wide * said) * scale

    def ask(self, z: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """The noise, or v, [B, D, L] at z [B, D, L] and t [B], from 0 to 999."""
        answer = self.network(
            self._deep(z).to(self.precision),
            t,
            encoder_hidden_states=cond["context"].to(self.precision),
            encoder_hidden_states_1=cond["text"].to(self.precision),
            encoder_attention_mask_1=cond["valid"],
            return_dict=False,
        )[0]
        return self._flat(answer.float())

    def blank_cond(self) -> Cond:
        """Tensors in the shapes of `embed` of one prompt, on the device."""
        pipe, there = self._pipeline, self.device
        made, width = pipe.language_model.config, pipe.text_encoder_2.config.d_model
        new = int(getattr(made, "max_new_tokens", None) or NEW_TOKENS)
        return {
            "context": torch.zeros(1, new, made.n_embd, device=there),
            "text": torch.zeros(1, TEXT_TOKENS, width, device=there),
            "valid": torch.ones(1, TEXT_TOKENS, device=there),
        }

    def _flat(self, deep: Tensor) -> Tensor:
        return deep.transpose(2, 3).flatten(1, 2)

    def _deep(self, flat: Tensor) -> Tensor:
        count, _, frames = flat.shape
        return flat.reshape(count, -1, self._latent_bands, frames).transpose(2, 3)


def _mel_filters(rate: int, bands: int) -> Tensor:
    from torchaudio.functional import melscale_fbanks

    filters: Tensor = melscale_fbanks(
        WINDOW // 2 + 1, 0.0, rate / 2, bands, rate, norm="slaney", mel_scale="slaney"
    )
    return filters
