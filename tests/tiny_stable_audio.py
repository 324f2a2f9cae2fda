"""Tiny random models of stable-audio-tools' own classes, for the tests of the adapter.

Oobleck variational autoencoder, diffusion transformer, the library's conditioners. Zero-initialised
branches are randomised, or the untrained transformer would ignore its text.
"""

import json

import torch
from safetensors.torch import save_file

from sds.priors.stable_audio import build_model

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


def random_model(settings):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(settings)
        with torch.no_grad():
            for weight in model.model.parameters():
                if not weight.abs().max():
                    weight.normal_(0, 0.1)
    return model.eval()


def write(folder, settings, model):
    folder.mkdir(exist_ok=True)
    (folder / "model_config.json").write_text(json.dumps(settings))
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
