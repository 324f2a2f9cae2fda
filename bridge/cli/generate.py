"""Generate sounds by prompts."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge.cli.base import Here, Json, Model, Out, Replace, Seed, absolute, run, show

app = typer.Typer()


@app.command()
def generate(
    prompts: Annotated[list[str], typer.Argument(help="What it should sound like; one or more.")],
    out: Out,
    duration: Annotated[
        float, typer.Option(help="Seconds of each clip, from 0.25 up to what the model can.")
    ] = 2.0,
    count: Annotated[int, typer.Option(help="Clips of each prompt, 1 to 100.")] = 4,
    steps: Annotated[
        int | None, typer.Option(help="Evaluations of the model for a clip; 20 when left out.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="How strictly to follow the prompt, 0 to 20; 3 when left out."),
    ] = None,
    seed: Seed = 0,
    model: Model = None,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Generate new sounds from prompts, a WAV each.

    Clip 2 has the next seed, and so on. What is too near to a recording that the shipped models
    learned from is warned of, with its author and licence.
    """
    from bridge.cli import tables
    from bridge.protocol.jobs import GenerateClips

    result = run(
        GenerateClips,
        as_json,
        here,
        prompts=tuple(prompts),
        out=absolute(out),
        duration=duration,
        count=count,
        steps=steps,
        guidance=guidance,
        seed=seed,
        model=model,
        replace=replace,
    )
    show(result, lambda: tables.generate(result), as_json)
