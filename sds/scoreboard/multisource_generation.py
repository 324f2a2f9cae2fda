"""What the model of four stems makes of reserved songs: how near to real ones, as asked, copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from sds.datasets.reference_statistics import reference
from sds.metrics.frechet import frechet
from sds.metrics.passages import (
    TrainingPassages,
    nearest_passage,
    passage_vectors,
    read_passages,
)
from sds.metrics.separation import level_db
from sds.metrics.spectral_statistics import statistics
from sds.multitrack.base import STEMS
from sds.scoreboard.board import Figures, Row
from sds.scoreboard.multisource_clips import Clip, Songs, added, generated, letters, tracks
from sds.scoreboard.multisource_separation import PROMPTS
from sds.scoreboard.musicnn import load_musicnn
from sds.scoreboard.prior_figures import trunk_embedding
from sds.scoreboard.separate import SILENT_DB

ARRANGED = 6  # clips of which each arrangement is made
WINDOW = 3.0  # seconds that are embedded at once
COMPONENTS, FEW_COMPONENTS = 12, 8  # of the embeddings of whole mixtures, and of arrangements
PASSAGES = "training_passages.safetensors"
REAL, SHUFFLED, GENERATED = "real", "shuffled stems", "generated"
HELD = "held-back songs, real"
EVERY = "every clip"


# How near sets of mixtures are to one another.


def _musicnn(audio: Tensor, rate: int) -> Tensor:
    network = load_musicnn()
    if network is None:
        raise ValueError("musicnn is not installed")
    return network.embed(audio, rate)


def _statistics(audio: Tensor, rate: int) -> Tensor:
    return reference().standard(statistics(audio, rate))


def ears() -> Mapping[str, Callable[[Tensor, int], Tensor]]:
    """The embeddings that mixtures are compared in: audio [B, C, T] at a rate -> [B, K]."""
    found = {"trunk": trunk_embedding, "statistics": _statistics}
    return found if load_musicnn() is None else {**found, "musicnn": _musicnn}


def embed(name: str, mixtures: Sequence[Tensor], rate: int) -> Tensor:
    """Embeddings [N, K] of the windows of 3 s of mixtures, each [T] at `rate` Hz."""
    size = round(WINDOW * rate)
    cut = [torch.split(mix[: max(1, len(mix) // size) * size], size) for mix in mixtures]
    return torch.cat([ears()[name](part[None, None], rate) for parts in cut for part in parts])


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Where an embedding of real mixtures lies: `mean` [K], and principal components `basis` [K, D]
    in units of the deviation of all.
    """

    mean: Tensor
    basis: Tensor

    def components(self, x: Tensor, count: int) -> Tensor:
        """The first components [N, count] of embeddings [N, K]."""
        return (x - self.mean) @ self.basis[:, :count]


def space(x: Tensor) -> Space:
    """The space of embeddings x [N, K]."""
    mean = x.mean(0)
    directions = torch.linalg.svd(x - mean, full_matrices=False)[2]
    return Space(mean, directions.T / (x - mean).square().sum(1).mean().sqrt().clamp_min(1e-9))


@lru_cache(maxsize=32)
def real_embedding(songs: Songs, name: str, some: tuple[Clip, ...]) -> Tensor:
    """Embeddings [N, K] of the mixtures of some clips."""
    return embed(name, [tracks(clip, songs.rate).sum(0) for clip in some], songs.rate)


@lru_cache(maxsize=8)
def real_space(songs: Songs, name: str) -> Space:
    """The space of the known clips' mixtures in the embedding `name`."""
    return space(real_embedding(songs, name, songs.known))


def distances(
    songs: Songs, mixtures: Sequence[Tensor], real: tuple[Clip, ...], count: int
) -> dict[str, float]:
    """Frechet distance of mixtures [T] from those of real clips in the first `count` components of
    each embedding; none of fewer than two windows.
    """
    figures = {}
    for name in ears():
        here = real_space(songs, name)
        sets = embed(name, mixtures, songs.rate), real_embedding(songs, name, real)
        if min(map(len, sets)) > 1:
            x, y = (here.components(one, count) for one in sets)
            figures[name] = frechet(x, y)
    return figures


def fad(songs: Songs, method: str) -> Iterator[Figures]:
    """Frechet distance of real mixtures, of mixtures of other songs' stems or of generated ones
    from those of the known clips.
    """
    mixtures = []
    for index, clip in enumerate(songs.asked):
        yield {}
        if method == GENERATED:
            stems, _ = yield from generated(songs.setting, clip)
            mixtures.append(stems.sum(0))
        elif method == SHUFFLED:
            mixtures.append(sum_of_songs(songs, index))
        else:
            mixtures.append(tracks(clip, songs.rate).sum(0))
    found = distances(songs, mixtures, songs.known, COMPONENTS)
    yield {f"fad_{name}": value for name, value in found.items()}


def sum_of_songs(songs: Songs, index: int) -> Tensor:
    """A mixture [T] of stems of four songs: the bass of the clip `index`, the drums of the next."""
    some = songs.asked
    parts = [tracks(some[(index + k) % len(some)], songs.rate)[k] for k in range(len(STEMS))]
    return torch.stack(parts).sum(0)


def sub_fad(songs: Songs, add: Sequence[str]) -> Iterator[Figures]:
    """Frechet distance between mixtures in which stems `add` were made by the model, or are those
    of another song, and the true mixtures of the same clips.
    """
    some, rows = songs.full[:ARRANGED], [STEMS.index(stem) for stem in add]
    made, foreign, seconds = list[Tensor](), list[Tensor](), list[float]()
    for index, clip in enumerate(some):
        own = tracks(clip, songs.rate)
        stems, took = yield from added(songs.setting, clip, add)
        given = own.sum(0) - own[rows].sum(0)
        other = tracks(some[(index + 1) % len(some)], songs.rate)[rows].sum(0)
        made.append(given + stems.sum(0))
        foreign.append(given + other)
        seconds.append(took)
    yield {}
    here = distances(songs, made, some, FEW_COMPONENTS)
    yield {}
    there = distances(songs, foreign, some, FEW_COMPONENTS)
    yield {
        **{f"sub_fad_{name}": value for name, value in here.items()},
        **{f"sub_fad_{name}_shuffled": value for name, value in there.items()},
        "seconds": fmean(seconds),
    }


# Whether it is as asked, and whether it is a copy.


def made(songs: Songs, clip: Clip, method: str) -> Iterator[Figures]:
    """What the evaluation scorer says of a clip, real or generated by its caption, and how near its
    nearest training passage is.
    """
    yield {}
    stems, figures = tracks(clip, songs.rate), dict[str, float]()
    if method == GENERATED:
        stems, figures["seconds"] = yield from generated(songs.setting, clip)
    mix, scorer = stems.sum(0), songs.setting.evaluation_scorer
    captions = [one.caption for one in songs.asked]
    if clip.caption and len(captions) > 1:
        cosines = scorer.similarity(mix[None, None], songs.rate, captions)[0].tolist()
        own = captions.index(clip.caption)
        figures["match"] = cosines[own]
        others = [c for c, text in zip(cosines, captions, strict=True) if text != clip.caption]
        if others:
            figures["match_others"] = fmean(others)
    yield {}
    loud = [k for k, stem in enumerate(stems) if level_db(stem, mix) > SILENT_DB]
    if loud:
        named = scorer.similarity(stems[loud][:, None], songs.rate, list(PROMPTS)).argmax(1)
        figures["named"] = fmean(float(k == n) for k, n in zip(loud, named.tolist(), strict=True))
    yield {}
    if (index := training_passages(songs.setting.data)) is not None:
        near = nearest_passage(passage_vectors(mix, songs.rate), index.vectors)
        figures["nearest"] = near
        if len(index.held):
            figures["copied"] = float(near > float(index.held.quantile(0.95)))
    yield figures


@lru_cache(maxsize=1)
def training_passages(data: Path) -> TrainingPassages | None:
    """The passages of the training songs; None where the data has none."""
    return read_passages(data / PASSAGES) if (data / PASSAGES).is_file() else None


def held_back(index: TrainingPassages) -> Iterator[Figures]:
    """How near songs of the corpus that nothing was trained on come to training passages."""
    limit = index.held.quantile(0.95)
    yield {
        "nearest": float(index.held.mean()),
        "copied": float((index.held > limit).float().mean()),
    }


def findings(rows: Sequence[Row]) -> list[str]:
    """Which arrangements are nearer to the true mixtures than with another song's stems."""
    said = []
    for key, ear in (("trunk", "aiSFX"), ("statistics", "statistics"), ("musicnn", "musicnn")):
        near, far = f"sub_fad_{key}", f"sub_fad_{key}_shuffled"
        own_rows = [row for row in rows if near in row.figures and far in row.figures]
        bad = [row.method for row in own_rows if row.figures[near] >= row.figures[far]]
        if own_rows:
            said.append(
                f"Sub-FAD ({ear}) is below that of another song's stems in "
                f"{len(own_rows) - len(bad)} of {len(own_rows)} arrangements"
                f"{': not in ' + ', '.join(bad) if bad else ''}."
            )
    return said


def arrangement(add: Sequence[str]) -> str:
    """The method of an arrangement, by the stems that are added."""
    return f"adds {letters(add)}"
