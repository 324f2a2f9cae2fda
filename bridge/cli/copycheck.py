"""Find the training recordings that sounds are nearest to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.base import Here, Json, absolute, run_each, show

app = typer.Typer()


@app.command()
def copycheck(
    file: Annotated[
        list[Path], typer.Argument(help="Sounds: WAV, FLAC, Ogg, AIFF or MP3; others by ffmpeg.")
    ],
    label: Annotated[
        str | None, typer.Option(help="Class of the training recordings to ask; else all.")
    ] = None,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Name the training recording nearest to each sound.

    The percentile says what share of training recordings are less like their own nearest one; the
    match, at most 1, how well the fingerprints fit. A line warns that it may be a copy where they
    fit better than those of 99 % of the training recordings fit any other.
    """
    from bridge.cli import tables
    from bridge.protocol.jobs import CopyCheck

    files = [absolute(path) for path in file]
    asked = [{"file": path, "label": label} for path in files]
    results = [
        {"file": path} | result
        for path, result in zip(files, run_each(CopyCheck, as_json, here, asked), strict=True)
    ]
    show({"files": results}, lambda: tables.nearest_recordings(results), as_json)
