"""Tiny random models of stable-audio-tools' own classes, for the tests of the adapter.

Oobleck variational autoencoder, diffusion transformer, the library's conditioners.
"""

import torch

from bench.random_model import random_model
from bench.random_model import write_model as write

__all__ = [
    "RATE",
    "RATIO",
    "config",
    "noise",
    "random_model",
    "small_config",
    "spectral_config",
    "write",
]

RATE, RATIO = 8000, 32


def config(objective="v"):
    oobleck = {"channels": 4, "c_mults": [1, 2], "strides": [4, 8], "use_snake": True}
    return {
        "model_type": "diffusion_cond",
        "sample_size": 16000,
        "sample_rate": RATE,
        "audio_channels": 2,
        "model": {
            "pretransform": {
                "type": "autoencoder",
                "iterate_batch": True,
                "scale": 0.5,
                "config": {
                    "encoder": {
                        "type": "oobleck",
                        "config": {**oobleck, "in_channels": 2, "latent_dim": 16},
                    },
                    "decoder": {
                        "type": "oobleck",
                        "config": {
                            **oobleck,
                            "out_channels": 2,
                            "latent_dim": 8,
                            "final_tanh": False,
                        },
                    },
                    "bottleneck": {"type": "vae"},
                    "latent_dim": 8,
                    "downsampling_ratio": RATIO,
                    "io_channels": 2,
                },
            },
            "conditioning": {
                "configs": [
                    {"id": "prompt", "type": "list", "config": {"options": ["bell", "drum"]}},
                    {"id": "seconds_start", "type": "int", "config": {"max_val": 8}},
                    {"id": "seconds_total", "type": "number", "config": {"max_val": 8}},
                ],
                "cond_dim": 32,
            },
            "diffusion": {
                "type": "dit",
                "diffusion_objective": objective,
                "cross_attention_cond_ids": ["prompt", "seconds_start", "seconds_total"],
                "global_cond_ids": ["seconds_start", "seconds_total"],
                "config": {
                    "io_channels": 8,
                    "embed_dim": 64,
                    "depth": 2,
                    "num_heads": 2,
                    "cond_token_dim": 32,
                    "global_cond_dim": 64,
                    "project_cond_tokens": False,
                    "transformer_type": "continuous_transformer",
                },
            },
            "io_channels": 8,
        },
    }


def small_config():
    """The shape of Stable Audio Open small: rectified flow, normalised queries and keys."""
    settings = config("rf_denoiser")
    diffusion = settings["model"]["diffusion"]
    diffusion["config"].update(project_cond_tokens=True, attn_kwargs={"qk_norm": "ln"})
    return settings


def spectral_config():
    """The shape of the shipped default: patched, with the sentence in the global condition."""
    settings = config()
    settings["sample_rate"], settings["sample_size"] = 44100, 131072
    settings["audio_channels"] = 1
    model = settings["model"]
    model["pretransform"] = {"type": "scorewire_spectral", "config": {"latent": 8, "width": 16}}
    model["conditioning"]["configs"] = [
        {"id": "prompt", "type": "scorewire_text", "config": {"max_pieces": 4}},
        {"id": "sentence", "type": "scorewire_text", "config": {"max_pieces": 0}},
        {"id": "seconds_total", "type": "number", "config": {"max_val": 8}},
    ]
    model["diffusion"]["cross_attention_cond_ids"] = ["prompt", "seconds_total"]
    model["diffusion"]["global_cond_ids"] = ["sentence", "seconds_total"]
    model["diffusion"]["config"].update(patch_size=2, global_cond_type="adaLN")
    return settings


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
