"""Run every bench and write the page: `python -m bench.report docs/benchmarks.md`."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import bench
from renderers.denormals import flush_denormals

COLUMNS = ("name", "value", "reference", "ratio", "error", "target")
PACKAGES = ("torch", "numba", "numpy")


def processor() -> str:
    """The processor's name and number of cores, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def cell(value: object) -> str:
    """One table cell: numbers with three figures, None as a dash."""
    if value is None:
        return "-"
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def table(rows: list[dict[str, object]]) -> list[str]:
    """Rows of `COLUMNS` as a Markdown table."""
    head = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    return head + ["| " + " | ".join(cell(row.get(c)) for c in COLUMNS) + " |" for row in rows]


def load() -> str:
    """The one-minute load average, which tells whether the machine was quiet; a dash without."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "-"


def modules() -> list[ModuleType]:
    """The modules of this package that have `rows`, by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(bench.__path__))
    parts = [importlib.import_module(f"bench.{name}") for name in names if name != "report"]
    return [part for part in parts if hasattr(part, "rows")]


def page() -> str:
    """The whole document, measured now."""
    python = platform.python_version()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    text = [
        "# Benchmarks",
        "",
        "Written by `make bench` (`python -m bench.report docs/benchmarks.md`); do not edit.",
        "Value and reference were measured in the same run on the same machine; `ratio` is",
        "reference / value unless the row says otherwise.",
        "",
        f"- Machine: {processor()}",
        f"- Software: Python {python}, {versions}",
        f"- GOMP_SPINCOUNT: {os.environ.get('GOMP_SPINCOUNT', 'as the system has it')}",
        f"- Load average before the run: {load()}",
    ]
    for part in modules():
        name = part.__name__.removeprefix("bench.")
        title = (part.__doc__ or name).splitlines()[0]
        text += ["", f"## {name}", "", title, "", *table(part.rows())]
        text += ["", f"Alone: `python -m bench.{name}`"]
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    flush_denormals()
    if len(sys.argv) != 2:
        sys.exit("usage: python -m bench.report FILE")
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
