"""Format progress with the time left, and results as a few lines, for a terminal.

The lines are neither wrapped nor cut, whatever the width: a path can be copied whole. Only `jobs`
has a line a job, in which what was asked for is cut to the width.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from bridge.files import export_report
from bridge.player import protocol
from bridge.protocol.events import Best, Event, Progress
from bridge.protocol.jobs import sentence

Show = Callable[[Event], None]

NAMED = 40  # columns for the name of a result, which may be a prompt; a longer one goes over
BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = 40  # of a curve over the length of the file
UNSURE = "nothing is certain: these are guesses"

# A job's fields on the command line where they are not --NAME: lists are given one by one.
OPTIONS = {
    "prompt": "PROMPT",
    "prompts": "--prompt",
    "negatives": "--negative",
    "inputs": "--input",
    "suites": "--suite",
    "models": "--model",
    "methods": "--method",
    "formats": "--format",
    "number": "NUMBER",
    "GenerateClips.prompts": "PROMPTS",
}


def refusal(error: ValidationError) -> str:
    """One sentence for what pydantic refused first, in the words of the command line."""
    name, _, rest = sentence(error).partition(" ")
    field = name.rstrip(":").split(".")[0]
    colon = ":" if name.endswith(":") else ""
    option = OPTIONS.get(field, f"--{field.replace('_', '-')}")
    return f"{OPTIONS.get(f'{error.title}.{field}', option)}{colon} {rest}"


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
                    figures = "  ".join(f"{k} {v:.3g}" for k, v in _told(event.figures).items())
                    bar.update(
                        task,
                        completed=event.fraction,
                        description=event.stage,
                        left=clock(event.eta),
                        figures=figures,
                    )
                case Best():
                    # its file is a preview in a hidden folder, gone when the job ends
                    worth = f"score {event.score:.3f}"
                    if event.rating is not None:
                        worth = f"rating {event.rating:.0f} of 100"
                    bar.console.print(Text(f"best so far: {worth}", style="dim"))

        yield show


def _told(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures for people: one scale, the rating of 0 to 100, where there is one."""
    hidden = {"score"} if "rating" in figures else set()
    return {name: value for name, value in figures.items() if name not in hidden}


def waiting(what: str) -> AbstractContextManager[object]:
    """A line on stderr that says what is waited for, as long as it lasts."""
    return Console(stderr=True).status(f"{what}; the first time takes minutes")


def _number(value: float | None, digits: int = 3) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"


def patch(result: dict[str, Any]) -> Text:
    """The result of `patch`: its patches, the best first, a WAV beside each."""
    rows = [("", "rating", "verdict", "preset, a WAV beside it")]
    for number, made in enumerate(result["patches"], start=1):
        worth = "" if made["rating"] is None else f"{made['rating']:.0f}"
        words = made["verdict"] or "not measured"
        rows.append((str(number), worth, words, made.get("library", made["preset"])))
    pitch = {True: "in tune with the keys", False: "none", None: "as it came"}[result["pitched"]]
    played = ("renderer", f"{result['renderer']}: {result['why']}"), ("pitch", pitch)
    return Text("\n").join([columns(rows), _pairs(*played), _search(result)])


def kept(result: dict[str, Any]) -> Text:
    """The result of `keep`."""
    return _pairs((result["name"], result["preset"]), ("tags", ", ".join(result["tags"])))


def _search(result: dict[str, Any]) -> Text:
    """What every search says of its way."""
    before, after, match = result["rating_before"], result["rating"], "rating, of 100"
    digits = 0
    if after is None:  # of a recording without words
        before, after, match, digits = result["score_before"], result["score_after"], "match", 3
    return _pairs(
        ("it started as", result["initial_wav"]),
        (match, f"{_number(before, digits)} -> {_number(after, digits)}"),
        ("steps", str(result["steps"])),
        ("seconds", f"{result['seconds']:.1f}"),
    )


def generate(result: dict[str, Any]) -> Text:
    """The result of `generate`: a file a clip, and below it what it is too near to, if anything."""
    if "sets" in result:
        return made(result)
    rows: list[tuple[str, str]] = []
    for clip in result["clips"]:
        rows.append((clip["prompt"], clip["wav"]))
        if "warning" in clip:
            rows.append(("", f"warning: {clip['warning']}"))
    return _pairs(*rows, ("seconds", f"{result['seconds']:.1f}"), *_placed(result))


def made(result: dict[str, Any]) -> Text:
    """The result of `accompany`, and of `generate` with stems: a file a stem, set by set."""
    rows: list[tuple[str, str]] = []
    for one in result.get("sets", [result]):
        rows += [(stem["prompt"], stem["wav"]) for stem in one["stems"]]
        rows += [("mix", one["mix"]), ("manifest", one["manifest"])]
    return _pairs(*rows, ("seconds", f"{result['seconds']:.1f}"), *_placed(result))


def _placed(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What a host said, if one was asked."""
    placed = result.get("placed")
    return [(placed["host"], placed["text"])] if placed else []


def separate(result: dict[str, Any]) -> Text:
    """The result of `separate`."""
    return _pairs(
        *((stem["prompt"], stem["wav"]) for stem in result["stems"]),
        *([("note", result["note"])] if "note" in result else []),
        ("residual", result["residual"]),
        ("manifest", result["manifest"]),
        ("model", result["model"] or "this method does not use the model"),
        ("null depth", f"{result['null_db']:.1f} dB"),
        ("seconds", f"{result['seconds']:.1f}"),
        *_placed(result),
    )


def placement(result: dict[str, Any]) -> Text:
    """The result of `place` and `install`."""
    return _pairs((result["host"], result["text"]), *(("file", file) for file in result["files"]))


def record(result: dict[str, Any]) -> Text:
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


def render(result: dict[str, Any]) -> Text:
    """The result of `render`."""
    return _pairs(("sound", result["wav"]), ("seconds", f"{result['seconds']:.1f}"))


def edit(result: dict[str, Any]) -> Text:
    """The result of `edit`."""
    verdict = "not measured" if result["verdict"] is None else result["verdict"]
    own = _pairs(
        ("preset", result["preset"]),
        ("sound", result["wav"]),
        ("verdict", verdict),
        ("of the prompt", result["prompt"]),
    )
    text = Text("\n").join([own, _search(result)])
    if not result["changed"]:
        note = _pairs(("changed", "no: the search scorer found nothing nearer to the words"))
        text = Text("\n").join([text, note])
    return text


def variations(result: dict[str, Any]) -> Text:
    """The result of `vary` and `morph`."""
    return columns([("preset, a WAV beside it",), *((m["preset"],) for m in result["presets"])])


def voices(result: dict[str, Any]) -> Text:
    """The result of `import`: what one voice lost in sentences, of several how many there are."""
    rows = result["voices"]
    passed = [("passed over", reason) for reason in result["passed_over"]]
    if len(rows) == 1 and "preset" in rows[0]:
        (row,) = rows
        lost = (("lost", reason) for reason in row["lost"])
        return _pairs(("voice", row["name"]), ("preset", row["preset"]), *lost, *passed)
    lines = [
        (
            str(row["voice"]),
            row["name"],
            str(len(row.get("lost", ())) or ""),
            row.get("preset") or f"not written: {row['refused']}",
        )
        for row in rows
    ]
    table = columns([("voice", "name", "lost", "preset"), *lines])
    return Text("\n").join([table, _pairs(*passed)]) if passed else table


def export(result: dict[str, Any]) -> Text:
    """The result of `export`: for each format its file, how far it is from ours, what it lost."""
    lines: list[tuple[str, str]] = []
    for name, entry in result["formats"].items():
        if "refused" in entry:
            lines.append((name, f"not written: {entry['refused']}"))
            continue
        far = entry["fidelity_db"]
        if far is None:
            near = f"not compared: {entry['unchecked']}"
        else:
            word = export_report.verdict(entry)
            near = f"{word}: {far:.2f} dB from our sound, played by {entry['engine']}"
        lines += [(name, entry["file"]), ("", near), *(("", f"lost: {s}") for s in entry["lost"])]
    if result["file"].endswith(export_report.REPORT):
        lines.append(("report", result["file"]))
    return _pairs(*lines)


def verify(result: dict[str, Any], limit: float) -> Text:
    """The result of `verify`."""
    verdict = "adds up" if result["ok"] else f"does not add up: {limit:g} dB or less is needed"
    return _pairs(
        ("manifest", result["manifest"]),
        ("null depth", f"{result['null_db']:.1f} dB"),
        ("in float32", f"{result['null_float32_db']:.1f} dB"),
        ("verdict", verdict),
    )


def checks(report: dict[str, Any]) -> Text:
    """The result of `doctor`: what works, and below what does not the command that mends it."""
    rows = []
    for check in report["checks"]:
        mark = "ok" if check["ok"] else "absent" if check["optional"] else "missing"
        rows.append((mark, check["name"], check["text"]))
        if check["fix"]:
            rows.append(("", "", f"-> {check['fix']}"))
    text = columns(rows)
    text.highlight_regex(r"(?m)^ok\b", "green")
    text.highlight_regex(r"(?m)^missing\b", "red")
    return text


def slots(presets: Mapping[int, Path], play: bool) -> list[str]:
    """The lines of `play` on what each slot plays."""
    if play and not presets:
        return ["No slot holds a preset: `scorewire library slot 1 NAME` puts one there."]
    return [f"slot {number}: {path.stem}" for number, path in sorted(presets.items())]


def played(result: dict[str, Any]) -> Text:
    """The result of `play` where a server runs."""
    lines = slots({int(n): Path(file) for n, file in result["slots"].items()}, True)
    begins = "starts its player and " if result["started"] else ""
    lines.append(f"The server that runs (OSC port {result['port']}) {begins}plays them.")
    return Text("\n".join(lines))


def device(happening: protocol.Happening) -> str:
    """The line of `play` on the device that sounds, or why none does; empty for other news."""
    match happening:
        case protocol.Ready():
            block = f"{happening.rate} Hz, {happening.frames} frames a block"
            return f"Playing on {happening.output} ({happening.name}), {block}."
        case protocol.Gone():
            return f"No sound from {happening.name}: {happening.reason}"
        case _:
            return ""


def jobs(rows: Sequence[dict[str, Any]], *, width: int | None = None) -> Text:
    """The result of `jobs`, a line a job within `width` columns, the terminal's when left out."""
    lines = columns([("id", "kind", "state", "asked at", "what"), *map(_job, rows)])
    width = width or shutil.get_terminal_size().columns
    for line in (parts := lines.split("\n")):
        line.truncate(width, overflow="ellipsis")
    return Text("\n").join(parts)


def _job(row: dict[str, Any]) -> tuple[str, ...]:
    """A job in one line; what was asked for comes last, it may be long."""
    job = row["job"]
    state = row["state"]
    if row["ahead"]:
        state = f"{state}, {row['ahead']} ahead"
    elif state == "running":
        state = f"{100 * row['fraction']:.0f} %"
    elif state == "done":
        state = f"done, {row['ended'] - row['created']:.0f} s"
    given = ", ".join(f"with {stem}" for stem in job.get("given", ()))
    what = job.get("prompt") or given or Path(job.get("file") or job.get("preset") or "").name
    what = (
        what
        or ", ".join(job.get("prompts") or job.get("suites", ()))
        or Path(job.get("out", "")).name
    )
    reason = f"{what}: {row['reason']}" if row["reason"] else what
    created = time.strftime("%m-%d %H:%M", time.localtime(row["created"]))
    return row["id"], row["kind"], state, created, " ".join(reason.split())


def suggestions(result: dict[str, Any]) -> Text:
    """The result of `suggest`: prompt, how likely and when, a row each; then the assistant's."""
    rows = [("prompt", "score", "likelihood", "when")]
    for row in result["suggestions"]:
        worth = f"{row['score']:.2f}", row["likelihood"]
        rows.append((row["prompt"], *worth, curve(row["activity"])))
    rows += [(prompt, "", "", "the assistant's") for prompt in result.get("prompts", ())]
    table = columns(rows)
    return table.append(f"\n{UNSURE}") if result.get("unsure") else table


def nearest_recordings(results: Sequence[dict[str, Any]]) -> Text:
    """The results of `copycheck`, a row a file; below them the warnings."""
    rows = [("file", "similarity", "percentile", "match", "nearest recording", "author", "licence")]
    for row in results:
        worth = f"{row['similarity']:.3f}", f"{row['percentile']:.1f}", f"{row['match']:.3f}"
        source = row["recording"] or "none: it is silent", row["author"], row["licence"]
        rows.append((Path(row["file"]).name, *worth, *source))
    table = columns(rows)
    for row in results:
        if row["warning"]:
            table.append(f"\n{Path(row['file']).name}: {row['warning']}")
    return table


def converted(result: dict[str, Any]) -> Text:
    """The result of `convert`: the file, and what is in it."""
    millions = f"{result['parameters'] / 1e6:.1f} million numbers"
    of = "1 track" if result["tracks"] == 1 else f"{result['tracks']} tracks"
    return _pairs(("file", result["file"]), ("network", f"{of}, {millions}"))


def curve(activity: list[float], columns: int = COLUMNS) -> str:
    """Probabilities in 0..1 as bars, the highest of those that share a column.

    >>> curve([0.0, 0.5, 1.0]), curve([0.1, 1.0, 0.0, 0.2], columns=2)
    (' ▄█', '█▂')
    """
    count = min(columns, len(activity))
    edges = [i * len(activity) // count for i in range(count + 1)] if count else []
    tops = [max(activity[a:b]) for a, b in pairwise(edges)]
    return "".join(BARS[round(top * (len(BARS) - 1))] for top in tops)


def columns(rows: Iterable[tuple[str, ...]], *, widest: int | None = None) -> Text:
    """Rows as lines of aligned columns, the last as long as it is.

    Names and paths are text, never markup, on one line. A cell wider than `widest` columns goes
    over its column.
    """
    cells = [[" ".join(cell.splitlines()) for cell in row] for row in rows]
    widths: dict[int, int] = {}
    for row in cells:
        for place, cell in enumerate(row[:-1]):
            wide = cell_len(cell) if widest is None else min(widest, cell_len(cell))
            widths[place] = max(widths.get(place, 0), wide)
    lines = [
        "  ".join(_pad(cell, widths[place]) for place, cell in enumerate(row[:-1]))
        + ("  " if len(row) > 1 else "")
        + row[-1]
        for row in cells
    ]
    return Text("\n".join(line.rstrip() for line in lines))


def _pad(cell: str, width: int) -> str:
    return cell if cell_len(cell) >= width else set_cell_size(cell, width)


def _pairs(*rows: tuple[str, str]) -> Text:
    return columns(rows, widest=NAMED)
