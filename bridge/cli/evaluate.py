"""The scoreboard: eval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.base import CommandFailed, Json, Model, Out, Seed, absolute, run
from bridge.protocol.jobs import Evaluate

DATA = Path("../shared/data")

app = typer.Typer()


@app.command("eval")
def eval_(
    suite: Annotated[
        list[str], typer.Option(help="codec, prior, patch, separate, ablation or all; repeatable.")
    ] = ["all"],  # noqa: B006, typer copies it
    data: Annotated[Path, typer.Option(help="Recordings with manifests.")] = DATA,
    model: Model = None,
    evaluation_scorer: Annotated[
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
    result = run(
        Evaluate,
        as_json,
        suites=tuple(suite),
        data=absolute(data),
        out=absolute(out),
        model=model,
        evaluation_scorer=evaluation_scorer,
        seed=seed,
        items=items,
    )
    page = Path(result["page"]).read_text(encoding="utf-8")
    if report is not None:
        report.write_text(page, encoding="utf-8")
    if as_json:
        figures = json.loads(Path(result["figures"]).read_text(encoding="utf-8"))
        typer.echo(json.dumps(result | figures, ensure_ascii=False))
    else:
        typer.echo(page)
