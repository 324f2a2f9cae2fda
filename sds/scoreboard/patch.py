"""Prompt to patch: each method on each caption and instrument, in the time that `default` takes.

Every method begins with the same random patch, the match "before", and keeps the patch that the
search scorer likes best; what is reported is the evaluation scorer's, who chose nothing. `default`
runs first and to its end; the others stop after the step in which its seconds are over, or earlier
when they are done. Seconds are those of the steps: loading models and scoring are not in them.
Steps are of descent, of 8 patches looked at, or generations.

    random patch       the first patch
    best of 64         the first 64
    bank + CMA-ES      as many patches of the bank as `default` looks at, then evolution on the
    search scorer
    generate-then-fit  random patches, the nearest fitted to clips that the prior generates
    CMA-ES             as many random patches as `default` looks at, then evolution on the search
    scorer
    paper              Audio-SDS from the first patch
    default, fast      `sds.distillation.recipes`, from the bank
    ", shuffled prior" the same recipe and seed, the weights of the prior's network in random places

The recipes of ours run to their ends.

Sounds last as long as the caption's recording, at least 1 and at most 2 seconds; those of prompts
without a recording last 2: three that the first scoreboard had ("unseen": not among the training
captions), and forty that people type (`sds.scoreboard.prompts`), of which ten are only looked at
when all are ("last"). The rank of a sound is that of its caption's recording among all recordings,
ordered by multi-scale log-spectral distance at the same level; by musicnn, by the cosine of
embeddings (`sds.scoreboard.judges`, which says what rating, within reach, named and confirmed
are). The rows "best" are those of the instrument that the search scorer likes better, with the time
of all; the table of all rows counts them beside the rows they come from.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from torch import Tensor
from torch.nn import functional as F

from presets.reading import read_json
from sds.datasets.clips import unit_hash
from sds.datasets.evaluation_items import OneShot, one_shots
from sds.scoreboard.baselines import (
    BUDGET,
    METHODS,
    QUICK,
    Found,
    Job,
    Prompt,
    methods_for,
)
from sds.scoreboard.board import Column, Figures, Row, Setting, Task
from sds.scoreboard.judges import Judges, judges
from sds.scoreboard.paired import SHUFFLED, paired_difference
from sds.scoreboard.prompts import EVERYDAY, SHOTS, UNSEEN
from sds.signal.audio_files import mono
from sds.signal.spectrogram import log_gaps, log_spectra

SHORTEST, LONGEST = 1.0, 2.0  # seconds of sound
TO_THE_END = (BUDGET, BUDGET + SHUFFLED, QUICK, QUICK + SHUFFLED)
WINDOWS = (512, 1024, 2048, 4096)

COLUMNS = (
    Column("match_before", "match before", 3),
    Column("match_after", "match after", 3, "higher"),
    Column("search_scorer", "by the search scorer", 3),
    Column("rank", "rank", 1, "lower"),
    Column("top1", "top 1", 2, "higher"),
    Column("top3", "top 3", 2, "higher"),
    Column("top3_musicnn", "top 3, musicnn", 2, "higher"),
    Column("rating", "rating", 0, "higher"),
    Column("as_asked", "as asked", 2, "higher"),
    Column("within_reach", "within reach", 2, "higher"),
    Column("named", "named by the statistics", 2, "higher"),
    Column("confirmed", "within reach and named", 2, "higher"),
    Column("unconfirmed", "as asked, not named", 2, "lower"),
    Column("seconds", "seconds", 1),
    Column("seconds_to_first_best", "seconds to the first best", 2, "lower"),
    Column("steps", "steps", 0),
)

Clock: TypeAlias = Callable[[], float]
"""Seconds, from any beginning."""

_Item = TypeVar("_Item")


def suite(setting: Setting, *, clock: Clock = time.perf_counter) -> list[Task]:
    """Every method on every prompt and instrument; then, tagged "best", the better instrument."""
    rate = setting.prior.sample_rate
    shots = one_shots(setting.data, rate)
    recordings = [spectra(shot.audio, round(LONGEST * rate)) for shot in shots]
    others = judges(setting, [shot.audio[:, : round(LONGEST * rate)] for shot in shots])
    methods, tasks = methods_for(setting.prior), []
    for prompt in mixed(evenly_spaced(prompts(setting, shots), setting.items)):
        for instrument in setting.instruments:
            job = Job(setting, prompt, instrument)
            tags = (instrument.name, prompt.label, *(["last"] if prompt.last else []))
            tasks += [
                Task(job.item, method, partial(_run, job, method, recordings, others, clock), tags)
                for method in methods
            ]
        tasks += [
            Task(f"{prompt.name}, best", method, partial(_best, setting, prompt, method), ("best",))
            for method in methods
        ]
    return tasks


def prompts(setting: Setting, shots: Sequence[OneShot]) -> list[Prompt]:
    """The captions of recordings, then `UNSEEN` and `EVERYDAY`; those for last only where the
    setting has no limit.
    """
    longest = min(LONGEST, setting.prior.max_seconds)
    asked = []
    for row, shot in enumerate(shots):
        seconds = max(shot.audio.shape[-1] / setting.prior.sample_rate, SHORTEST)
        classes = SHOTS.get(shot.label, ())
        asked.append(
            Prompt(shot.name, shot.caption, shot.label, min(seconds, longest), row, classes)
        )
    return asked + [
        Prompt(x.text, x.text, x.family, longest, None, x.classes, x.last)
        for x in (*UNSEEN, *EVERYDAY)
        if setting.items is None or not x.last
    ]


def mixed(asked: Sequence[Prompt]) -> list[Prompt]:
    """Captions of recordings, then the others, each in a random order that is always the same: a
    run that was stopped has asked for some of every kind.
    """
    return sorted(asked, key=lambda prompt: (prompt.right is None, unit_hash(prompt.name)))


def evenly_spaced(items: Sequence[_Item], count: int | None) -> list[_Item]:
    """At most `count` of the items, evenly spaced, the first and the last among them.

    >>> evenly_spaced("abcdefg", 3)
    ['a', 'd', 'g']
    """
    if count is None or count >= len(items):
        return list(items)
    return [items[round(i * (len(items) - 1) / max(1, count - 1))] for i in range(count)]


def spectra(audio: Tensor, samples: int) -> list[Tensor]:
    """`log_spectra` of audio [C, T], mixed to mono, cut or padded to `samples`."""
    heard = F.pad(mono(audio), (0, samples - audio.shape[-1]))  # negative: cuts
    return log_spectra(heard[None, None], WINDOWS)


def rank(sound: Sequence[Tensor], recordings: Sequence[Sequence[Tensor]], right: int) -> int:
    """The place of recording `right` when all are ordered by their `log_gaps` to the sound."""
    gaps = [float(log_gaps(sound, recording)) for recording in recordings]
    return 1 + sum(other < gaps[right] for other in gaps)


def _run(
    job: Job,
    method: str,
    recordings: Sequence[Sequence[Tensor]],
    others: Judges,
    clock: Clock,
) -> Iterator[Figures]:
    """One method: its steps, timed; then what the judges and the recordings say of its sound."""
    setting, prompt = job.setting, job.prompt
    budget = math.inf
    if method not in TO_THE_END:
        budget = _read_stored(setting, job.item, BUDGET)["seconds"]
    before = float(job.evaluation_scorer(job.hear(job.u0[:1])))
    search = METHODS[method](job)
    found, seconds, first = Found(job.u0[0], -math.inf, 0), 0.0, 0.0
    while seconds < budget:
        start = clock()
        step = next(search, None)
        if step is None:
            break
        seconds += clock() - start
        first = first or seconds
        found = step
        yield {"match_before": before, "steps": found.step}
    sound = job.hear(found.u[None])
    figures = {
        "match_before": before,
        "search_scorer": float(job.listen(sound)),
        "match_after": float(job.evaluation_scorer(sound)),
        "seconds": seconds,
        "seconds_to_first_best": first,
        "steps": float(found.step),
    }
    figures |= others.figures(sound, setting.prior.sample_rate, prompt, figures["match_after"])
    if prompt.right is not None:
        heard = spectra(sound[0], round(LONGEST * setting.prior.sample_rate))
        place = rank(heard, recordings, prompt.right)
        figures |= {"rank": float(place), "top1": float(place == 1), "top3": float(place <= 3)}
    _store(setting, job.item, method, figures, found.u)
    yield figures


def _best(setting: Setting, prompt: Prompt, method: str) -> Iterator[Figures]:
    """The figures of the instrument that the search scorer prefers; the time and steps of all
    together.
    """
    each = [
        _read_stored(setting, Job(setting, prompt, instrument).item, method)
        for instrument in setting.instruments
    ]
    better = max(each, key=lambda figures: figures["search_scorer"])
    totals = {name: sum(figures[name] for figures in each) for name in ("seconds", "steps")}
    first = each[0]["seconds_to_first_best"]
    yield {**better, **totals, "seconds_to_first_best": first}


def findings(rows: Sequence[Row]) -> list[str]:
    """How far `default` is before each other method, and what the trained prior is worth, over all
    prompts and instruments.
    """
    own = [row for row in rows if "best" not in row.tags]
    said = [
        f"match, default rather than {method}: "
        f"{paired_difference(own, 'match_after', BUDGET, method)}"
        for method in METHODS
        if method != BUDGET and not method.endswith(SHUFFLED)
    ]
    for name in (BUDGET, QUICK):
        for figure, words in (("match_after", "match"), ("top3", "top 3"), ("named", "named")):
            difference = paired_difference(own, figure, name, name + SHUFFLED)
            said.append(f"{words}, {name}, trained rather than shuffled prior: {difference}")
    return said


def _file(setting: Setting) -> Path:
    return setting.scratch / "patch.jsonl"


def _store(setting: Setting, item: str, method: str, figures: Figures, u: Tensor) -> None:
    """Keep the patch and its figures: for the tasks after this one, and for a tagger."""
    setting.scratch.mkdir(parents=True, exist_ok=True)
    row = {"item": item, "method": method, "figures": figures, "u": u.tolist()}
    with open(_file(setting), "a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(row, ensure_ascii=False))


def _read_stored(setting: Setting, item: str, method: str) -> Figures:
    """The figures that `_store` kept last."""
    path = _file(setting)
    lines = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for line in reversed(lines.split("\n")):
        try:
            row = read_json(line)
        except ValueError:  # cut off by a crash
            continue
        if (row["item"], row["method"]) == (item, method):
            return dict(row["figures"])
    what = f"{method} on {item}; take its line from the rows to run it again"
    raise ValueError(f"{path} must hold {what}")
