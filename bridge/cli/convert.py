"""Convert released checkpoints to safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bridge.cli.base import Here, Json, Replace, absolute, run, show

app = typer.Typer()


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A released checkpoint of MSDM (.ckpt).")],
    to: Annotated[Literal["safetensors"], typer.Option(help="What it becomes.")] = "safetensors",
    out: Annotated[
        Path | None, typer.Option(help="File to write; FILE.safetensors when left out.")
    ] = None,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Convert a checkpoint of multi-source diffusion to safetensors.

    A checkpoint is a pickle, which can run any code when it is opened. Here nothing in it is run:
    tensors are taken out, and all else is left.
    """
    from bridge.cli import tables
    from bridge.protocol.jobs import Convert

    place = out if out is not None else file.with_suffix(".safetensors")
    values = {"file": absolute(file), "out": absolute(place), "to": to, "replace": replace}
    result = run(Convert, as_json, here, **values)
    show(result, lambda: tables.converted(result), as_json)
