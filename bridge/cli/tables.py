"""What people see in a terminal: progress with the time left, and a short table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from bridge.files import export_report
from bridge.protocol.events import Best, Event, Progress
from bridge.protocol.jobs import sentence
from bridge.service.ledger import Entry

Show = Callable[[Event], None]

NAMED = 40  # columns for the name of a result, which may be a prompt

# A job's fields on the command line where they are not --NAME: lists are given one by one.
OPTIONS = {
    "prompt": "PROMPT",
    "prompts": "--prompt",
    "negatives": "--negative",
    "inputs": "--input",
    "suites": "--suite",
    "formats": "--format",
}


def refusal(error: ValidationError) -> str:
    """One sentence for what pydantic refused first, in the words of the command line."""
    name, _, rest = sentence(error).partition(" ")
    field = name.rstrip(":").split(".")[0]
    colon = ":" if name.endswith(":") else ""
    return f"{OPTIONS.get(field, '--' + field.replace('_', '-'))}{colon} {rest}"


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
def progress_line() -> Iterator[Show]:
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
                    bar.console.print(
                        Text(f"best so far ({event.score:.3f}): {event.wav}", style="dim")
                    )

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
    placed = result.get("placed")
    return _pairs(
        *((stem["prompt"], stem["wav"]) for stem in result["stems"]),
        *([("note", result["note"])] if "note" in result else []),
        ("residual", result["residual"]),
        ("manifest", result["manifest"]),
        ("null depth", f"{result['null_db']:.1f} dB"),
        ("seconds", f"{result['seconds']:.1f}"),
        *([(placed["host"], placed["text"])] if placed else []),
    )


def placement(result: dict[str, Any]) -> Table:
    """The result of `place` and `install`."""
    return _pairs((result["host"], result["text"]), *(("file", file) for file in result["files"]))


def record(result: dict[str, Any]) -> Table:
    """The result of `record`."""
    lost = f"; {result['lost']} frames came too late and are silent" if result["lost"] else ""
    return _pairs(
        ("sound", result["wav"]),
        ("from", ", ".join(result["inputs"])),
        ("length", f"{result['frames'] / result['rate']:.2f} s at {result['rate']} Hz"),
        ("begins at", f"sample {result['start_samples']}"),
        ("peak", f"{result['peak_db']:.1f} dB"),
        ("xruns", f"{result['xruns']}{lost}"),
        ("ended by", result["ended"]),
    )


def render(result: dict[str, Any]) -> Table:
    """The result of `render`."""
    return _pairs(("sound", result["wav"]), ("seconds", f"{result['seconds']:.1f}"))


def edit(result: dict[str, Any]) -> Table:
    """The result of `edit`."""
    table = patch(result)
    if not result["changed"]:
        changed = "no: the ear found nothing nearer to the words"
        table.add_row(Text("changed", style="bold"), Text(changed))
    return table


def variations(result: dict[str, Any]) -> Table:
    """The result of `vary` and `morph`."""
    return _columns("preset, a WAV beside it", rows=((m["preset"],) for m in result["presets"]))


def voices(result: dict[str, Any]) -> Table:
    """The result of `import`: what one voice lost in sentences, of several how many there are."""
    rows = result["voices"]
    if len(rows) == 1 and "preset" in rows[0]:
        (row,) = rows
        lost = (("lost", said) for said in row["lost"])
        table = _pairs(("voice", row["name"]), ("preset", row["preset"]), *lost)
        for said in result["passed_over"]:
            table.add_row(Text("passed over", style="bold"), Text(said))
        return table
    lines = [
        (
            str(row["voice"]),
            row["name"],
            row.get("preset") or f"not written: {row['refused']}",
            str(len(row.get("lost", ())) or ""),
        )
        for row in rows
    ]
    lines += [("", "", f"passed over: {said}", "") for said in result["passed_over"]]
    return _columns("voice", "name", "preset", "things lost", rows=lines)


def export(result: dict[str, Any]) -> Table:
    """The result of `export`: for each format its file, how far it is from ours, what it lost."""
    lines: list[tuple[str, str]] = []
    for name, entry in result["formats"].items():
        if "refused" in entry:
            lines.append((name, f"not written: {entry['refused']}"))
            continue
        far = entry["fidelity_db"]
        heard = (
            entry["unchecked"] if far is None else f"{far:.2f} dB from ours in {entry['engine']}"
        )
        lines += [(name, entry["file"]), ("", heard), *(("", f"lost: {s}") for s in entry["lost"])]
    if result["file"].endswith(export_report.REPORT):
        lines.append(("report", result["file"]))
    return _pairs(*lines)


def verify(result: dict[str, Any], limit: float) -> Table:
    """The result of `verify`."""
    verdict = "adds up" if result["ok"] else f"does not add up: {limit:g} dB or less is needed"
    return _pairs(
        ("manifest", result["manifest"]),
        ("null depth", f"{result['null_db']:.1f} dB"),
        ("in float32", f"{result['null_float32_db']:.1f} dB"),
        ("verdict", verdict),
    )


def checks(report: dict[str, Any]) -> Table:
    """The result of `doctor`."""
    table = Table(show_header=False, box=None)
    for check in report["checks"]:
        mark = Text("ok", style="green") if check["ok"] else Text("missing", style="red")
        table.add_row(mark, Text(check["name"]), Text(check["text"]))
        if check["fix"]:
            table.add_row("", "", Text(check["fix"], style="bold"))
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
    lines = (
        (
            row["id"][:8],
            row["kind"],
            row["what"],
            row["state"],
            row["reason"] or f"{100 * row['fraction']:.0f} %",
            row["created"],
            row["out"],
        )
        for row in rows
    )
    return _columns("id", "kind", "what", "state", "done", "asked at", "out", rows=lines)


# Names and paths are text, never markup, and are folded rather than cut short.
def _columns(*heads: str, rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=None)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _pairs(*rows: tuple[str, str]) -> Table:
    table = Table(show_header=False, box=None)
    table.add_column(overflow="fold", max_width=NAMED)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(name, style="bold"), Text(text))
    return table
