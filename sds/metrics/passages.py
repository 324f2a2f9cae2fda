"""Whether a piece of music is a copy of a training song: passages of 3 s, compared as band levels.

A passage is what its bands do in time: levels on 32 bands, a frame each 128 ms, each band less its
mean over the passage, so that instruments alone make nothing alike. Two passages are as alike as
the cosine of that. Training passages begin a second apart, those of an asked clip at every frame:
one of them begins within 64 ms of any copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.priors.checkpoints import read_tensors
from sds.signal.audio_files import resample
from sds.signal.band_levels import BANDS, RATE, SILENCE, band_powers, stft, to_levels

GROUP = 4  # bands of `sds.signal.band_levels` in one of these
FRAME = 8  # frames of `sds.signal.band_levels` in one of these: 128 ms
LENGTH = 24  # frames of a passage: 3.07 s
APART = 8  # frames between the beginnings of two training passages
DIM = BANDS // GROUP * LENGTH
LEVEL = 0.1  # root mean square that music is brought to
LEAST = 2.0  # norm of a passage in which something happens
ROWS = 65536  # training passages that are compared at once


@dataclass(frozen=True, slots=True)
class TrainingPassages:
    """Unit vectors [N, DIM] of training passages, and `held` [K]: how alike the nearest of them is
    to each of K songs that nothing was trained on, sorted.
    """

    vectors: Tensor
    held: Tensor


def passage_vectors(audio: Tensor, rate: int, apart: int = 1) -> Tensor:
    """Unit vectors [N, DIM] of the passages of music [T] at `rate` Hz that begin `apart` frames of
    128 ms apart; none of silence or of a clip shorter than a passage.
    """
    x = resample(audio.float(), rate, RATE) if rate != RATE else audio.float()
    x = x * (LEVEL / x.square().mean().sqrt().clamp_min(1e-6))
    power = band_powers(stft(x))
    whole = power.shape[-1] // FRAME * FRAME
    pooled = F.avg_pool2d(power[None, :, :whole], (GROUP, FRAME))[0]
    levels = to_levels(pooled).clamp_min(SILENCE)  # [32, L]
    if levels.shape[-1] < LENGTH:
        return x.new_zeros(0, DIM)
    cut = levels.unfold(1, LENGTH, apart).movedim(1, 0)  # [N, 32, LENGTH]
    cut = (cut - cut.mean(2, keepdim=True)).flatten(1)
    norms = cut.norm(dim=1, keepdim=True)
    vectors: Tensor = cut / norms.clamp_min(LEAST)
    return vectors[norms[:, 0] >= LEAST]


def nearest_passage(vectors: Tensor, training: Tensor) -> float:
    """The greatest cosine of any of vectors [N, DIM] with any of `training` [M, DIM]; 0 of none."""
    if not len(vectors) or not len(training):
        return 0.0
    return max(float((vectors @ part.float().T).max()) for part in torch.split(training, ROWS))


def read_passages(path: Path) -> TrainingPassages:
    """What `sds.train.corpus.passages` wrote. Raises `ValueError` for anything else."""
    tensors = read_tensors(path)
    vectors, held = tensors.get("vectors"), tensors.get("held")
    if vectors is None or held is None or vectors.ndim != 2 or vectors.shape[1] != DIM:
        raise ValueError(f"{path.name} must hold vectors [N, {DIM}] and held [K]")
    return TrainingPassages(vectors, held)
