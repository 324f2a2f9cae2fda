"""What is measured with, what comes out, and the table of it.

A row is a line of JSON: a figure of one method, with the fingerprint of its mixtures and the
digests of all weights. Of a file of rows the last one of each figure and method counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, pstdev, stdev
from typing import Any, TypeVar

from presets.reading import read_json
from sds.detection.evidence import PresenceNetworks
from sds.priors.base import Prior
from sds.priors.checkpoints import digest
from sds.separation.networks import Networks
from sds.train.hearing.mixtures import KINDS
from sds.weights import weights_folder

SEED = 11

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of one method.

    - `mean`, `std`: over `n` mixtures (of rates: over prompts or names, without a spread); `values`
      of each mixture.
    - `half`: which held-back clips it is of; `mixtures`: their fingerprint; `weights`: digests.
    """

    figure: str
    method: str
    unit: str
    mean: float
    std: float | None
    n: int
    half: str
    mixtures: str
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Setup:
    """What the figures are measured with: the models, the clips, how many mixtures at most.

    With `null`, a prior that has unlearned everything, every method that asks the prior is measured
    by that one as well.
    """

    prior: Prior
    networks: Networks
    detection: PresenceNetworks
    data: Path
    score: Path | None
    count: int | None
    methods: tuple[str, ...]
    null: Prior | None = None

    def first(self, source: Iterable[_Item], count: int) -> list[_Item]:
        """The first mixtures: `count`, or fewer if fewer are wanted of all."""
        return [*islice(source, min(count, self.count or count))]


def append_row(path: Path, row: Row, weights: dict[str, str]) -> None:
    """Add a line to a file of rows, with the digests of all weights."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(row) | {"weights": weights}, ensure_ascii=False) + "\n")


def weight_digests() -> dict[str, str]:
    """Digest of every file of the weights that ship, by its path there."""
    folder = weights_folder()
    files = sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.json")])
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def read_rows(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The last line of each figure and method of a file of rows, and what the kinds come to.

    `older` says of each whether the last line of all was measured with other weights.
    """
    with path.open(encoding="utf-8") as lines:
        rows = [read_json(line) for line in lines]
    last = {
        (row["figure"], row["method"]): row | {"older": row["weights"] != rows[-1]["weights"]}
        for row in rows
    }
    return last | _all_kinds(last)


def side_by_side(files: Sequence[Path]) -> list[str]:
    """The rows of files as a Markdown table, a column a file, the methods of a figure together."""
    columns = [read_rows(path) for path in files]
    figures = list(dict.fromkeys(figure for column in columns for figure, _ in column))
    keys = dict.fromkeys(key for column in columns for key in column)
    lines = [
        f"| figure | method | clips | {' | '.join(path.stem for path in files)} |",
        "|---|---|---|" + "---|" * len(files),
    ]
    for key in sorted(keys, key=lambda key: figures.index(key[0])):
        found = [column.get(key) for column in columns]
        rows = [row for row in found if row is not None]
        cells = [cell(row) + ", older weights" * row["older"] if row else "-" for row in found]
        if len({row["mixtures"] for row in rows}) > 1:
            cells[-1] += ", other mixtures"
        lines.append(f"| {key[0]} | {key[1]} | {rows[0]['half']} | {' | '.join(cells)} |")
    return lines


def _all_kinds(rows: dict[tuple[str, str], dict[str, Any]]) -> dict[tuple[str, str], Any]:
    """A row for each method that has been measured on all `KINDS`: all their pairs."""
    made = {}
    for method in dict.fromkeys(method for _, method in rows):
        found = [rows[name, method] for name in KINDS if (name, method) in rows]
        if len(found) == len(KINDS):
            values = [value for row in found for value in row["values"]]
            made["the five kinds", method] = found[0] | {
                "mean": fmean(values),
                "std": pstdev(values),
                "n": len(values),
                "half": "report, both",
                "mixtures": " ".join(row["mixtures"] for row in found),
                "older": any(row["older"] for row in found),
            }
    return made


def worth_of_prior(row: Row, null: Row) -> str:
    """How much better a method is than the same by the shuffled prior, mixture by mixture."""
    gains = [own - other for own, other in zip(row.values, null.values, strict=True)]
    error = stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else math.nan
    return f"{fmean(gains):+.2f} ± {error:.2f} {row.unit} ({len(gains)})"


def cell(row: dict[str, Any]) -> str:
    """What the table says of a row."""
    if row["unit"] == "dB":
        return f"{row['mean']:.1f} ± {row['std']:.1f} dB ({row['n']})"
    return f"{row['mean']:.3f} ({row['n']})"
