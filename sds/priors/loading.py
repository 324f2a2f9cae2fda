"""Load a prior by name: a checkpoint of stable-audio-tools, a complex-spectrogram model, or a
pipeline of diffusers.
"""

from __future__ import annotations

import torch

from sds.priors.base import Prior
from sds.priors.checkpoints import find
from sds.priors.diffusers_loading import find_diffusers, load_diffusers
from sds.priors.stable_audio import load_stable_audio

COMPLEX_SPECTROGRAM = "complex_spectrogram"  # model_type of ours


def load_prior(model: str = "default", *, device: str | None = None) -> Prior:
    """Load the prior called "default" or "edm", or in a folder, or on the hub ("owner/name").

    `device` is "cpu", "cuda" or "mps"; None takes the GPU if there is one. Raises
    `ModelUnavailable` with one sentence. Torch's generators and global switches stay as they were.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    where = device or next(kind for kind, found in there.items() if found)
    kind = where.split(":")[0]
    if kind not in there:
        raise ValueError(f"device must be 'cpu', 'cuda' or 'mps', got {device!r}")
    if not there[kind]:
        raise ValueError(
            f"device is {device!r}, but torch finds no {kind.upper()} GPU here; use 'cpu'"
        )
    if (pipeline := find_diffusers(model)) is not None:
        return load_diffusers(pipeline, where)
    checkpoint = find(model)
    if checkpoint.config["model_type"] == COMPLEX_SPECTROGRAM:
        # imports stable-audio-tools
        from sds.priors.complex_spectrogram import load_complex_spectrogram

        return load_complex_spectrogram(checkpoint, where)
    return load_stable_audio(checkpoint, where)
