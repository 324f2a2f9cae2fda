"""Record audio from JACK."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.base import TEXT, CommandFailed, ConfigFile, Json, absolute, show

if TYPE_CHECKING:
    from bridge.cli import tables
    from bridge.protocol.events import Event
    from bridge.protocol.jobs import Record

app = typer.Typer()


@app.command()
def record(
    out: Annotated[Path, typer.Argument(help="The WAV file, which is not there yet.")],
    duration: Annotated[
        float | None, typer.Option(help="Seconds; when left out until Ctrl-C.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar=TEXT,
            help="Ports by name or regular expression; when left out the sound card's.",
        ),
    ] = None,
    start_samples: Annotated[
        int | None,
        typer.Option(
            help="Where it begins in the session; when left out where JACK's transport is."
        ),
    ] = None,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Record from a JACK server into a float WAV.

    Ctrl-C ends the take and keeps it.
    """
    import asyncio
    from contextlib import ExitStack

    from bridge.cli import tables
    from bridge.protocol.events import Done, Failed
    from bridge.protocol.jobs import Record, new_id
    from bridge.service import config, file_access

    settings = config.load(config_file)
    job = Record(
        id=new_id(),
        out=absolute(out),
        inputs=tuple(inputs or ()),
        duration=duration,
        start_samples=start_samples,
    )
    job = Record.model_validate(file_access.bound(job, settings, trusted=True))
    file_access.check(job, read=settings.readable, write=settings.writable)
    with ExitStack() as stack:
        progress = None if as_json else stack.enter_context(tables.progress_line())
        last = asyncio.run(_take(job, progress))
    if isinstance(last, Done):
        result = last.result
        show(result, lambda: tables.record(result), as_json)
    elif isinstance(last, Failed):
        raise CommandFailed(last.code, last.reason)


async def _take(job: Record, progress: tables.Show | None) -> Event | None:
    """The last event of a recording that Ctrl-C stops."""
    import asyncio
    from contextlib import aclosing

    from bridge.execution.recording import RecordingEngine
    from bridge.service import signals

    event: Event | None = None
    async with signals.stopping_on_signals() as stop, RecordingEngine() as engine:

        async def end() -> None:
            await stop.wait()
            while not engine.stop(job.id):  # the recorder may only just be starting
                await asyncio.sleep(0.05)

        ending = asyncio.create_task(end())
        async with aclosing(engine.submit(job)) as events:
            async for event in events:
                if progress is not None:
                    progress(event)
        ending.cancel()
    return event
