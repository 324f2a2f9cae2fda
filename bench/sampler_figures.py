"""The figures of `bench.samplers`: points of curves, kept as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured point of one curve."""

    panel: str  # exact, error or fad
    model: str
    weights: str  # hash of what was measured
    solver: str
    evaluations: int  # at most so many
    count: int  # of clips a class, or of starts
    values: dict[str, float]


Kept: TypeAlias = dict[tuple[str, str, str, int], Figure]
"""The last figure of each panel, model, solver and number of evaluations."""


def place(figure: Figure) -> tuple[str, str, str, int]:
    """Its key in `Kept`."""
    return figure.panel, figure.model, figure.solver, figure.evaluations


def read(file: Path) -> Kept:
    """The figures of a file, the last of a place; none without the file."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    figures = [Figure(**json.loads(line)) for line in lines]
    return {place(figure): figure for figure in figures}


def keep(file: Path, kept: Kept, figures: Iterator[Figure]) -> None:
    """Append each figure to the file as soon as it is known, and say so."""
    for figure in figures:
        kept[place(figure)] = figure
        with file.open("a", encoding="utf-8") as out:
            out.write(json.dumps(asdict(figure)) + "\n")
        values = ", ".join(f"{name} {value:.4g}" for name, value in figure.values.items())
        head = f"{figure.panel}, {figure.model}, {figure.solver}, {figure.evaluations} evaluations"
        print(f"{head}: {values}", flush=True)


def missing(kept: Kept, asked: Figure) -> bool:
    """Whether a point is not known yet for these weights and this count."""
    old = kept.get(place(asked))
    return old is None or (old.weights, old.count) != (asked.weights, asked.count)


def curves(kept: Kept, panel: str, model: str) -> dict[str, dict[int, dict[str, float]]]:
    """What is known of a panel and model: solver -> evaluations, rising -> values."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for figure in sorted(kept.values(), key=lambda figure: figure.evaluations):
        if (figure.panel, figure.model) == (panel, model):
            found.setdefault(figure.solver, {})[figure.evaluations] = figure.values
    return found


def models(kept: Kept, panel: str) -> list[str]:
    """The models that have figures in a panel, in order."""
    return list(dict.fromkeys(figure.model for figure in kept.values() if figure.panel == panel))
