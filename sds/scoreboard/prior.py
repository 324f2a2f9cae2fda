"""What the prior makes of class words: is it the class, is it sharp, is it varied, is it new?

Ten clips of two seconds for each of 22 classes, at each guidance (20 evaluations of `tab3`; both
branches of guidance count as one). Top-1 is how often a clip is taken for its class among the 22:
by the evaluation scorer, and by an independent measure that shares nothing with prior or evaluation
scorer, simple spectral statistics and the nearest class of real recordings. Of real recordings
whose take it has not seen that measure names 83 % (mean over classes 77 %; `sds.train.reference`
prints it).

FAD is the Frechet distance to real recordings that the prior has not heard, each class weighing the
same, at most 40 of a class: of the standardised statistics, of the evaluation scorer's cosines with
the 22 class words, and of the embedding of the aiSFX trunk (its 64 principal components, in units
of the recordings' deviation), which neither prior nor evaluation scorer heard through. Class FAD is
that of one class in 4 principal components of the trunk's embedding, for the classes that DCASE
2023 task 7 shares with the corpus: dog (dog bark), footsteps, gunshot, rain, sneeze (no cough is
in it) and engine (for moving motor vehicle). Of its keyboards the corpus has one recording: left
out. Ten clips against few recordings: small differences of class FAD mean nothing.

Attack is the rise of the energy from 10 % to 90 % of its peak at the loudest onset
(`sds.metrics.attack`), of kick, snare and clock: the median of the clips, less that of the class's
recordings, whichever side has heard them.

Diversity is the mean distance between clips of a class in the standardised statistics, over that of
real recordings of the class: 1 is as varied as they are, 0 is collapse. Copying is the cosine of a
clip's statistics with the nearest recording of its class that the prior learned from, 95th
percentile, less that of recordings that it has not heard; copied is the share of clips nearer than
those 95 %. Above 0 and 0.05, clips are nearer to what it learned from than other recordings are.
Similarity above train-train is by copy detection (`sds.metrics.copy_detection`): the 95th
percentile of the clips' similarity with the nearest training recording of their class, less that of
training recordings with one another. Above 0, clips are more alike to one of them than they are.

`real recordings (held back)` are some that the evaluation scorer has not heard, and that the
independent measure has to name without their take; the prior has heard them, so that their FAD is
the least to be expected. Through the codec they have lost what latents lose. Both need
train/captions.csv in the data. `white noise` is what a bad FAD looks like.

Evaluations: how often the denoiser is asked for a clip, 5 to 50 times, at guidance 3 and from the
same noise. These rows are of every third class, so that their FAD compares with one another and
with no other row. Seconds are those of one clip of two seconds on its own.

Unseen prompts are not among the training captions; right is a clip that is taken for the class
expected. Last quarter is the energy of the last quarter of a clip over the mean of all quarters,
for steady sounds of 1, 2 and 3 seconds (or the prior's longest): 0 dB is a sound that lasts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import Tensor

from sds.datasets.recordings import Recording
from sds.datasets.reference_statistics import CLASSES, long_enough, sounds
from sds.scoreboard.board import Column, Figures, Row, Setting, Task
from sds.scoreboard.patch import evenly_spaced
from sds.scoreboard.prior_clips import (
    GUIDANCE,
    REAL,
    SWEEP,
    Sampling,
    Way,
    generated,
    has_recordings,
    heard,
    real_clips,
    seconds_of_a_clip,
    sweep,
    ways,
)
from sds.scoreboard.prior_figures import (
    Embedded,
    Recordings,
    above_train_train,
    attack,
    class_fad,
    copy_similarities,
    copying,
    diversity,
    embed,
    fad,
    fad_of_statistics,
    last_quarter_db,
    nearest_class,
    nearest_word,
    standard_statistics,
    unheard_recordings,
)
from sds.scoreboard.prompts import UNSEEN

EXPECTED = {asked.text: asked.classes[0] for asked in UNSEEN}
STEADY, DURATIONS, FEW = ("rain", "sea waves", "traffic"), (1.0, 2.0, 3.0), 4  # clips each
SHARP = ("kick", "snare", "clock")  # classes whose attacks are timed
SHARED = ("dog", "footsteps", "gunshot", "rain", "sneeze", "engine")  # with DCASE 2023 task 7
SWEPT = 8  # classes at which numbers of evaluations are compared
TIMED = ("kick", "piano", "rain")  # prompts of the clips whose seconds are taken
EVERY = "every class"
METHODS = {**GUIDANCE, **SWEEP}

COLUMNS = (
    Column("evaluation_scorer", "top-1, evaluation scorer", 2, "higher"),
    Column("independent", "top-1, statistics", 2, "higher"),
    Column("fad_statistics", "FAD, statistics", 1, "lower"),
    Column("fad_judge", "FAD, evaluation scorer", 3, "lower"),
    Column("fad_trunk", "FAD, aiSFX", 3, "lower"),
    Column("class_fad", "class FAD, aiSFX", 3, "lower"),
    Column("attack_off_ms", "attack off by, ms", 1, "lower"),
    Column("diversity", "diversity", 2, "higher"),
    Column("copying", "copying", 3, "lower"),
    Column("copied", "copied", 2, "lower"),
    Column("similarity", "similarity above train-train", 3, "lower"),
    Column("unseen_judge", "unseen, evaluation scorer", 2, "higher"),
    Column("unseen_independent", "unseen, statistics", 2, "higher"),
    Column("last_quarter_db", "last quarter, dB", 1),
    Column("seconds", "seconds a clip", 2, "lower"),
)

Clock = Callable[[], float]
"""Seconds, from any beginning."""


def suite(setting: Setting, *, clock: Clock = time.perf_counter) -> list[Task]:
    """Every class by every method, then all classes together, and what only some classes tell."""
    labels = evenly_spaced(CLASSES, setting.items)
    shared, sharp = (
        [label for label in evenly_spaced(some, setting.items) if has_recordings(setting, label)]
        for some in (SHARED, SHARP)
    )
    real = unheard_recordings(setting, [*labels, *shared])
    main, swept = ways(setting), evenly_spaced(labels, SWEPT)
    tasks = []
    for method, way in main.items():
        tasks += _naming_tasks(setting, method, way, labels, real)
    for method, way in sweep(setting).items():
        tasks += _naming_tasks(setting, method, way, swept, real, ("evaluations",))
    for method, way in main.items():
        for label in filter(way.folds, shared):
            run = partial(_class_fad, setting, way, label, real)
            tasks.append(Task(f"{label}, as in DCASE", method, run, ("class FAD",)))
        for label in filter(way.folds, sharp):
            run = partial(_attack, setting, way, label)
            tasks.append(Task(f"{label}, attack", method, run, ("attack",)))
    for method, how in METHODS.items():
        tags = ("evaluations",) if method in SWEEP else ()
        for prompt in evenly_spaced(TIMED, setting.items):
            run = partial(_seconds, setting, how, prompt, clock)
            tasks.append(Task(f"{prompt}, alone", method, run, tags))
    for method, how in GUIDANCE.items():
        for prompt in evenly_spaced(tuple(EXPECTED), setting.items):
            run = partial(_unseen, setting, how, prompt)
            tasks.append(Task(prompt, method, run, ("unseen",)))
    return tasks + _lasting_tasks(setting)


def _naming_tasks(
    setting: Setting,
    method: str,
    way: Way,
    labels: Sequence[str],
    real: Recordings,
    tags: tuple[str, ...] = (),
) -> list[Task]:
    """Each class by one method, then the classes together."""
    some = [label for label in labels if way.folds(label)]
    tasks = [Task(label, method, partial(_named, setting, way, label), tags) for label in some]
    if some:
        run = partial(_together, setting, method, way, some, real)
        tasks.append(Task(EVERY, method, run, tags))
    return tasks


def _lasting_tasks(setting: Setting) -> list[Task]:
    tasks, longest = [], setting.prior.max_seconds
    for seconds in sorted({min(seconds, longest) for seconds in DURATIONS}):
        for label in evenly_spaced(STEADY, setting.items):
            item, tags = f"{label}, {seconds:.2g} s", (f"lasting {seconds:.2g} s",)
            for method, how in GUIDANCE.items():
                run = partial(_lasting, setting, how, label, seconds)
                tasks.append(Task(item, method, run, tags))
            if long := long_enough(setting.data, heard(setting.data, label), seconds):
                run = partial(_really_lasting, setting, long, seconds)
                tasks.append(Task(item, REAL, run, tags))
    return tasks


def findings(rows: Sequence[Row]) -> list[str]:
    """What single classes say: those that fail, attacks, FAD; and what fewer evaluations cost."""
    said = []
    for method in GUIDANCE:
        own = [row for row in rows if row.method == method]
        for figure, name in (
            ("evaluation_scorer", "the evaluation scorer"),
            ("independent", "the independent measure"),
        ):
            weak = [
                f"{row.item} {row.figures[figure]:.1f}"
                for row in own
                if row.figures.get(figure, 1.0) < 0.5
            ]
            if weak:
                said.append(f"At {method}, {name} names fewer than half of: {', '.join(weak)}.")
    for method in (*GUIDANCE, REAL):
        own = [row for row in rows if row.method == method]
        if attacks := [_attack_in_words(row) for row in own if "attack_ms" in row.figures]:
            said.append(f"Attacks of {method}: {', '.join(attacks)}.")
        if classes := [_class_fad_in_words(row) for row in own if "class_fad" in row.figures]:
            said.append(f"Class FAD of {method}: {', '.join(classes)}.")
    return said + _evaluations_in_words(rows)


def _attack_in_words(row: Row) -> str:
    f = row.figures
    label = row.item.removesuffix(", attack")
    return (
        f"{label} {f['attack_ms']:.1f} ms against {f['recorded_ms']:.1f} ms of "
        f"{f['recordings']:.0f} recordings"
    )


def _class_fad_in_words(row: Row) -> str:
    f = row.figures
    label = row.item.removesuffix(", as in DCASE")
    return (
        f"{label} {f['class_fad']:.3f} ({f['clips']:.0f} clips, {f['recordings']:.0f} recordings)"
    )


def _evaluations_in_words(rows: Sequence[Row]) -> list[str]:
    """How much farther clips of 10 evaluations are from recordings than clips of 50."""
    few, many = (
        next(
            (row.figures for row in rows if row.method == method and row.item == EVERY),
            dict[str, float](),
        )
        for method in ("guidance 3, 10 evaluations", "guidance 3, 50 evaluations")
    )
    gaps = [
        f"{column.header} {100 * (few[column.name] / many[column.name] - 1):+.0f} %"
        for column in COLUMNS
        if column.name.startswith("fad_") and few.get(column.name) and many.get(column.name)
    ]
    return [f"10 evaluations against 50: {', '.join(gaps)}."] if gaps else []


def _named(setting: Setting, way: Way, label: str) -> Iterator[Figures]:
    yield {}
    clips = way.clips(label)
    x = standard_statistics(setting, clips)
    figures = {
        "evaluation_scorer": nearest_word(setting, clips).count(label) / len(clips),
        "independent": nearest_class(x, way.folds(label)).count(label) / len(clips),
    }
    if len(x) > 1:
        figures["diversity"] = diversity(x, label)
    yield figures


def _together(
    setting: Setting, method: str, way: Way, labels: Sequence[str], real: Recordings
) -> Iterator[Figures]:
    yield from _embedding(real)
    known = real.whole()
    found, embedded, alike = list[Tensor](), list[Embedded](), list[float]()
    for label in labels:
        yield {}
        clips = way.clips(label)
        found.append(standard_statistics(setting, clips))
        if known is not None:
            embedded.append(embed(setting, clips))
        if method in GUIDANCE:
            alike += copy_similarities(clips, label, setting.prior.sample_rate)
    figures: dict[str, float] = {"fad_statistics": fad_of_statistics(found, labels)}
    if known is not None:
        figures |= fad(embedded, known, labels)
    if method in GUIDANCE:
        figures |= copying(found, labels)
    if alike:
        figures["similarity"] = above_train_train(alike)
    yield figures


def _embedding(real: Recordings) -> Iterator[Figures]:
    """Embed the recordings, which takes a minute at first: a pause after each class."""
    for label in real.labels:
        yield {}
        real.one(label)


def _class_fad(setting: Setting, way: Way, label: str, real: Recordings) -> Iterator[Figures]:
    yield from _embedding(real)
    clips, known = way.clips(label), real.whole()
    recorded = known.classes.get(label) if known is not None else None
    if known is None or recorded is None or min(len(clips), len(recorded.trunk)) < 2:
        yield {}
    else:
        yield class_fad(clips, recorded, known, setting.prior.sample_rate)


def _attack(setting: Setting, way: Way, label: str) -> Iterator[Figures]:
    yield {}
    yield attack(way.clips(label), real_clips(setting, label), setting.prior.sample_rate)


def _seconds(setting: Setting, how: Sampling, prompt: str, clock: Clock) -> Iterator[Figures]:
    yield {}
    yield {"seconds": seconds_of_a_clip(setting, how, prompt, clock)}


def _unseen(setting: Setting, how: Sampling, prompt: str) -> Iterator[Figures]:
    yield {}
    clips = generated(setting, how, prompt)
    names = (
        nearest_word(setting, clips),
        nearest_class(standard_statistics(setting, clips), [None] * len(clips)),
    )
    by_evaluation_scorer, by_statistics = (
        named.count(EXPECTED[prompt]) / len(clips) for named in names
    )
    yield {"unseen_judge": by_evaluation_scorer, "unseen_independent": by_statistics}


def _lasting(setting: Setting, how: Sampling, label: str, seconds: float) -> Iterator[Figures]:
    yield {}
    yield {"last_quarter_db": last_quarter_db(generated(setting, how, label, FEW, seconds))}


def _really_lasting(
    setting: Setting, long: Sequence[Recording], seconds: float
) -> Iterator[Figures]:
    yield {}
    clips = sounds(setting.data, long, setting.prior.sample_rate, seconds)
    yield {"last_quarter_db": last_quarter_db(clips)}
