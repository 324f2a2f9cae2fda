"""`scorewire`: its commands, from `serve` to `library`.

Every command takes `--json`: the last line of stdout is then one JSON object, {"error": {"code",
"reason"}} when it failed. Without it people get progress with the time left, and a short table.
A failure is one sentence on stderr and exit code 1 (2 for a wrong command line, 130 for Ctrl-C).

No tensor here: the work is done by the worker process, and every job is written in the ledger.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sqlite3
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from typer.exceptions import TyperException

from bridge import config, display, doctor, imports, server, shelf, stems
from bridge.engines.local import LocalEngine
from bridge.jobs import (
    DesignPatch,
    EditPreset,
    Evaluate,
    Export,
    Job,
    Morph,
    RenderPreset,
    Separate,
    Vary,
    new_id,
)
from bridge.store import Entry, State, Store
from presets import load
from presets.export import EXPORTERS
from presets.library import Library

NULL_LIMIT_DB = -100.0
DATA = Path("../shared/data")

app = typer.Typer(
    name="scorewire",
    help="From a prompt to a playable patch, from a track to named stems, beside your DAW.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(shelf.app)

Json = Annotated[bool, typer.Option("--json", help="One JSON object as the last line of stdout.")]
Steps = Annotated[int | None, typer.Option(help="Optimisation steps; the preset's when left out.")]
Refinement = Annotated[
    int | None, typer.Option(help="Distillation steps; when left out 0 for masks, 1000 for paper.")
]
Seed = Annotated[int, typer.Option(help="The same seed on the same machine: the same files.")]
Model = Annotated[str | None, typer.Option(help="NAME, folder or hub id; the configured one.")]
Out = Annotated[Path, typer.Option(help="Folder for the results; made when it is not there.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A TOML file of settings.")]


class CommandFailed(Exception):
    """A command could not do it: a stable `code` and one sentence."""

    def __init__(self, code: str, reason: str, *, exit_code: int = 1) -> None:
        super().__init__(reason)
        self.code, self.reason, self.exit_code = code, reason, exit_code


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log to stderr.")] = False,
) -> None:
    """From a prompt to a playable patch, from a track to named stems, beside your DAW."""
    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL,
        stream=sys.stderr,
        format="%(asctime)s %(name)s: %(message)s",
    )


@app.command()
def serve(
    play: Annotated[bool, typer.Option("--play", help="Play the library's slots too.")] = False,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Listen for OSC on this machine, and work for whoever asks, until Ctrl-C."""
    _serve(config.load(config_file), play, as_json)


@app.command("play")
def play_(
    presets: Annotated[
        list[Path] | None, typer.Argument(help="Preset files for slot 1, 2, ..., kept there.")
    ] = None,
    output: Annotated[str, typer.Option(help="auto, jack or portaudio")] = "auto",
    device: Annotated[str, typer.Option(help="Part of a sound card's name (portaudio).")] = "",
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Play patches from MIDI and OSC: `serve --play`, with presets put into slots first."""
    settings = config.load(config_file)
    if output not in ("auto", "jack", "portaudio"):
        raise CommandFailed(
            "bad-input", f"--output must be auto, jack or portaudio, got {output!r}", exit_code=2
        )
    library = Library(settings.library)
    loaded = [(load(path), path.with_suffix(".wav")) for path in presets or ()]
    for slot, (preset, wav) in enumerate(loaded, start=1):
        kept = library.add(preset, preview=wav if wav.is_file() else None, once=True)
        library.assign(slot, kept.path.name)
    chosen = [*settings.player]
    chosen += ["--output", output] if output != "auto" else []
    chosen += ["--device", device] if device else []
    _serve(replace(settings, player=tuple(chosen)), True, as_json)


def _serve(settings: config.Config, play: bool, as_json: bool) -> None:
    logging.getLogger().setLevel(logging.INFO)

    def ready(port: int) -> None:
        place = {"host": settings.osc_host, "port": port, "data": str(settings.data)}
        text = f"Scorewire listens for OSC on {settings.osc_host} port {port} (UDP)."
        typer.echo(json.dumps(place) if as_json else text)
        sys.stdout.flush()

    asyncio.run(server.serve(settings, play=play, ready=ready))


@app.command("doctor")
def doctor_(config_file: ConfigFile = None, model: Model = None, as_json: Json = False) -> None:
    """Run a real kernel, load the model, send an OSC packet round: say what is missing."""
    settings = config.load(config_file)
    report = asyncio.run(doctor.examine(settings, model=model or settings.model))
    _show(report, display.checks(report), as_json)
    if not report["ok"]:
        raise typer.Exit(1)


@app.command()
def patch(
    prompt: Annotated[str, typer.Argument(help="What it should sound like.")],
    out: Out,
    renderer: Annotated[
        str | None, typer.Option(help="fm or impact; that of the preset with --from.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the sound, 0.25 to 10.")] = 2.0,
    steps: Steps = None,
    seed: Seed = 0,
    preset: Annotated[str, typer.Option(help="paper, default or fast")] = "default",
    start: Annotated[Path | None, typer.Option("--from", help="A preset to search around.")] = None,
    matrix: Annotated[
        str | None, typer.Option(help="fm: acyclic, free, dx7:auto or dx7:1 .. dx7:32.")
    ] = None,
    operators: Annotated[int | None, typer.Option(help="fm: 1 to 8; 4, or 6 with dx7.")] = None,
    slot: Annotated[
        int | None, typer.Option(help="Keep it in the library, in this slot, 1 to 128.")
    ] = None,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Turn a prompt into a playable patch: a preset, its WAV, and the WAV it started from."""
    settings = config.load()
    if renderer is None:
        if start is None:
            raise CommandFailed("bad-input", "--renderer must be fm or impact", exit_code=2)
        renderer = load(start).renderer
    job = DesignPatch.model_validate(
        {
            "id": new_id(),
            "prompt": prompt,
            "renderer": renderer,
            "out": _absolute(out),
            "duration": seconds,
            "steps": steps,
            "seed": seed,
            "recipe": preset,
            "start": None if start is None else _absolute(start),
            "matrix": matrix,
            "operators": operators,
            "slot": slot,
            "model": model or settings.model,
        }
    )
    result = _run(job, settings, as_json)
    _show(result, display.patch(result), as_json)


@app.command()
def separate(
    file: Annotated[Path, typer.Argument(help="The mixture: WAV, FLAC, Ogg, AIFF or MP3.")],
    prompt: Annotated[list[str], typer.Option(help="What one stem holds; once for each stem.")],
    out: Out,
    method: Annotated[str, typer.Option(help="masks or paper")] = "masks",
    steps: Refinement = None,
    seed: Seed = 0,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Split a recording into one stem a prompt and a residual that add up to it."""
    settings = config.load()
    job = Separate.model_validate(
        {
            "id": new_id(),
            "file": _absolute(file),
            "prompts": tuple(prompt),
            "out": _absolute(out),
            "method": method,
            "steps": steps,
            "seed": seed,
            "model": model or settings.model,
        }
    )
    result = _run(job, settings, as_json)
    _show(result, display.separate(result), as_json)


@app.command()
def render(
    preset: Annotated[Path, typer.Argument(help="A preset file.")],
    out: Annotated[Path, typer.Option(help="The WAV file to write.")],
    note: Annotated[float | None, typer.Option(help="MIDI note; the preset's own.")] = None,
    velocity: Annotated[int, typer.Option(help="1 to 127")] = 100,
    seconds: Annotated[float | None, typer.Option(help="Length; the preset's own.")] = None,
    plugin: Annotated[
        str | None, typer.Option(help="A VST3: a path, or the file name of an installed one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Play a preset into a 32-bit float WAV, through its effects."""
    job = RenderPreset.model_validate(
        {
            "id": new_id(),
            "preset": _absolute(preset),
            "out": _absolute(out),
            "note": note,
            "velocity": velocity,
            "duration": seconds,
            "plugin": plugin and _plugin(plugin),
        }
    )
    result = _run(job, config.load(), as_json)
    _show(result, display.render(result), as_json)


@app.command()
def edit(
    preset: Annotated[Path, typer.Argument(help="A preset file.")],
    prompt: Annotated[str, typer.Argument(help="What is to change, such as: darker.")],
    out: Out,
    old: Annotated[
        str | None, typer.Option(help="What it sounds like now; the preset's own prompt.")
    ] = None,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Change a preset by words: the same, but darker."""
    settings = config.load()
    job = EditPreset.model_validate(
        {
            "id": new_id(),
            "preset": _absolute(preset),
            "prompt": prompt,
            "out": _absolute(out),
            "old": old,
            "steps": steps,
            "seed": seed,
            "model": model or settings.model,
        }
    )
    result = _run(job, settings, as_json)
    _show(result, display.edit(result), as_json)


@app.command()
def vary(
    preset: Annotated[Path, typer.Argument(help="A preset file.")],
    out: Out,
    count: Annotated[int, typer.Option(help="How many, 1 to 100.")] = 10,
    amount: Annotated[
        float, typer.Option(help="0.1 is another strike, 0.3 a sibling, 1 one of the family.")
    ] = 0.3,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Write presets near a preset, each with its sound."""
    numbers = {"count": count, "amount": amount, "seed": seed}
    files = {"preset": _absolute(preset), "out": _absolute(out)}
    result = _run(Vary.model_validate({"id": new_id(), **files, **numbers}), config.load(), as_json)
    _show(result, display.variations(result), as_json)


@app.command()
def morph(
    preset: Annotated[Path, typer.Argument(help="The preset file to begin with.")],
    other: Annotated[Path, typer.Argument(help="The preset file to end with.")],
    out: Out,
    steps: Annotated[int, typer.Option(help="How many presets, both ends among them.")] = 5,
    as_json: Json = False,
) -> None:
    """Write presets on the way from one to another, each with its sound."""
    files = {"preset": _absolute(preset), "other": _absolute(other), "out": _absolute(out)}
    job = Morph.model_validate({"id": new_id(), "steps": steps, **files})
    result = _run(job, config.load(), as_json)
    _show(result, display.variations(result), as_json)


@app.command()
def export(
    preset: Annotated[Path, typer.Argument(help="A preset file.")],
    to: Annotated[list[str], typer.Option(help=f"{', '.join(EXPORTERS)} or all; repeatable.")],
    out: Annotated[Path, typer.Option(help="A folder, or a file with the format's suffix.")],
    rate: Annotated[int, typer.Option(help="44100 or 48000 Hz, for what is sampled.")] = 44100,
    as_json: Json = False,
) -> None:
    """Write a preset as files of other synths, and say what each of them lost."""
    job = Export.model_validate(
        {
            "id": new_id(),
            "preset": _absolute(preset),
            "formats": tuple(to),
            "out": _absolute(out),
            "rate": rate,
        }
    )
    result = _run(job, config.load(), as_json)
    _show(result, display.export(result), as_json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A DX7 file (.syx): a bank of 32, or one voice.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder; named as the file when left out.")
    ] = None,
    voice: Annotated[int | None, typer.Option(help="Only the voice of this number.")] = None,
    as_json: Json = False,
) -> None:
    """Turn the voices of a DX7 into presets, and say what of each was lost."""
    rows = imports.syx(file, Path(_absolute(out or Path(file.stem))), voice=voice)
    _show({"voices": rows}, display.voices(rows), as_json)


@app.command("eval")
def eval_(
    suite: Annotated[
        list[str], typer.Option(help="codec, prior, patch, separate, ablation or all; repeatable.")
    ] = ["all"],  # noqa: B006, typer copies it
    data: Annotated[Path, typer.Option(help="Recordings with manifests.")] = DATA,
    model: Model = None,
    judge: Annotated[
        str, typer.Option(help="The shipped one, or a CLAP: its folder or hub id.")
    ] = "default",
    items: Annotated[int | None, typer.Option(help="At most so many a suite.")] = None,
    seed: Seed = 0,
    out: Out = Path("scoreboard"),
    report: Annotated[Path | None, typer.Option(help="Write the page to this file too.")] = None,
    as_json: Json = False,
) -> None:
    """Score a model on recordings, beside baselines; stopped, the same command goes on."""
    if report is not None and not report.absolute().parent.is_dir():
        raise CommandFailed("bad-output", f"report {report} cannot be written: no such folder")
    settings = config.load()
    job = Evaluate.model_validate(
        {
            "id": new_id(),
            "suites": tuple(suite),
            "data": _absolute(data),
            "out": _absolute(out),
            "model": model or settings.model,
            "judge": judge,
            "seed": seed,
            "items": items,
        }
    )
    result = _run(job, settings, as_json)
    page = Path(result["page"]).read_text(encoding="utf-8")
    if report is not None:
        report.write_text(page, encoding="utf-8")
    if as_json:
        figures = json.loads(Path(result["figures"]).read_text(encoding="utf-8"))
        typer.echo(json.dumps(result | figures, ensure_ascii=False))
    else:
        typer.echo(page)


@app.command()
def jobs(
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1)] = 20,
    state: Annotated[
        State | None, typer.Option(help="Only those queued, running, done, failed, ...")
    ] = None,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """List what was asked for, and how it ended."""
    ledger = config.load(config_file).ledger
    entries: tuple[Entry, ...] = ()
    if ledger.is_file():
        with Store(ledger) as store:
            entries = store.list(limit=limit, state=state)
    rows = [display.entry(entry) for entry in entries]
    _show({"jobs": rows}, display.jobs(rows), as_json)


@app.command()
def verify(
    manifest: Annotated[Path, typer.Argument(help="The stems.json of a separation.")],
    as_json: Json = False,
) -> None:
    """Add the stem files up as a DAW would, and say how far they are from their source."""
    if not manifest.is_file():
        raise CommandFailed("bad-input", f"manifest {manifest} does not exist")
    null_db = stems.verify(manifest)
    ok = null_db < NULL_LIMIT_DB
    result = {"manifest": _absolute(manifest), "null_db": round(null_db, 2), "ok": ok}
    _show(result, display.verify(result, NULL_LIMIT_DB), as_json)
    if not ok:
        raise typer.Exit(1)


def main() -> None:
    """The `scorewire` command; every expected failure leaves as one sentence."""
    as_json = "--json" in sys.argv[1:]
    try:
        code = app(standalone_mode=False)
    except CommandFailed as error:
        code = _fail(error.code, error.reason, error.exit_code, as_json)
    except ValidationError as error:
        code = _fail("bad-input", display.refusal(error), 2, as_json)
    except TyperException as error:
        code = _fail("bad-input", error.format_message(), 2, as_json)
    except ValueError as error:
        code = _fail("bad-input", str(error), 1, as_json)
    except sqlite3.Error as error:
        code = _fail("bad-output", f"the job ledger cannot be used: {error}", 1, as_json)
    except OSError as error:
        what = "bad-input" if isinstance(error, FileNotFoundError) else "bad-output"
        where = f"{error.filename}: " if error.filename else ""
        code = _fail(what, f"{where}{error.strerror or error}", 1, as_json)
    except KeyboardInterrupt:
        code = _fail("cancelled", "stopped by Ctrl-C", 130, as_json)
    raise SystemExit(code or 0)


def _fail(code: str, reason: str, exit_code: int, as_json: bool) -> int:
    if as_json:
        typer.echo(json.dumps({"error": {"code": code, "reason": reason}}, ensure_ascii=False))
    if reason:  # none when the bare command has just shown its help
        typer.echo(f"scorewire: {reason}", err=True)
    return exit_code


def _show(result: dict[str, Any], table: Table, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        Console().print(table)


def _absolute(path: Path) -> str:
    return str(path.expanduser().absolute())


def _plugin(plugin: str) -> str:
    """The worker may stand in another folder: a path is absolute, an installed one's name stays."""
    return _absolute(Path(plugin)) if Path(plugin).exists() else plugin


def _run(job: Job, settings: config.Config, as_json: bool) -> dict[str, Any]:
    """The result of a job run here and now on an own worker; `CommandFailed` when it has none."""
    missing = doctor.missing_packages()
    if missing:
        raise CommandFailed("no-worker", missing)
    with ExitStack() as stack:
        show = None if as_json else stack.enter_context(display.watching())
        entry = asyncio.run(_live(job, settings, show))
    match entry.state:
        case "done":
            return entry.result or {}
        case "cancelled":
            goes_on = isinstance(job, Evaluate)
            left = "the same command goes on from here" if goes_on else "nothing was left behind"
            reason = f"stopped by Ctrl-C; {left}"
            raise CommandFailed("cancelled", reason, exit_code=130)
        case _:
            raise CommandFailed(entry.code, entry.reason)


async def _live(job: Job, settings: config.Config, show: display.Show | None) -> Entry:
    """One job's life in the ledger, on a worker of our own; Ctrl-C cancels it at its next step."""
    engine = LocalEngine(settings.worker, grace=settings.grace, stall=settings.stall)
    async with server.stopping_on_signals() as stop:
        with Store(settings.ledger) as store:
            async with engine, server.Server(settings, store, engine) as jobs_server:
                jobs_server.submit(job, client="cli", req=secrets.randbits(31))
                if show is not None:
                    jobs_server.listen(job.id, "cli", show)
                ended = asyncio.create_task(jobs_server.wait(job.id))
                stopped = asyncio.create_task(stop.wait())
                await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    await jobs_server.cancel(job.id)
                stopped.cancel()
                return await ended


if __name__ == "__main__":
    main()
