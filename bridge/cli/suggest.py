"""Suggest prompts for a track."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.base import CommandFailed, ConfigFile, Here, Json, absolute, run, show

app = typer.Typer()


@app.command()
def suggest(
    file: Annotated[
        Path, typer.Argument(help="The recording: WAV, FLAC, Ogg, AIFF or MP3; others by ffmpeg.")
    ],
    top: Annotated[int, typer.Option(help="How many at most.")] = 8,
    assist: Annotated[
        bool, typer.Option("--assist", help="Let the configured assistant make prompts of them.")
    ] = False,
    describe: Annotated[
        str | None, typer.Option(help="What it is, in your words: the assistant reads that too.")
    ] = None,
    config_file: ConfigFile = None,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Name the sounds in a recording, and when they are there.

    The names are prompts to separate it by.
    A name is likely (probability 0.6 and more), possible (0.3 and more) or a guess; the last line
    says so when even the first one is.
    """
    from bridge.cli import tables
    from bridge.protocol.jobs import Suggest
    from bridge.service import config
    from bridge.service.language_model import AssistantFailed

    assistant = config.load(config_file).assistant
    if (assist or describe is not None) and assistant is None:
        reason = "--assist and --describe need an [assistant] with url and model in config.toml"
        raise CommandFailed("bad-input", reason, exit_code=2)
    result = run(Suggest, as_json, here, file=absolute(file), top=top)
    if assistant is not None and (assist or describe is not None):
        tags = [row["prompt"] for row in result["suggestions"]]
        try:
            result["prompts"] = assistant.prompts(tags, describe or "")
        except AssistantFailed as error:
            raise CommandFailed("no-assistant", str(error)) from error
    show(result, lambda: tables.suggestions(result), as_json)
