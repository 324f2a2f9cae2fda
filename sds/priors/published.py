"""What is published of the Stable Audio Open models: the shapes of their networks, as a
model_config.json of stable-audio-tools.

Written from facts of the public configurations, so that a model's memory and arithmetic can be
counted, and one of random weights be built, without the gated files.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from presets.reading import read_json
from sds.priors.checkpoints import CONFIG, HUB_ID, MAX_CONFIG, ModelUnavailable, find

RATE = 44100  # Hz
LATENT = 64  # channels
STRIDES = (2, 4, 4, 8, 8)  # their product, 2048, is the samples of a latent frame


@dataclass(frozen=True, slots=True)
class T5Shape:
    """The sizes of a T5, by the names of `transformers.T5Config`."""

    d_model: int
    d_ff: int
    num_layers: int
    num_heads: int
    d_kv: int = 64
    vocab_size: int = 32128


T5_SHAPES = {
    "t5-small": T5Shape(512, 2048, 6, 8),
    "t5-base": T5Shape(768, 3072, 12, 12),
    "t5-large": T5Shape(1024, 4096, 24, 16),
}
"""Of the text encoders of Raffel et al. 2020 (arXiv 1910.10683) that are of a usable size."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What tells one model of the family from another.

    - `objective`: what the transformer predicts, "v" or "rf_denoiser".
    - `sample_size`: samples of the longest clip; `seconds`: the most that the conditioners say.
    - `width`, `depth`, `heads`: of the transformer; `diffusion`: what else its configuration has.
    - `words`: most tokens of a prompt; `starts`: whether it is told where a clip starts.
    - `half`: whether the codec runs in half precision; `channels`: its width.
    - `cond`: numbers of a token, which are T5-base's own where it is 768.
    """

    objective: str
    sample_size: int
    seconds: int
    width: int
    depth: int
    heads: int
    diffusion: dict[str, Any]
    words: int
    starts: bool
    half: bool
    channels: int = 128
    cond: int = 768


OPEN_1_0 = Facts(
    objective="v", sample_size=2097152, seconds=512, width=1536, depth=24, heads=24,
    diffusion={"project_cond_tokens": False}, words=128, starts=True, half=False,
)  # fmt: skip
OPEN_SMALL = Facts(
    objective="rf_denoiser", sample_size=524288, seconds=256, width=1024, depth=16, heads=8,
    diffusion={"project_cond_tokens": True, "attn_kwargs": {"qk_norm": "ln"}}, words=64,
    starts=False, half=True,
)  # fmt: skip


def tiny(facts: Facts) -> Facts:
    """The same strides, kernels and conditions with some thousandth of the numbers."""
    return replace(facts, width=128, depth=2, heads=2, channels=4, cond=128)


MODELS = {
    "stable-audio-open-1.0": OPEN_1_0,
    "stable-audio-open-small": OPEN_SMALL,
    "tiny-1.0": tiny(OPEN_1_0),
    "tiny-small": tiny(OPEN_SMALL),
}
HUB = "stabilityai/"
"""The two full ones on the hub are called this and their name here."""


def published_config(name: str) -> dict[str, Any]:
    """The model_config.json of the model `name` of `MODELS`. Raises `ValueError` for another."""
    if name not in MODELS:
        raise ValueError(f"the configuration must be one of {', '.join(MODELS)}, got {name!r}")
    return model_config(MODELS[name])


def find_config(model: str) -> dict[str, Any]:
    """The model_config.json of a model, found as `sds.priors.checkpoints.find` does, but asking
    nobody: of a model of the hub from the local cache, else what is published of it. Raises
    `ModelUnavailable` for one of which nothing is here.
    """
    if Path(model).expanduser().exists() or not HUB_ID.fullmatch(model):
        return find(model).config
    from huggingface_hub import errors, hf_hub_download

    try:
        path = Path(hf_hub_download(model, CONFIG, local_files_only=True))
        return dict(read_json(path, MAX_CONFIG))
    except errors.LocalEntryNotFoundError:
        if model.removeprefix(HUB) in MODELS:
            return published_config(model.removeprefix(HUB))
        raise ModelUnavailable(
            f"{model} is not on this machine yet; ask again when it has been fetched."
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise ModelUnavailable(f"{CONFIG} of {model} cannot be read ({error}).") from error


def model_config(facts: Facts) -> dict[str, Any]:
    """A model_config.json of these facts."""
    times = (["seconds_start"] if facts.starts else []) + ["seconds_total"]
    number = {"min_val": 0, "max_val": facts.seconds}
    text = {"t5_model_name": "t5-base", "max_length": facts.words}
    return {
        "model_type": "diffusion_cond",
        "sample_size": facts.sample_size,
        "sample_rate": RATE,
        "audio_channels": 2,
        "model": {
            "pretransform": {
                "type": "autoencoder",
                "iterate_batch": True,
                "model_half": facts.half,
                "config": _codec(facts.channels),
            },
            "conditioning": {
                "configs": [
                    {"id": "prompt", "type": "t5", "config": text},
                    *({"id": each, "type": "number", "config": dict(number)} for each in times),
                ],
                "cond_dim": facts.cond,
            },
            "diffusion": {
                "type": "dit",
                "diffusion_objective": facts.objective,
                "cross_attention_cond_ids": ["prompt", *times],
                "global_cond_ids": times,
                "config": {
                    "io_channels": LATENT,
                    "embed_dim": facts.width,
                    "depth": facts.depth,
                    "num_heads": facts.heads,
                    "cond_token_dim": facts.cond,
                    "global_cond_dim": facts.cond * len(times),
                    "transformer_type": "continuous_transformer",
                    **copy.deepcopy(facts.diffusion),
                },
            },
            "io_channels": LATENT,
        },
    }


def _codec(channels: int) -> dict[str, Any]:
    """An Oobleck variational autoencoder of stereo sound."""
    oobleck = {
        "channels": channels, "c_mults": [1, 2, 4, 8, 16], "strides": list(STRIDES),
        "use_snake": True,
    }  # fmt: skip
    coder = {**oobleck, "in_channels": 2, "latent_dim": 2 * LATENT}  # mean and scale
    decoder = {**oobleck, "out_channels": 2, "latent_dim": LATENT, "final_tanh": False}
    return {
        "encoder": {"type": "oobleck", "config": coder},
        "decoder": {"type": "oobleck", "config": decoder},
        "bottleneck": {"type": "vae"},
        "latent_dim": LATENT,
        "downsampling_ratio": 2048,
        "io_channels": 2,
    }
