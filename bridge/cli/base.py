"""Options that commands share, running a job, and showing its result.

Importing a module of commands loads typer and nothing else of weight, so that help comes at once:
what a command works with is imported in the command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from bridge.cli import tables
    from bridge.protocol.jobs import Job
    from bridge.service import config
    from bridge.service.ledger import Entry

INT = "<int>"  # and of a number with bounds
TEXT = "<str>"  # what the help calls the value of an option that may be repeated
Json = Annotated[bool, typer.Option("--json", help="One JSON object as the last line of stdout.")]
Steps = Annotated[int | None, typer.Option(help="Optimisation steps; the recipe's when left out.")]
Seed = Annotated[int, typer.Option(help="The same seed on the same machine: the same files.")]
Model = Annotated[
    str | None, typer.Option(help="NAME, folder or hub id; when left out the configured one.")
]
StemModel = Annotated[
    str, typer.Option(help="Model of bass, drums, guitar and piano: NAME or folder.")
]
Out = Annotated[Path, typer.Option(help="Folder for the results; made when it is not there.")]
OutOrInbox = Annotated[
    Path | None,
    typer.Option(help="Folder for the results; when left out the library, tagged inbox."),
]
Replace = Annotated[
    bool, typer.Option("--replace", help="Replace files that Scorewire did not make, too.")
]
Here = Annotated[bool, typer.Option("--here", help="In a worker of its own, though a server runs.")]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="Where jobs run: local or ray; else as configured.")
]
Address = Annotated[
    str | None, typer.Option(help="Of the Ray cluster, host:port or auto; else one is started.")
]
Workers = Annotated[
    int | None,
    typer.Option(metavar=INT, help="On the cluster; else one a GPU, one a machine without."),
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A TOML file of settings.")]


def on_engine(
    settings: config.Config, engine: str | None, address: str | None, workers: int | None
) -> config.Config:
    """The settings with the engine that a command names; `ValueError` for one that is not one."""
    from dataclasses import replace

    return replace(
        settings,
        engine=settings.engine if engine is None else engine,
        cluster=settings.cluster if address is None else address,
        cluster_workers=settings.cluster_workers if workers is None else workers,
    )


class CommandFailed(Exception):
    """A command could not do it: a stable `code` and one sentence."""

    def __init__(self, code: str, reason: str, *, exit_code: int = 1) -> None:
        super().__init__(reason)
        self.code, self.reason, self.exit_code = code, reason, exit_code


def absolute(path: Path) -> str:
    """The absolute path, as jobs name files; `~` is the home folder."""
    return str(path.expanduser().absolute())


def preset_file(called: Path) -> str:
    """The absolute path of a preset: a file, or what the library calls it.

    Raises `ValueError` for what is neither.
    """
    path = called.expanduser()
    if path.exists() or len(path.parts) > 1 or path.suffix == ".json":
        return absolute(path)
    from bridge.service import config
    from presets.library import Library

    return str(Library(config.load().library).get(str(called)).path)


def start_file(called: Path) -> str:
    """The absolute path of a preset: as `preset_file`, or the number of a patch that the newest
    search found.
    """
    if not str(called).isdecimal():
        return preset_file(called)
    from bridge.service import choosing, config
    from bridge.service.ledger import Store

    with Store(config.load().ledger) as store:
        return str(choosing.file_of(store, str(called)))


def show(result: dict[str, Any], text: Callable[[], Text], as_json: bool) -> None:
    """Print a result: JSON for programs, for people the lines of `text`, which are never cut."""
    if as_json:
        import json

        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        from rich.console import Console

        Console().print(text(), soft_wrap=True)


def run(kind: type[Job], as_json: bool, here: bool, **values: Any) -> dict[str, Any]:
    """Run a job of `kind` and return its result; as `run_each`."""
    return run_each(kind, as_json, here, [values])[0]


def run_each(
    kind: type[Job],
    as_json: bool,
    here: bool,
    asked: Sequence[dict[str, Any]],
    settings: config.Config | None = None,
) -> list[dict[str, Any]]:
    """Run a job of `kind` for each of `asked`, one after the other, and return their results.

    The server that runs for the data folder does them, unless `here`; else, or when it does not
    take one, a worker of this process, or whatever runs jobs by `settings` (None: those of the
    user). A `model` of None is the configured one. Raises pydantic's
    `ValidationError` when values make no job, `CommandFailed` for the first that has no result.
    """
    import asyncio
    from contextlib import ExitStack

    from bridge.app import doctor
    from bridge.cli import tables
    from bridge.protocol.jobs import Evaluate, new_id
    from bridge.service import config as configuration

    settings = settings or configuration.load()
    if "model" in kind.model_fields:
        asked = [values | {"model": values.get("model") or settings.model} for values in asked]
    all_jobs = [kind.model_validate({"id": new_id(), **values}) for values in asked]
    with ExitStack() as stack:
        watch = None if as_json else stack.enter_context(tables.progress_line())
        entries = [] if here else _handed_over(all_jobs, settings, watch)
        if len(entries) < len(all_jobs) and all(entry.state == "done" for entry in entries):
            if missing := doctor.missing_packages():
                raise CommandFailed("no-worker", missing)
            entries += asyncio.run(_live(all_jobs[len(entries) :], settings, watch))
    last = entries[-1]
    match last.state:
        case "done":
            return [entry.result or {} for entry in entries]
        case "cancelled":
            goes_on = isinstance(last.job, Evaluate)
            left = "the same command goes on from here" if goes_on else "nothing was left behind"
            reason = f"stopped by Ctrl-C; {left}"
            raise CommandFailed("cancelled", reason, exit_code=130)
        case _:
            raise CommandFailed(last.code, last.reason)


def _handed_over(
    all_jobs: Sequence[Job], settings: config.Config, watch: tables.Show | None
) -> list[Entry]:
    """Lives of jobs in the ledger, in the server that runs, up to the first that it does not take
    or that is not done.
    """
    from bridge.app.handing_over import Silent, hand_over

    entries: list[Entry] = []
    for job in all_jobs:
        try:
            entry = hand_over(job, settings, watch)
        except Silent as silence:
            raise CommandFailed("stalled", f"{silence}; --here does without it") from silence
        if entry is None:
            break
        entries.append(entry)
        if entry.state != "done":
            break
    return entries


async def _live(
    all_jobs: Sequence[Job], settings: config.Config, watch: tables.Show | None
) -> list[Entry]:
    """Lives of jobs in the ledger, on a worker of our own, up to the first that is not done; Ctrl-C
    cancels it at its next step.
    """
    import asyncio
    import secrets

    from bridge.app.engines import engine_of
    from bridge.service import job_server, signals
    from bridge.service.ledger import Store, mend

    engine = engine_of(settings)
    if (aside := mend(settings.ledger)) is not None:
        typer.echo(f"the job ledger was damaged; it is kept as {aside}, a new one begins", err=True)
    async with signals.stopping_on_signals() as stop:
        with Store(settings.ledger) as store:
            async with engine, job_server.Server(settings, store, engine) as jobs_server:
                entries: list[Entry] = []
                for job in all_jobs:
                    jobs_server.submit(job, client="cli", req=secrets.randbits(31))
                    if watch is not None:
                        jobs_server.listen(job.id, "cli", watch)
                    ended = asyncio.create_task(jobs_server.wait(job.id))
                    stopped = asyncio.create_task(stop.wait())
                    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
                    if not ended.done():
                        await jobs_server.cancel(job.id)
                    stopped.cancel()
                    entries.append(await ended)
                    if entries[-1].state != "done":
                        break
                return entries
