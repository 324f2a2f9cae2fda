"""Run and inspect the server: serve, panel, play, doctor, jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from bridge.cli.base import (
    INT,
    Address,
    CommandFailed,
    ConfigFile,
    EngineName,
    Json,
    Model,
    Workers,
    on_engine,
    show,
)
from bridge.cli.choices import STATES

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.service.config import Config
    from bridge.service.discovery import RunningServer

app = typer.Typer()


@app.command()
def serve(
    play: Annotated[bool, typer.Option("--play", help="Play the library's slots too.")] = False,
    announce: Annotated[
        bool, typer.Option("--announce", help="Let OSCQuery clients find it on the network (mDNS).")
    ] = False,
    engine: EngineName = None,
    address: Address = None,
    workers: Workers = None,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Listen for OSC and HTTP on this machine until Ctrl-C.

    One job runs at a time, on a Ray cluster as many as it has workers; others wait.
    """
    from bridge.service import config

    settings = on_engine(config.load(config_file), engine, address, workers)
    _serve(settings, play, as_json, announce=announce)


@app.command("play")
def play_(
    presets: Annotated[
        list[Path] | None,
        typer.Argument(help="Preset files for slot 1, 2, ..., kept there."),
    ] = None,
    output: Annotated[str, typer.Option(help="auto, jack or portaudio")] = "auto",
    device: Annotated[str, typer.Option(help="Part of a sound card's name (portaudio).")] = "",
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Play patches from MIDI and OSC until Ctrl-C.

    It is `serve --play`, with the presets that are named put into slots first. Where a server runs,
    that one plays them, and this command ends.
    """
    from dataclasses import replace

    from bridge.service import config, discovery
    from presets import load
    from presets.library import Library

    settings = config.load(config_file)
    if output not in ("auto", "jack", "portaudio"):
        raise CommandFailed(
            "bad-input", f"--output must be auto, jack or portaudio, got {output!r}", exit_code=2
        )
    running = discovery.find(settings.data)
    if running is not None and (device or output != "auto"):
        reason = "a server runs, and has its own output: stop it, or leave --output and --device"
        raise CommandFailed("no-player", reason)
    library = Library(settings.library)
    loaded = [(load(path), path.with_suffix(".wav")) for path in presets or ()]
    files = [
        library.add(preset, preview=wav if wav.is_file() else None, once=True).path.name
        for preset, wav in loaded
    ]
    if running is not None:
        _play_there(running, settings, files, as_json)
        return
    for slot, file in enumerate(files, start=1):
        library.assign(slot, file)
    chosen = [*settings.player]
    chosen += ["--output", output] if output != "auto" else []
    chosen += ["--device", device] if device else []
    _serve(replace(settings, player=tuple(chosen)), True, as_json)


def _play_there(running: RunningServer, settings: Config, files: list[str], as_json: bool) -> None:
    """Let the server that runs play presets of the library, in slots 1, 2, ..."""
    from bridge.cli import tables

    try:
        token = settings.token_file.read_text(encoding="ascii").strip()
        answer = running.ask("POST", "/v1/play", token, {"presets": files})
    except (OSError, ValueError) as error:
        reason = f"the server that runs does not play them: {error}; stop it, and play again"
        raise CommandFailed("no-player", reason) from error
    result = answer | {"host": settings.osc_host, "port": running.osc}
    show(result, lambda: tables.played(result), as_json)


def _serve(
    settings: Config,
    play: bool,
    as_json: bool,
    *,
    announce: bool = False,
    then: Callable[[], None] | None = None,
) -> None:
    """Run a server until Ctrl-C; `then` is called beside it once it answers."""
    import asyncio
    import json
    import logging
    import sys
    import threading

    from bridge.app.serve import run_server
    from bridge.cli import tables
    from bridge.player.protocol import Happening
    from bridge.service import discovery
    from presets.library import Library

    logging.getLogger().setLevel(logging.INFO)
    slots = Library(settings.library).slots() if play else {}

    def ready(port: int, http: int) -> None:
        place: dict[str, object] = {
            "host": settings.osc_host,
            "port": port,
            "data": str(settings.data),
        }
        address = discovery.panel_address(settings.http_host, http)
        place |= {"http_host": settings.http_host, "http_port": http, "panel": address}
        text = (
            f"Scorewire listens for OSC on {settings.osc_host} port {port} (UDP), "
            f"and for HTTP on {settings.http_host} port {http}.\n"
            f"Its panel is {address}: `scorewire panel` opens it."
        )
        if play:
            place["slots"] = {number: path.stem for number, path in slots.items()}
        for line in [json.dumps(place)] if as_json else [text, *tables.slots(slots, play)]:
            typer.echo(line)
        sys.stdout.flush()
        if then is not None:
            threading.Thread(target=then, daemon=True).start()

    def show_happening(happening: Happening) -> None:
        if (line := tables.device(happening)) and not as_json:
            typer.echo(line)
            sys.stdout.flush()

    asyncio.run(
        run_server(settings, play=play, announce=announce, ready=ready, on_happening=show_happening)
    )


@app.command()
def panel(
    show_only: Annotated[
        bool, typer.Option("--print", help="Print the link, and open no browser.")
    ] = False,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Open the panel in your browser.

    It is that of the server that runs, else of one that runs until Ctrl-C. A link lets one
    browser in, once, within two minutes; a cookie does from then on.
    """
    from bridge.service import config, discovery

    settings = config.load(config_file)
    running = discovery.find(settings.data)
    if running is not None:
        _open_panel(settings, running, show_only=show_only, as_json=as_json)
    elif show_only or as_json:
        raise CommandFailed("no-server", "no server runs: start `scorewire serve` first")
    else:
        _serve(settings, False, False, then=lambda: _open_own_panel(settings))


def _open_own_panel(settings: Config) -> None:
    """Open the panel of the server that this process has just started."""
    from bridge.service import discovery

    running = discovery.find(settings.data)
    if running is None:  # it has ended meanwhile
        return
    try:
        _open_panel(settings, running, show_only=False, as_json=False)
    except CommandFailed as error:
        typer.echo(str(error), err=True)


def _open_panel(
    settings: Config, running: RunningServer, *, show_only: bool, as_json: bool
) -> None:
    import json
    import webbrowser

    from bridge.service import discovery

    try:
        token = settings.token_file.read_text(encoding="ascii").strip()
        link = running.ask("POST", "/v1/panel/link", token)
    except (OSError, ValueError) as error:
        raise CommandFailed("no-server", f"the server gave no link: {error}") from error
    opened = not (show_only or as_json) and webbrowser.open(link["url"])
    result = link | {"panel": discovery.panel_address(running.host, running.http)}
    if as_json:
        typer.echo(json.dumps(result))
    elif opened:
        typer.echo(f"Opened {result['panel']} in your browser.")
    else:
        typer.echo(result["url"])


@app.command()
def token(config_file: ConfigFile = None, as_json: Json = False) -> None:
    """Print the token that HTTP requests need; made if there is none."""
    import json

    from bridge.http import access
    from bridge.service import config

    settings = config.load(config_file)
    result = {"token": access.token(settings.token_file), "file": str(settings.token_file)}
    typer.echo(json.dumps(result) if as_json else result["token"])


@app.command("doctor")
def doctor_(config_file: ConfigFile = None, model: Model = None, as_json: Json = False) -> None:
    """Check what Scorewire needs, and say how to get what is missing.

    It compiles and runs a kernel, loads the model, and sends an OSC packet round. Of a model that did
    not ship it says beforehand what memory and how many minutes each recipe needs here.
    """
    import asyncio
    from contextlib import nullcontext

    from bridge.app import doctor
    from bridge.cli import tables
    from bridge.service import config

    settings = config.load(config_file)
    with nullcontext() if as_json else tables.waiting("trying a kernel, a player and the model"):
        report = asyncio.run(doctor.examine(settings, model=model or settings.model))
    show(report, lambda: tables.checks(report), as_json)
    if not report["ok"]:
        raise typer.Exit(1)


@app.command()
def jobs(
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, metavar=INT)] = 20,
    state: Annotated[
        str | None, typer.Option(help=f"Only jobs in this state: {', '.join(STATES)}.")
    ] = None,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """List what was asked for, and how it ended, a line a job."""
    if state not in (None, *STATES):
        reason = f"--state must be one of {', '.join(STATES)}, got {state!r}"
        raise CommandFailed("bad-input", reason, exit_code=2)
    from bridge.cli import tables
    from bridge.service import config
    from bridge.service.ledger import Entry, State, Store, describe_entry

    known: State | None = next((name for name in get_args(State) if name == state), None)
    ledger = config.load(config_file).ledger
    entries: tuple[Entry, ...] = ()
    rows = []
    if ledger.is_file():
        with Store(ledger) as store:
            entries = store.list(limit=limit, state=known)
            rows = [describe_entry(entry, store.ahead(entry)) for entry in entries]
    show({"jobs": rows}, lambda: tables.jobs(rows), as_json)
