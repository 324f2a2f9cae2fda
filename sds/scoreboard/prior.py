"""What the prior makes of class words: is it the class, is it varied, is it new?

Ten clips of two seconds for each of 22 classes, at each guidance (30 steps of `tab3`). Top-1 is how
often a clip is taken for its class among the 22: by the evaluation scorer, and by an independent
measure that shares nothing with prior or evaluation scorer, simple spectral statistics and the
nearest class of real recordings. Of real recordings whose take it has not seen that measure names
83 % (mean over classes 77 %; `sds.train.reference` prints it).

FAD is the Frechet distance to real recordings that the prior has not heard, each class weighing the
same: of the standardised statistics, and of the evaluation scorer's cosines with the 22 class
words. Diversity is the mean distance between clips of a class in the standardised statistics, over
that of real recordings of the class: 1 is as varied as they are, 0 is collapse. Copying is the
cosine of a clip's statistics with the nearest recording of its class that the prior learned from,
95th percentile, less that of recordings that it has not heard; copied is the share of clips nearer
than those 95 %. Above 0 and 0.05, clips are nearer to what it learned from than other recordings
are.

`real recordings (held back)` are some that the evaluation scorer has not heard, and that the
independent measure has to name without their take; the prior has heard them, so that their FAD is
the least to be expected. Through the codec they have lost what latents lose. Both need
train/captions.csv in the data. `white noise` is what a bad FAD looks like.

Unseen prompts are not among the training captions; right is a clip that is taken for the class
expected. Last quarter is the energy of the last quarter of a clip over the mean of all quarters,
for steady sounds of 1, 2 and 3 seconds (or the prior's longest): 0 dB is a sound that lasts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sds.datasets.clips import Split
from sds.datasets.recordings import Recording
from sds.datasets.reference_statistics import (
    CLASSES,
    Reference,
    fold_of,
    long_enough,
    recordings,
    reference,
    sounds,
)
from sds.metrics.frechet import frechet
from sds.metrics.separation import level_db
from sds.metrics.spectral_statistics import SECONDS, Classes, statistics
from sds.priors.base import Prior
from sds.priors.sampling import generate
from sds.scoreboard.board import Column, Figures, Row, Setting, Task
from sds.scoreboard.patch import UNSEEN, evenly_spaced
from sds.signal.audio_files import with_channels

COUNT = 10  # clips a class
STEPS = 30
GUIDANCE = {"guidance 3": 3.0, "guidance 1": 1.0}
EXPECTED = dict(zip(UNSEEN, ("metal", "kick", "bird"), strict=True))
STEADY, DURATIONS, FEW = ("rain", "sea waves", "traffic"), (1.0, 2.0, 3.0), 4  # clips each
REAL, CODED, NOISE = (
    "real recordings (held back)",
    "real recordings through the codec",
    "white noise",
)
EVERY = "every class"
UNHEARD: tuple[Split, ...] = (
    "evaluation_scorer",
    "held",
)  # sides of recordings that the prior has not heard

COLUMNS = (
    Column("evaluation_scorer", "top-1, evaluation scorer", 2, "higher"),
    Column("independent", "top-1, statistics", 2, "higher"),
    Column("fad_statistics", "FAD, statistics", 1, "lower"),
    Column("fad_judge", "FAD, evaluation scorer", 3, "lower"),
    Column("diversity", "diversity", 2, "higher"),
    Column("copying", "copying", 3, "lower"),
    Column("copied", "copied", 2, "lower"),
    Column("unseen_judge", "unseen, evaluation scorer", 2, "higher"),
    Column("unseen_independent", "unseen, statistics", 2, "higher"),
    Column("last_quarter_db", "last quarter, dB", 1),
)


@dataclass(frozen=True, slots=True)
class Way:
    """A method: clips [B, C, T] of a class, and the fold of each that the measure must not know."""

    clips: Callable[[str], Tensor]
    folds: Callable[[str], Sequence[int | None]]


@dataclass(frozen=True, slots=True)
class Weighed:
    """Embeddings x [N, K] of real recordings and their weights [N]."""

    x: Tensor
    weights: Tensor


def suite(setting: Setting) -> list[Task]:
    """Every class by every method, then all classes together, unseen prompts, and durations."""
    labels = evenly_spaced(CLASSES, setting.items)
    real_cosines = cache(partial(_real_cosines, setting, labels))
    tasks = []
    for method, way in ways(setting).items():
        some = [label for label in labels if way.folds(label)]
        tasks += [Task(label, method, partial(_named, setting, way, label)) for label in some]
        if some:
            run = partial(_together, setting, method, way, some, real_cosines)
            tasks.append(Task(EVERY, method, run))
    for method, scale in GUIDANCE.items():
        for prompt in evenly_spaced(UNSEEN, setting.items):
            run = partial(_unseen, setting, scale, prompt)
            tasks.append(Task(prompt, method, run, ("unseen",)))
    longest = setting.prior.max_seconds
    for seconds in sorted({min(seconds, longest) for seconds in DURATIONS}):
        for label in evenly_spaced(STEADY, setting.items):
            item, tags = f"{label}, {seconds:.2g} s", (f"lasting {seconds:.2g} s",)
            for method, scale in GUIDANCE.items():
                run = partial(_lasting, setting, scale, label, seconds)
                tasks.append(Task(item, method, run, tags))
            if long := long_enough(setting.data, _real(setting.data, label), seconds):
                run = partial(_really_lasting, setting, long, seconds)
                tasks.append(Task(item, REAL, run, tags))
    return tasks


def findings(rows: Sequence[Row]) -> list[str]:
    """Which classes fail: those that a measure names less than half of the time."""
    said = []
    for method in GUIDANCE:
        for figure, name in (
            ("evaluation_scorer", "the evaluation scorer"),
            ("independent", "the independent measure"),
        ):
            weak = [
                f"{row.item} {row.figures[figure]:.1f}"
                for row in rows
                if row.method == method and row.figures.get(figure, 1.0) < 0.5
            ]
            if weak:
                said.append(f"At {method}, {name} names fewer than half of: {', '.join(weak)}.")
    return said


def ways(setting: Setting) -> dict[str, Way]:
    """The methods by name; those of real recordings only where there are some."""
    prior = setting.prior
    samples = round(_seconds(prior) * prior.sample_rate)

    def new(label: str) -> list[int | None]:
        return [None] * COUNT

    def noise(label: str) -> Tensor:
        generator = setting.generator(NOISE, label)
        return torch.randn(COUNT, prior.channels, samples, generator=generator)

    def real(label: str) -> Tensor:
        some = sounds(setting.data, _real(setting.data, label), prior.sample_rate, SECONDS)
        return with_channels(some, prior.channels)

    def coded(label: str) -> Tensor:
        def pass_through() -> Tensor:
            back = [prior.decode(prior.encode(one[None])) for one in real(label)]
            return torch.cat(back)[..., :samples]

        return _cached_audio(setting.scratch / "prior" / "coded" / f"{label}.npy", pass_through)

    def folds(label: str) -> list[int | None]:
        return [fold_of(recording) for recording in _real(setting.data, label)]

    found = {
        method: Way(partial(_generate, setting, scale, COUNT), new)
        for method, scale in GUIDANCE.items()
    }
    if any(_real(setting.data, label) for label in CLASSES):
        found |= {REAL: Way(real, folds), CODED: Way(coded, folds)}
    return found | {NOISE: Way(noise, new)}


def nearest_word(setting: Setting, clips: Tensor) -> list[str]:
    """The class word that the evaluation scorer finds nearest to each of clips [B, C, T]."""
    cosines = setting.evaluation_scorer.similarity(clips, setting.prior.sample_rate, list(CLASSES))
    return [CLASSES[i] for i in cosines.argmax(1).tolist()]


def nearest_class(x: Tensor, folds: Sequence[int | None]) -> list[str]:
    """The class whose recordings, less those of the fold, are nearest to statistics x [B, K]."""
    known = [_classes(reference(), fold) for fold in folds]
    return [classes.nearest(row[None])[0] for row, classes in zip(x, known, strict=True)]


def _named(setting: Setting, way: Way, label: str) -> Iterator[Figures]:
    yield {}
    clips, real = way.clips(label), reference()
    x = _statistics(setting, clips)
    figures = {
        "evaluation_scorer": nearest_word(setting, clips).count(label) / len(clips),
        "independent": nearest_class(x, way.folds(label)).count(label) / len(clips),
    }
    if len(x) > 1:
        real_spread = F.pdist(real.x[real.rows([label])]).mean()
        figures["diversity"] = float(F.pdist(x).mean() / real_spread)
    yield figures


def _together(
    setting: Setting,
    method: str,
    way: Way,
    labels: Sequence[str],
    real_cosines: Callable[[], Weighed | None],
) -> Iterator[Figures]:
    real, rate = reference(), setting.prior.sample_rate
    found, cosines = [], []
    for label in labels:
        yield {}
        clips = way.clips(label)
        found.append(_statistics(setting, clips))
        cosines.append(setting.evaluation_scorer.similarity(clips, rate, list(CLASSES)))
    rows = real.rows(labels, UNHEARD)
    weights = _weights([real.labels[i] for i in rows.tolist()])
    figures = {"fad_statistics": frechet(torch.cat(found), real.x[rows], weights=weights)}
    if known := real_cosines():
        figures["fad_judge"] = frechet(torch.cat(cosines), known.x, weights=known.weights)
    if method in GUIDANCE:
        near = torch.cat([_nearest(x, label) for x, label in zip(found, labels, strict=True)])
        others = [_nearest(real.x[real.rows([n], UNHEARD)[:COUNT]], n) for n in labels]
        limit = torch.cat(others).quantile(0.95)
        figures["copying"] = float(near.quantile(0.95) - limit)
        figures["copied"] = float((near > limit).float().mean())
    yield figures


def _unseen(setting: Setting, scale: float, prompt: str) -> Iterator[Figures]:
    yield {}
    clips = _generate(setting, scale, COUNT, prompt)
    names = (
        nearest_word(setting, clips),
        nearest_class(_statistics(setting, clips), [None] * len(clips)),
    )
    by_evaluation_scorer, by_statistics = (
        named.count(EXPECTED[prompt]) / len(clips) for named in names
    )
    yield {"unseen_judge": by_evaluation_scorer, "unseen_independent": by_statistics}


def _lasting(setting: Setting, scale: float, label: str, seconds: float) -> Iterator[Figures]:
    yield {}
    clips = _generate(setting, scale, FEW, label, seconds)
    yield {"last_quarter_db": last_quarter_db(clips)}


def _really_lasting(
    setting: Setting, long: Sequence[Recording], seconds: float
) -> Iterator[Figures]:
    yield {}
    clips = sounds(setting.data, long, setting.prior.sample_rate, seconds)
    yield {"last_quarter_db": last_quarter_db(clips)}


def last_quarter_db(clips: Tensor) -> float:
    """Energy of the last quarter of clips [B, C, T] over the mean of all quarters; mean in dB."""
    last = clips[..., -(clips.shape[-1] // 4) :]
    each = [level_db(a, b) for a, b in zip(last, clips, strict=True)]
    return sum(each) / len(each) + 10 * math.log10(4)


def _generate(
    setting: Setting, scale: float, count: int, prompt: str, seconds: float = SECONDS
) -> Tensor:
    """Clips of a prompt, made once; the noise is the same at every guidance."""
    seconds = min(seconds, setting.prior.max_seconds)
    path = setting.scratch / "prior" / f"{scale:g}" / f"{prompt}, {seconds:.2g} s, {count}.npy"
    generator = setting.generator("prior", prompt, seconds)
    return _cached_audio(path, partial(generate, setting.prior, [prompt] * count, seconds,
                               steps=STEPS, scale=scale, generator=generator))  # fmt: skip


def _cached_audio(path: Path, make: Callable[[], Tensor]) -> Tensor:
    """What `make` returns, audio [B, C, T] with a peak of 1, from or to an int16 file."""
    if not path.is_file():
        with torch.no_grad():
            audio = make()
        peak = audio.abs().amax((1, 2), keepdim=True).clamp_min(1e-8)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".partial")
        with open(unfinished, "wb") as file:
            np.save(file, (audio / peak * 32767).round().to(torch.int16).numpy())
        unfinished.replace(path)
    return torch.from_numpy(np.load(path)).float() / 32767


@cache
def _real(data: Path, label: str) -> tuple[Recording, ...]:
    """At most `COUNT` recordings of a class that the evaluation scorer has not heard."""
    return tuple(recordings(data, [label], ["prior"])[:COUNT])


@cache
def _classes(real: Reference, without: int | None) -> Classes:
    return real.classes(without)


def _real_cosines(setting: Setting, labels: Sequence[str]) -> Weighed | None:
    """The evaluation scorer's cosines of the recordings that the prior has not heard, None without
    any.
    """
    rate, rows = setting.prior.sample_rate, recordings(setting.data, labels, UNHEARD)
    if len(rows) < 2:
        return None
    cosines = [
        setting.evaluation_scorer.similarity(
            sounds(setting.data, [row], rate, SECONDS), rate, list(CLASSES)
        )
        for row in rows
    ]
    return Weighed(torch.cat(cosines), _weights([row.label for row in rows]))


def _weights(labels: Sequence[str]) -> Tensor:
    """Of each row, so that all classes weigh the same."""
    return torch.tensor([1 / labels.count(label) for label in labels])


def _statistics(setting: Setting, clips: Tensor) -> Tensor:
    return reference().standard(statistics(clips, setting.prior.sample_rate))


def _nearest(x: Tensor, label: str) -> Tensor:
    """Cosine [B] of statistics x [B, K] with the nearest recording that the prior has learned."""
    real = reference()
    learned = real.x[real.rows([label], ["prior"], first=False)]
    return (F.normalize(x, dim=1) @ F.normalize(learned, dim=1).T).amax(1)


def _seconds(prior: Prior) -> float:
    return min(SECONDS, prior.max_seconds)
