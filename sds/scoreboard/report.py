"""Rows to a summary (mean, standard deviation, count), and the summary to a Markdown page."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

from sds.scoreboard.board import Column, Entry, Row
from sds.scoreboard.keys import Key

Table: TypeAlias = dict[str, dict[str, dict[str, float]]]
"""method -> figure -> {"mean", "sd", "n"}; of one value there is no "sd"."""

ALL = "all"
HEAD = """# Scoreboard

Written by `scorewire eval --report`, as `make score` calls it; do not edit. A run replaces the
sections of its own suites and leaves the others, so each section says when and with what it was
measured: sections of different code stand beside each other until all are measured anew.

A cell is the mean over recordings or prompts, ± their standard deviation, and their number. ↑:
higher is better, ↓: lower is better.
"""
MARKS = {"higher": " ↑", "lower": " ↓", "": ""}


@dataclass(frozen=True, slots=True)
class Weights:
    """A model by name, and a digest of its weights where there is one."""

    name: str
    hash: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.hash})" if self.hash else self.name


@dataclass(frozen=True, slots=True)
class Measured:
    """The rows of one model, and what they were measured with."""

    model: Weights
    keys: Mapping[str, Key]  # of each suite's rows
    rows: Sequence[Row]

    def of(self, suite: str) -> list[Row]:
        """The rows of a suite."""
        return [row for row in self.rows if row.suite == suite]


@dataclass(frozen=True, slots=True)
class Page:
    """What a scoreboard says: its head, and the rows of each model by the name that it was asked
    for by.
    """

    command: str
    evaluation_scorer: Weights
    search_scorer: Weights
    data: str  # the folder's name
    models: Mapping[str, Measured]


def beside(models: Mapping[str, Measured]) -> list[Row]:
    """The rows of all models. Of several, each method's name begins with the model's, and the same
    methods of all stand beside each other.
    """
    if len(models) == 1:
        return [row for measured in models.values() for row in measured.rows]
    methods = list(dict.fromkeys(row.method for m in models.values() for row in m.rows))
    return [
        replace(row, method=f"{name}, {method}")
        for method in methods
        for name, measured in models.items()
        for row in measured.rows
        if row.method == method
    ]


def summary(rows: Sequence[Row]) -> dict[str, dict[str, Table]]:
    """suite -> tag -> table; the tag "all" holds every row. Order is that of the rows."""
    found: dict[str, dict[str, Table]] = {}
    groups: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for row in rows:
        for tag in (ALL, *row.tags):
            figures = groups.setdefault((row.suite, tag, row.method), {})
            for name, value in row.figures.items():
                figures.setdefault(name, []).append(value)
    for (suite, tag, method), figures in groups.items():
        table = found.setdefault(suite, {}).setdefault(tag, {})
        table[method] = {name: spread(values) for name, values in figures.items()}
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, sample standard deviation (of two values or more) and count."""
    found = {"mean": statistics.fmean(values)}
    if len(values) > 1:
        found["sd"] = statistics.stdev(values)
    return found | {"n": len(values)}


def as_json(page: Page, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Everything a program may want to know."""
    tables = summary(beside(page.models))
    seconds = sum(row.seconds for measured in page.models.values() for row in measured.rows)
    return {
        "command": page.command,
        "evaluation_scorer": asdict(page.evaluation_scorer),
        "search_scorer": asdict(page.search_scorer),
        "data": page.data,
        "models": {
            name: {
                **asdict(measured.model),
                "keys": {suite: asdict(key) for suite, key in measured.keys.items()},
            }
            for name, measured in page.models.items()
        },
        "seconds": round(seconds, 1),
        "suites": {
            suite: {"tables": tables[suite], "findings": findings(page, suite, entries[suite])}
            for suite in tables
        },
    }


def findings(page: Page, suite: str, entry: Entry) -> list[str]:
    """The sentences that a suite's rows support, of each model for itself."""
    several = len(page.models) > 1
    return [
        f"{name}: {finding}" if several else finding
        for name, measured in page.models.items()
        for finding in entry.findings(measured.of(suite))
    ]


def markdown(page: Page, entries: Mapping[str, Entry]) -> str:
    """The page: a section a suite, in it a table of all rows and one of each tag."""
    lines = [HEAD.rstrip()]
    rows = beside(page.models)
    for suite, tables in summary(rows).items():
        entry = entries[suite]
        lines += ["", f"## {suite}", ""]
        lines += measured_lines(page, suite, [row for row in rows if row.suite == suite])
        lines += ["", entry.about.strip()]
        if said := findings(page, suite, entry):
            lines += ["", *(f"- {finding}" for finding in said)]
        for tag, table in tables.items():
            lines += ["", f"### {suite}, {tag}", "", *grid(table, entry.columns)]
    return "\n".join(lines) + "\n"


def measured_lines(page: Page, suite: str, rows: Sequence[Row]) -> list[str]:
    """Lines that say when the rows of a suite were measured, and with what."""
    seconds = sum(row.seconds for row in rows)
    days = sorted({row.date for row in rows})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    key = next(iter(page.models.values())).keys[suite]  # but for its model that of all
    models = ", ".join(str(measured.model) for measured in page.models.values())
    digests = ", ".join(measured.keys[suite].digest for measured in page.models.values())
    return [
        f"- Measured {when} by `{page.command}`: {len(rows)} results in {seconds:.0f} s",
        f"- Code {key.code}, methods {key.methods}, data {page.data} ({key.data}), key {digests}",
        f"- Model {models}, evaluation scorer {page.evaluation_scorer}; "
        f"searches listen to {page.search_scorer}",
        f"- Query network {key.query_network}, tagger {key.tagger}, trunk {key.trunk}, "
        f"bank {key.bank}, text {key.text}, sentences {key.sentence}, captions {key.captions}, "
        f"reference {key.reference}, copy index {key.copy_index}, stem masks {key.stem_masks}, "
        f"model of four stems {key.multi_track}",
    ]


def grid(table: Table, columns: Sequence[Column]) -> list[str]:
    """A Markdown table, one line a method, aligned to be read as plain text."""
    shown = [c for c in columns if any(c.name in figures for figures in table.values())]
    cells = [["method", *(column.header + MARKS[column.better] for column in shown)]]
    for method, figures in table.items():
        cells.append([method, *(cell(figures.get(c.name), c.digits) for c in shown)])
    cells = [[text.replace("|", "\\|") for text in row] for row in cells]
    widths = [max(len(text) for text in column) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def cell(figure: Mapping[str, float] | None, digits: int) -> str:
    """One cell of a table.

    >>> cell({"mean": 7.25, "sd": 0.5, "n": 4}, 1), cell({"mean": 3, "n": 1}, 0), cell(None, 1)
    ('7.2 ± 0.5 (4)', '3 (1)', '-')
    """
    if figure is None:
        return "-"
    around = f" ± {figure['sd']:.{digits}f}" if "sd" in figure else ""
    return f"{figure['mean']:.{digits}f}{around} ({figure['n']:.0f})"
