"""What is in a track: suggest."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from bridge.cli.base import CommandFailed, ConfigFile, Json, absolute, run, show
from bridge.protocol.jobs import Suggest
from bridge.service import config
from bridge.service.language_model import AssistantFailed

BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = 40  # of a curve over the length of the file

app = typer.Typer()


@app.command()
def suggest(
    file: Annotated[Path, typer.Argument(help="The recording: WAV, FLAC, Ogg, AIFF or MP3.")],
    top: Annotated[int, typer.Option(help="How many at most.")] = 8,
    assist: Annotated[
        bool, typer.Option("--assist", help="Let the configured assistant make prompts of them.")
    ] = False,
    describe: Annotated[
        str | None, typer.Option(help="What it is, in your words: the assistant reads that too.")
    ] = None,
    config_file: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Name what is heard in a recording, and when: prompts to separate it by."""
    assistant = config.load(config_file).assistant
    if (assist or describe is not None) and assistant is None:
        reason = "--assist and --describe need an [assistant] with url and model in config.toml"
        raise CommandFailed("bad-input", reason, exit_code=2)
    result = run(Suggest, as_json, file=absolute(file), top=top)
    if assistant is not None and (assist or describe is not None):
        tags = [row["prompt"] for row in result["suggestions"]]
        try:
            result["prompts"] = assistant.prompts(tags, describe or "")
        except AssistantFailed as error:
            raise CommandFailed("no-assistant", str(error)) from error
    show(result, table(result), as_json)


def table(result: dict[str, object]) -> Table:
    """Prompt, probability and when, a row each; then the assistant's prompts."""
    rows = Table(box=None, pad_edge=False)
    for title in ("prompt", "score", "heard when"):
        rows.add_column(title)
    found = result["suggestions"]
    for row in found if isinstance(found, list) else ():
        rows.add_row(Text(row["prompt"]), f"{row['score']:.2f}", curve(row["activity"]))
    prompts = result.get("prompts")
    for prompt in prompts if isinstance(prompts, tuple) else ():
        rows.add_row(Text(prompt), "", "the assistant's")  # markup of others is text
    return rows


def curve(activity: list[float], columns: int = COLUMNS) -> str:
    """Probabilities in 0..1 as bars, the highest of those that share a column.

    >>> curve([0.0, 0.5, 1.0]), curve([0.1, 1.0, 0.0, 0.2], columns=2)
    (' ▄█', '█▂')
    """
    count = min(columns, len(activity))
    edges = [i * len(activity) // count for i in range(count + 1)] if count else []
    tops = [max(activity[a:b]) for a, b in pairwise(edges)]
    return "".join(BARS[round(top * (len(BARS) - 1))] for top in tops)
