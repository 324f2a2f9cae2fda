"""Put stems on the tracks of a DAW, and install our scripts in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.base import CommandFailed, Json, Replace, absolute, show
from bridge.cli.choices import HOSTS, INSTALLERS

if TYPE_CHECKING:
    from bridge.hosts import HostResult

app = typer.Typer()


@app.command()
def place(
    manifest: Annotated[
        Path, typer.Argument(help="The folder of a separation, or its stems.json.")
    ],
    host: Annotated[str, typer.Option(help=f"{', '.join(HOSTS)}.")] = "folder",
    out: Annotated[
        Path | None,
        typer.Option(help="A folder, or a file of the host; when left out beside the stems."),
    ] = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Put stems where their source lay, in a DAW or its project file."""
    _check("--host", host, HOSTS)
    from bridge import hosts
    from bridge.files.write_terms import WriteRules
    from bridge.stems import manifest as stems

    manifest = stems.manifest_path(manifest.expanduser())
    placed = hosts.HOSTS[host].place_audio(
        manifest, Path(absolute(out or manifest.parent)), WriteRules(replace)
    )
    _show(host, placed, as_json)


@app.command()
def install(
    host: Annotated[str, typer.Argument(help=f"{', '.join(INSTALLERS)}.")],
    path: Annotated[
        Path | None, typer.Option(help="The DAW's folder of settings, when not the usual one.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over changed files.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Take it away instead.")] = False,
    as_json: Json = False,
) -> None:
    """Put Scorewire's actions into the menu of a DAW.

    They separate what is selected.
    """
    _check("host", host, INSTALLERS)
    from bridge import hosts

    installer = hosts.INSTALLERS[host]
    act = installer.uninstall if uninstall else installer.install
    _show(host, act(path.expanduser() if path else None, force=force), as_json)


def _check(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        reason = f"{what} must be one of {', '.join(known)}, got {name!r}"
        raise CommandFailed("bad-input", reason, exit_code=2)


def _show(host: str, placed: HostResult, as_json: bool) -> None:
    from bridge.cli import tables

    result = {"host": host, "text": placed.text, "files": [str(file) for file in placed.files]}
    show(result, lambda: tables.placement(result), as_json)
