"""What the prior suite measures of clips: class, attack, and distance from real recordings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from sds.datasets.reference_statistics import CLASSES, Reference, reference
from sds.metrics.attack import attack_seconds
from sds.metrics.frechet import frechet
from sds.metrics.separation import level_db
from sds.metrics.spectral_statistics import Classes, statistics
from sds.scoreboard.board import Figures, Setting
from sds.scoreboard.prior_clips import COUNT, UNHEARD, real_clips
from sds.signal.audio_files import mono, resample
from sds.similarity.trunk import PEAK, RATE, load_trunk

COMPONENTS = 64  # of the trunk's embedding, where all classes are compared
FEW_COMPONENTS = 4  # where one class is: ten clips have no covariance in more


@dataclass(frozen=True, slots=True)
class Embedded:
    """Clips as the evaluation scorer hears them, `cosines` [N, 22], and as the trunk does, `trunk`
    [N, 512].
    """

    cosines: Tensor
    trunk: Tensor


@dataclass(frozen=True, slots=True)
class RealSet:
    """Recordings that the prior has not heard, embedded, class by class.

    `basis` [512, K] are the principal components of their embeddings by the trunk, less `mean`
    [512], each divided by the deviation of all: a distance of 1 is that of any recording from their
    middle.
    """

    classes: dict[str, Embedded]
    mean: Tensor
    basis: Tensor

    def components(self, embedded: Tensor, count: int) -> Tensor:
        """The first components [N, count] of embeddings [N, 512] by the trunk."""
        return (embedded - self.mean) @ self.basis[:, :count]


def embed(setting: Setting, clips: Tensor) -> Embedded:
    """Clips [B, C, T] as evaluation scorer and trunk hear them."""
    rate = setting.prior.sample_rate
    cosines = setting.evaluation_scorer.similarity(clips, rate, list(CLASSES))
    return Embedded(cosines, trunk_embedding(clips, rate))


def trunk_embedding(clips: Tensor, rate: int) -> Tensor:
    """Embedding [B, 512] of clips [B, C, T]: the trunk's features, their maximum over time, as
    aiSFX's classifiers are given.
    """
    trunk, audio = load_trunk(), resample(mono(clips), rate, RATE)
    audio = audio * (PEAK / audio.abs().amax(1, keepdim=True).clamp_min(1e-8))
    with torch.no_grad():
        return torch.cat([trunk.frames(trunk.levels(x[None])).amax(1) for x in audio])


def real_set(setting: Setting, labels: Sequence[str]) -> RealSet | None:
    """The recordings of classes that the prior has not heard; None without any."""
    clips = {label: real_clips(setting, label, UNHEARD) for label in labels}
    classes = {label: embed(setting, some) for label, some in clips.items() if len(some)}
    if sum(len(one.trunk) for one in classes.values()) < 2:
        return None
    every = torch.cat([one.trunk for one in classes.values()])
    mean = every.mean(0)
    directions = torch.linalg.svd(every - mean, full_matrices=False)[2]
    return RealSet(classes, mean, directions.T / (every - mean).square().sum(1).mean().sqrt())


def fad(found: Sequence[Embedded], real: RealSet, labels: Sequence[str]) -> Figures:
    """Frechet distances of clips of all classes from the recordings of these classes, each weighing
    the same, in two embeddings.
    """
    known = [real.classes[label] for label in labels if label in real.classes]
    weights = torch.cat([torch.full((len(one.trunk),), 1 / len(one.trunk)) for one in known])
    x, y = (torch.cat([one.trunk for one in some]) for some in (found, known))
    heard = [torch.cat([one.cosines for one in some]) for some in (found, known)]
    near, far = (real.components(some, COMPONENTS) for some in (x, y))
    return {
        "fad_judge": frechet(*heard, weights=weights),
        "fad_trunk": frechet(near, far, weights=weights),
    }


def class_fad(clips: Tensor, recorded: Embedded, real: RealSet, rate: int) -> Figures:
    """Frechet distance of clips [B, C, T] of one class from recordings of it, in few dimensions."""
    x = real.components(trunk_embedding(clips, rate), FEW_COMPONENTS)
    y = real.components(recorded.trunk, FEW_COMPONENTS)
    return {"class_fad": frechet(x, y), "clips": float(len(x)), "recordings": float(len(y))}


def fad_of_statistics(found: Sequence[Tensor], labels: Sequence[str]) -> float:
    """Frechet distance of statistics [B, K] of each class from those of recordings that the prior
    has not heard, each class weighing the same.
    """
    real = reference()
    rows = real.rows(labels, UNHEARD)
    names = [real.labels[i] for i in rows.tolist()]
    weights = torch.tensor([1 / names.count(name) for name in names])
    return frechet(torch.cat(list(found)), real.x[rows], weights=weights)


def nearest_word(setting: Setting, clips: Tensor) -> list[str]:
    """The class word that the evaluation scorer finds nearest to each of clips [B, C, T]."""
    cosines = setting.evaluation_scorer.similarity(clips, setting.prior.sample_rate, list(CLASSES))
    return [CLASSES[i] for i in cosines.argmax(1).tolist()]


def nearest_class(x: Tensor, folds: Sequence[int | None]) -> list[str]:
    """The class whose recordings, less those of the fold, are nearest to statistics x [B, K]."""
    known = [_classes(reference(), fold) for fold in folds]
    return [classes.nearest(row[None])[0] for row, classes in zip(x, known, strict=True)]


def diversity(x: Tensor, label: str) -> float:
    """Mean distance between statistics x [B, K] of a class, over that of recordings of it."""
    real = reference()
    return float(F.pdist(x).mean() / F.pdist(real.x[real.rows([label])]).mean())


def copying(found: Sequence[Tensor], labels: Sequence[str]) -> Figures:
    """How much nearer statistics [B, K] of each class are to what the prior has learned than those
    of recordings that it has not heard.
    """
    real = reference()
    near = torch.cat([nearest(x, label) for x, label in zip(found, labels, strict=True)])
    others = [nearest(real.x[real.rows([n], UNHEARD)[:COUNT]], n) for n in labels]
    limit = torch.cat(others).quantile(0.95)
    return {
        "copying": float(near.quantile(0.95) - limit),
        "copied": float((near > limit).float().mean()),
    }


def attack(clips: Tensor, recorded: Tensor, rate: int) -> Figures:
    """How far the median attack of clips [B, C, T] is from that of recordings [N, C, T], in ms."""
    here, there = (1000 * attack_seconds(some, rate).nanmedian() for some in (clips, recorded))
    if not bool(here.isfinite() & there.isfinite()):
        return {}
    return {
        "attack_off_ms": float((here - there).abs()),
        "attack_ms": float(here),
        "recorded_ms": float(there),
        "recordings": float(len(recorded)),
    }


def last_quarter_db(clips: Tensor) -> float:
    """Energy of the last quarter of clips [B, C, T] over the mean of all quarters; mean in dB."""
    last = clips[..., -(clips.shape[-1] // 4) :]
    each = [level_db(a, b) for a, b in zip(last, clips, strict=True)]
    return sum(each) / len(each) + 10 * math.log10(4)


def standard_statistics(setting: Setting, clips: Tensor) -> Tensor:
    """Statistics [B, K] of clips [B, C, T], standardised like those of recordings."""
    return reference().standard(statistics(clips, setting.prior.sample_rate))


def nearest(x: Tensor, label: str) -> Tensor:
    """Cosine [B] of statistics x [B, K] with the nearest recording that the prior has learned."""
    real = reference()
    learned = real.x[real.rows([label], ["prior"], first=False)]
    return (F.normalize(x, dim=1) @ F.normalize(learned, dim=1).T).amax(1)


@cache
def _classes(real: Reference, without: int | None) -> Classes:
    return real.classes(without)
