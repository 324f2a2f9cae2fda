"""What people see in a terminal: progress with the time left, and a short table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from bridge.jobs import Best, Event, Progress, sentence
from bridge.store import Entry

Show = Callable[[Event], None]

# The names of the job's fields on the command line.
OPTIONS = {
    "prompt": "PROMPT",
    "prompts": "--prompt",
    "duration": "--seconds",
    "recipe": "--preset",
    "suites": "--suite",
    "start": "--from",
    "formats": "--to",
}


def refusal(error: ValidationError) -> str:
    """One sentence for what pydantic refused first, in the words of the command line."""
    name, _, rest = sentence(error).partition(" ")
    field = name.rstrip(":").split(".")[0]
    colon = ":" if name.endswith(":") else ""
    return f"{OPTIONS.get(field, '--' + field)}{colon} {rest}"


def clock(seconds: float | None) -> str:
    """Minutes and seconds left.

    >>> clock(75.2), clock(None)
    ('1:15 left', '')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} left"


@contextmanager
def watching() -> Iterator[Show]:
    """A progress line on stderr; call what it gives with each event."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[figures]}", style="dim"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting the worker", total=1.0, left="", figures="")

        def show(event: Event) -> None:
            match event:
                case Progress():
                    figures = "  ".join(f"{k} {v:.3g}" for k, v in event.figures.items())
                    bar.update(
                        task,
                        completed=event.fraction,
                        description=event.stage,
                        left=clock(event.eta),
                        figures=figures,
                    )
                case Best():
                    bar.console.print(f"best so far ({event.score:.3f}): {event.wav}", style="dim")

        yield show


def _number(value: float | None, digits: int = 3) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"


def patch(result: dict[str, Any]) -> Table:
    """The result of `patch`."""
    before, after = result["score_before"], result["score_after"]
    return _pairs(
        ("preset", result["preset"]),
        ("sound", result["wav"]),
        ("it started as", result["initial_wav"]),
        ("prompt match", f"{_number(before)} -> {_number(after)}"),
        ("steps", str(result["steps"])),
        ("seconds", f"{result['seconds']:.1f}"),
    )


def separate(result: dict[str, Any]) -> Table:
    """The result of `separate`."""
    return _pairs(
        *((stem["prompt"], stem["wav"]) for stem in result["stems"]),
        ("residual", result["residual"]),
        ("manifest", result["manifest"]),
        ("null depth", f"{result['null_db']:.1f} dB"),
        ("seconds", f"{result['seconds']:.1f}"),
    )


def render(result: dict[str, Any]) -> Table:
    """The result of `render`."""
    return _pairs(("sound", result["wav"]), ("seconds", f"{result['seconds']:.1f}"))


def edit(result: dict[str, Any]) -> Table:
    """The result of `edit`."""
    table = patch(result)
    if not result["changed"]:
        table.add_row("[bold]changed[/bold]", "no: the ear found nothing nearer to the words")
    return table


def variations(result: dict[str, Any]) -> Table:
    """The result of `vary` and `morph`."""
    table = Table("preset", "sound", box=None)
    for made in result["presets"]:
        table.add_row(made["preset"], made["wav"])
    return table


def voices(rows: list[dict[str, Any]]) -> Table:
    """The result of `import`."""
    table = Table("voice", "name", "preset", "lost", box=None)
    for row in rows:
        file = row.get("preset") or f"not written: {row['refused']}"
        lost = str(len(row.get("lost", ())) or "")
        table.add_row(str(row["voice"]), row["name"], file, lost)
    return table


def export(result: dict[str, Any]) -> Table:
    """The result of `export`: a row a format, what it lost below it."""
    table = Table("format", "file", "difference", "engine", box=None)
    for name, entry in result["formats"].items():
        if "refused" in entry:
            table.add_row(name, f"not written: {entry['refused']}", "", "")
            continue
        far = entry["fidelity_db"]
        difference = "" if far is None else f"{far:.2f} dB"
        table.add_row(name, entry["file"], difference, entry["engine"] or entry["unchecked"])
        for sentence_ in entry["lost"]:
            table.add_row("", f"lost: {sentence_}", "", "", style="dim")
    return table


def verify(result: dict[str, Any], limit: float) -> Table:
    """The result of `verify`."""
    verdict = "adds up" if result["ok"] else f"does not add up: {limit:g} dB or less is needed"
    return _pairs(
        ("manifest", result["manifest"]),
        ("null depth", f"{result['null_db']:.1f} dB"),
        ("verdict", verdict),
    )


def checks(report: dict[str, Any]) -> Table:
    """The result of `doctor`."""
    table = Table(show_header=False, box=None)
    for check in report["checks"]:
        mark = "[green]ok[/green]" if check["ok"] else "[red]missing[/red]"
        table.add_row(mark, check["name"], check["text"])
        if check["fix"]:
            table.add_row("", "", f"[bold]{check['fix']}[/bold]")
    return table


def entry(line: Entry) -> dict[str, Any]:
    """One line of the ledger, for `jobs`."""
    job = line.job.model_dump(mode="json")
    what = job.get("prompt") or job.get("file") or job.get("preset") or ""
    what = what or ", ".join(job.get("suites", ()))
    return {
        "id": line.job.id,
        "kind": line.job.kind,
        "what": what,
        "state": line.state,
        "fraction": round(line.fraction, 3),
        "stage": line.stage,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(line.created)),
        "seconds": None if line.ended is None else round(line.ended - line.created, 1),
        "out": job.get("out", ""),
        "reason": line.reason,
    }


def jobs(rows: list[dict[str, Any]]) -> Table:
    """The result of `jobs`."""
    table = Table("id", "kind", "what", "state", "done", "asked at", "out", box=None)
    for row in rows:
        done = row["reason"] or f"{100 * row['fraction']:.0f} %"
        table.add_row(
            row["id"][:8], row["kind"], row["what"], row["state"], done, row["created"], row["out"]
        )
    return table


def _pairs(*rows: tuple[str, str]) -> Table:
    table = Table(show_header=False, box=None)
    for name, text in rows:
        table.add_row(f"[bold]{name}[/bold]", text, style=None)
    return table
