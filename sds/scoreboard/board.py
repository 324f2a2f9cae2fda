"""What a suite is, how suites are run, and what becomes of their figures.

A suite is a function from a `Setting` to tasks, in the order they should run. A task is one method
on one item (a recording, a prompt); its figures become a `Row`, appended to `rows.jsonl` as soon as
they are known. A second run on the same file skips what is there under the same key
(`sds.scoreboard.keys`): an evaluation that was stopped, or crashed, goes on where it was.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from presets.reading import read_json
from sds.multitrack.base import MultiTrackModel
from sds.priors.base import Prior
from sds.separation.networks import NO_NETWORKS, Networks
from sds.similarity.base import TextAudioSimilarity

Figures: TypeAlias = Mapping[str, float]
"""Numbers by name; what could not be measured is left out, never NaN."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """A synth as the scoreboard sees it: patches u [B, P] in [0, 1], and what they sound like."""

    name: str
    draw: Callable[[int, torch.Generator], Tensor]  # count, generator -> u [count, P]
    render: Callable[[Tensor, int], Tensor]  # u [B, P], samples -> [B, C, T] at the prior's rate
    near: Callable[[str, int, torch.Generator], Tensor]  # prompt, count -> u of its bank [count, P]


Pitch: TypeAlias = Literal["harmonic", "bell", ""]
"""What of a sound follows the keys: all its partials, its strike note, or nothing."""


@dataclass(frozen=True, slots=True)
class Playable:
    """A preset as the scoreboard sees it: `play` makes audio [C, T] at the prior's rate of a MIDI
    note; it was designed at `note`. `group` is where it comes from.
    """

    name: str
    group: str
    note: float
    pitch: Pitch
    play: Callable[[float], Tensor]


@dataclass(frozen=True, slots=True)
class Setting:
    """What is scored, on what, and by whom."""

    data: Path  # layout of shared/data: oneshots/ mixtures/ with manifest.json; train/ optional
    prior: Prior
    evaluation_scorer: TextAudioSimilarity  # reports
    search_scorer: TextAudioSimilarity  # what searches maximise
    instruments: tuple[Instrument, ...]
    scratch: Path  # for what several tasks share; kept from run to run
    seed: int = 0
    networks: Networks = NO_NETWORKS  # what separation asks beside the prior
    items: int | None = None  # at most so many recordings or prompts a suite; None: all
    playables: tuple[Playable, ...] = ()  # presets to be played
    multi_track: MultiTrackModel | None = None  # the model of four stems, where it is there

    def generator(self, *words: object) -> torch.Generator:
        """A generator that depends on the seed and these words only."""
        from sds.datasets.clips import unit_hash

        text = "|".join(str(word) for word in (self.seed, *words))
        return torch.Generator().manual_seed(int(unit_hash(text) * 2**48))


@dataclass(frozen=True, slots=True)
class Task:
    """One method on one item. `run` may yield often; the last figures it yields are the result."""

    item: str
    method: str
    run: Callable[[], Iterator[Figures]]
    tags: tuple[str, ...] = ()  # a row counts in the table of each of its tags, and in the whole


@dataclass(frozen=True, slots=True)
class Row:
    """What a task found."""

    suite: str
    item: str
    method: str
    figures: Figures
    tags: tuple[str, ...] = ()
    seconds: float = 0.0  # what it took
    key: str = ""  # `sds.scoreboard.keys.Key.digest` of what it was measured with
    date: str = ""  # the day, UTC


@dataclass(frozen=True, slots=True)
class Column:
    """A figure as a table shows it."""

    name: str  # its key in the figures
    header: str  # with its unit
    digits: int = 2
    better: Literal["higher", "lower", ""] = ""


Suite: TypeAlias = Callable[[Setting], list[Task]]
"""A module of a suite has `suite`, one of these, and `COLUMNS`, its figures in order."""


def _nothing(rows: Sequence[Row]) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Entry:
    """A suite as `sds.scoreboard.suites` lists it."""

    suite: Suite
    columns: tuple[Column, ...]
    about: str  # what a reader should know of its methods and figures
    findings: Callable[[Sequence[Row]], list[str]] = _nothing  # sentences that its rows support
    methods: Mapping[str, object] = field(default_factory=dict)  # values that its figures hang on


@dataclass(frozen=True, slots=True)
class Now:
    """How far: task `index` of `of` is at work; `row` when it has ended, `old` if before now."""

    index: int
    of: int
    suite: str
    item: str
    method: str
    row: Row | None = None
    old: bool = False


def evaluate(
    suites: Mapping[str, Suite],
    setting: Setting,
    rows: Path,
    *,
    keys: Mapping[str, str] | None = None,
    methods: Sequence[str] = (),
    share: range | None = None,
) -> Iterator[Now]:
    """Run the tasks of the suites that `rows` (a .jsonl file) does not hold yet; yields often.

    Each task's row is yielded once, in the order of the tasks, those of earlier runs too. Only rows
    of a suite's key in `keys` are of this run; each key has a scratch folder of its own. `methods`
    are the names of those that run; none: all. `share` has the numbers of the items whose tasks
    run, counted in their order, all methods of one together; None: all.
    """
    key_of = keys or {}
    done = {
        (row.suite, row.item, row.method): row
        for row in read_rows(rows)
        if row.key == key_of.get(row.suite, "")
    }
    every = [
        (name, task)
        for name, suite in suites.items()
        for task in suite(replace(setting, scratch=setting.scratch / key_of.get(name, "")))
    ]
    if methods:
        every = _of_methods(every, methods)
    if share is not None:
        items = list(dict.fromkeys((name, task.item) for name, task in every))
        own = {items[number] for number in share if number < len(items)}
        every = [(name, task) for name, task in every if (name, task.item) in own]
    asked = Counter((name, task.item, task.method) for name, task in every)
    for words, count in asked.items():
        if count > 1:
            raise ValueError(f"a suite must name a method on an item once, got {words} {count}x")
    for index, (name, task) in enumerate(every):
        words = (name, task.item, task.method)
        row = done.get(words)
        if row is not None:
            yield Now(index + 1, len(every), *words, row, old=True)
            continue
        yield Now(index, len(every), *words)
        began = time.monotonic()
        figures: Figures = {}
        for now in task.run():
            figures = now
            yield Now(index, len(every), *words)
        bad = [key for key, value in figures.items() if not math.isfinite(value)]
        if bad:
            where = f"{name}: {task.item}, {task.method}"
            raise ValueError(f"figures must be finite, got {', '.join(bad)} of {where}")
        seconds = round(time.monotonic() - began, 3)
        today = time.strftime("%Y-%m-%d", time.gmtime())
        row = Row(*words, dict(figures), task.tags, seconds, key_of.get(name, ""), today)
        _append(rows, row)
        yield Now(index + 1, len(every), *words, row)


def _of_methods(
    every: Sequence[tuple[str, Task]], methods: Sequence[str]
) -> list[tuple[str, Task]]:
    """The tasks of these methods; raises `ValueError` where no suite has one of them."""
    known = {task.method: None for _, task in every}
    for method in methods:
        if method not in known:
            raise ValueError(f"method must be one of {', '.join(known)}, got {method!r}")
    return [(name, task) for name, task in every if task.method in methods]


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, none if there is no file; a line cut off by a crash is left out."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = read_json(line)
        except ValueError:
            continue
        found.append(Row(**{**row, "tags": tuple(row["tags"])}))
    return found


def _append(path: Path, row: Row) -> None:
    with open(path, "ab+") as file:
        file.seek(max(0, file.tell() - 1))
        cut = file.read(1) not in (b"", b"\n")  # a crash left half a line: begin another
        line = json.dumps(asdict(row), ensure_ascii=False)
        file.write((b"\n" if cut else b"") + line.encode() + b"\n")
