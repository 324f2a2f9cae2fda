"""Separate tracks into stems, and verify that stems add up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.base import (
    TEXT,
    CommandFailed,
    Here,
    Json,
    Model,
    Out,
    Replace,
    StemModel,
    absolute,
    run,
    show,
)
from bridge.cli.choices import HOSTS

NULL_LIMIT_DB = -100.0

app = typer.Typer()

Mixture = Annotated[
    Path, typer.Argument(help="The mixture: WAV, FLAC, Ogg, AIFF or MP3; others by ffmpeg.")
]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompt",
        metavar=TEXT,
        help="What one stem holds; once for each stem. The excerpt's when left out.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--stems",
        help="No prompts, but bass,drums,guitar,piano, or some of them; the rest is left.",
    ),
]
Negatives = Annotated[
    list[str] | None,
    typer.Option(
        "--negative", metavar=TEXT, help="What no stem is to hold: it goes to the residual."
    ),
]
Excerpt = Annotated[
    float | None,
    typer.Option(help="Try it on so many seconds first, quickly, into OUT/excerpt."),
]
ExcerptBegin = Annotated[
    float | None,
    typer.Option(help="The second at which the excerpt begins; else where most is going on."),
]
Auto = Annotated[
    bool, typer.Option("--auto", help="Suggest prompts by what is heard, beside those given.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Make a stem of a sound that is not heard, too.")
]
Method = Annotated[
    str | None,
    typer.Option(
        help="default, fast (does not use the model), best, masks or paper; with --stems default, "
        "fast, dirac, gaussian or accurate; when left out default."
    ),
]
Refinement = Annotated[
    int | None,
    typer.Option(
        help="Distillation steps, when left out 1000 for paper, else 0; with --stems evaluations."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(help="The same seed on the same machine: the same files. When left out 0."),
]
StartSamples = Annotated[
    int | None,
    typer.Option(help="Where the file begins in the session; else as its bext says."),
]
TempoMap = Annotated[
    str | None, typer.Option(help="The session's: beats a minute, or BEAT:BPM,BEAT:BPM.")
]
Host = Annotated[str | None, typer.Option(help=f"Put the stems on tracks too: {', '.join(HOSTS)}.")]
Like = Annotated[
    Path | None,
    typer.Option(help="Ask as for another stem set: its folder, its stems.json or one stem."),
]


@app.command()
def separate(
    file: Mixture,
    out: Out,
    prompts: Prompts = None,
    stems: Classes = None,
    negatives: Negatives = None,
    excerpt: Excerpt = None,
    excerpt_begin: ExcerptBegin = None,
    auto: Auto = False,
    force: Force = False,
    method: Method = None,
    steps: Refinement = None,
    seed: Seed = None,
    model: Model = None,
    stem_model: StemModel = "default",
    start_samples: StartSamples = None,
    tempo: TempoMap = None,
    host: Host = None,
    like: Like = None,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Split a recording into named stems and a residual.

    Each prompt, or each class of --stems, gets a stem; stems and residual add up to the recording.

    Without --prompt it continues from an excerpt in OUT: its prompts, negatives, method and seed.
    With --like these come from another stem set, with its steps and model. What is given wins.
    """
    from bridge.cli import tables
    from bridge.protocol.jobs import Separate

    given = _said(
        prompts=tuple(prompts or ()), stems=stems, negatives=tuple(negatives or ()), force=force,
        method=method, steps=steps, seed=seed, model=model,
        stem_model=None if stem_model == "default" else stem_model,
    )  # fmt: skip
    named = bool(prompts or stems)
    earlier = _earlier_settings(out, file, like, method, complete=named or auto)
    if named:
        earlier = {k: value for k, value in earlier.items() if k not in ("prompts", "stems")}
    result = run(
        Separate,
        as_json,
        here,
        file=absolute(file),
        **earlier | given,
        auto=auto,
        out=absolute(out),
        excerpt=excerpt,
        excerpt_begin=excerpt_begin,
        start_samples=start_samples,
        tempo=tempo or (),
        host=host,
        replace=replace,
    )
    show(result, lambda: tables.separate(result), as_json)


def _said(**values: Any) -> dict[str, Any]:
    """What was given on the command line: neither None nor empty, and no flag that was not set."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and value != () and value is not False
    }


def _earlier_settings(
    out: Path, file: Path, like: Path | None, method: str | None, *, complete: bool
) -> dict[str, Any]:
    """The fields of an earlier separation: that of `like`, else of an excerpt in `out`.

    None are taken over where the command is `complete` without them. Raises `CommandFailed` when
    there is neither prompt nor excerpt.
    """
    from bridge.stems import excerpt, remake

    if like is not None:
        fields = remake.job_of_stem_set(like.expanduser())
        if method not in (None, fields["method"]):
            fields["steps"] = None  # those of another method say nothing
        return fields
    if complete:
        return {}
    fields = excerpt.settings_of_excerpt(out.expanduser(), file.expanduser())
    if not fields:
        reason = (
            "Missing option '--prompt'. Only with --stems, or after an --excerpt into OUT, it may "
            "be left out."
        )
        raise CommandFailed("bad-input", reason, exit_code=2)
    return fields


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of a separation, or its stems.json.")],
    as_json: Json = False,
) -> None:
    """Check that stems and residual add up to their source.

    It says how far the sum is from the source, in double and in single precision, as DAWs add.
    """
    from bridge.cli import tables
    from bridge.stems import manifest as stems
    from bridge.stems import null_test

    manifest = stems.manifest_path(folder.expanduser())
    rest = null_test.add_up_fast(manifest)
    ok = max(rest.double_db, rest.float_db) < NULL_LIMIT_DB
    result = {
        "manifest": absolute(manifest),
        "null_db": round(rest.double_db, 2),
        "null_float32_db": round(rest.float_db, 2),
        "ok": ok,
    }
    show(result, lambda: tables.verify(result, NULL_LIMIT_DB), as_json)
    if not ok:
        raise typer.Exit(1)
