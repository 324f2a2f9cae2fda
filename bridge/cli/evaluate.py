"""The scoreboard: eval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args

import typer

from bridge.cli.base import (
    TEXT,
    Address,
    CommandFailed,
    EngineName,
    Json,
    Out,
    Replace,
    Seed,
    Workers,
    absolute,
    on_engine,
    run_each,
)

if TYPE_CHECKING:
    from bridge.files.write_terms import WriteRules

DATA = Path("../shared/data")

app = typer.Typer()


Suites: TypeAlias = Annotated[
    list[str],
    typer.Option(
        "--suite",
        metavar=TEXT,
        help="A part by its name, as in docs/scoreboard.md, or all.",
    ),
]
Models: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar=TEXT,
        help="default, edm, or a model's folder or hub id; repeatable: models side by side.",
    ),
]
Methods: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--method", metavar=TEXT, help="A row of the tables by its name; repeatable; else all."
    ),
]


@app.command("eval")
def eval_(
    suites: Suites = ["all"],  # noqa: B006, typer copies it
    data: Annotated[Path, typer.Option(help="Recordings with manifests.")] = DATA,
    models: Models = None,
    evaluation_scorer: Annotated[
        str, typer.Option(help="The shipped one, or a CLAP: its folder or hub id.")
    ] = "default",
    items: Annotated[int | None, typer.Option(help="At most so many a suite.")] = None,
    methods: Methods = None,
    measured: Annotated[
        bool, typer.Option("--measured", help="Write the page of what is there, measure nothing.")
    ] = False,
    seed: Seed = 0,
    out: Out = Path("scoreboard"),
    report: Annotated[
        Path | None,
        typer.Option(help="Write the page to this file too; suites not run keep their sections."),
    ] = None,
    engine: EngineName = None,
    address: Address = None,
    workers: Workers = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Score models on recordings, beside baselines.

    A run that was stopped goes on where it was when the same command is given again.
    """
    from bridge.files.write_terms import WriteRules
    from bridge.protocol.jobs import Evaluate
    from bridge.service import config

    rules = WriteRules(replace)
    if report is not None:
        _check_report(report, rules)
    settings = on_engine(config.load(), engine, address, workers)
    asked = {
        "suites": tuple(suites),
        "data": absolute(data),
        "out": absolute(out),
        "models": tuple(models) if models else (settings.model,),
        "evaluation_scorer": evaluation_scorer,
        "seed": seed,
        "items": items,
        "methods": tuple(methods or ()),
        "measured": measured,
        "replace": replace,
    }
    # It takes hours: a server would keep all others waiting.
    (result,) = run_each(Evaluate, as_json, True, [asked], settings)
    _show(result, report, rules, as_json)


def _show(result: dict[str, Any], report: Path | None, rules: WriteRules, as_json: bool) -> None:
    """Print the page, or its figures as JSON, and put it into the report."""
    import json

    from presets.reading import read_json

    page = Path(result["page"]).read_text(encoding="utf-8")
    if report is not None:
        _write_report(report, page, rules)
    if as_json:
        figures = read_json(Path(result["figures"]))
        typer.echo(json.dumps(result | figures, ensure_ascii=False))
    else:
        typer.echo(page)


def _check_report(report: Path, rules: WriteRules) -> None:
    """Refuse now what could not be written in an hour."""
    if not report.absolute().parent.is_dir():
        raise CommandFailed("bad-output", f"report {report} cannot be written: no such folder")
    rules.check(report.absolute())


def _write_report(report: Path, page: str, rules: WriteRules) -> None:
    """Put the page's sections into the file, beside those that are there."""
    from bridge.hosts.files import whole

    before = report.read_text(encoding="utf-8") if report.exists() else ""
    with whole(report.absolute(), rules) as partial:
        partial.write_text(merge_pages(before, page), encoding="utf-8")


def merge_pages(before: str, page: str) -> str:
    """A page whose sections (their "## suite" lines begin them) replace or join those of before.

    The head is the new page's; sections stand in the order of the suites.
    """
    from bridge.protocol.jobs import SuiteName

    (head, *new), (_, *old) = (("\n" + text).split("\n## ") for text in (page, before))
    sections = {text.split("\n", 1)[0]: text for text in (*old, *new)}
    known = [name for name in get_args(SuiteName) if name in sections]
    return "\n## ".join([head, *(sections[name].rstrip("\n") + "\n" for name in known)])[1:]
