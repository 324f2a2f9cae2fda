"""Generate sounds and stem sets by prompts, and stems that go with given ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.base import (
    TEXT,
    CommandFailed,
    Here,
    Json,
    Model,
    Out,
    Replace,
    Seed,
    StemModel,
    absolute,
    run,
    show,
)
from bridge.cli.choices import HOSTS
from bridge.protocol.sampling_fields import SCHEDULES

app = typer.Typer()

AUDIO = (".wav", ".flac", ".ogg", ".aif", ".aiff", ".mp3", ".m4a")
Guidance = Annotated[
    float | None,
    typer.Option(help="How strictly to follow the prompt, 0 to 20; the model's when left out, 3."),
]
Evaluations = Annotated[
    int | None,
    typer.Option(help="Noise levels for a clip, 1 to 200; the model's when left out, 20."),
]
Sampler = Annotated[
    str | None,
    typer.Option(help="Sampler of clips, by its name in docs/samplers.md; the model's, tab3."),
]
Schedule = Annotated[
    str | None,
    typer.Option(help=f"Spacing of noise levels: {', '.join(SCHEDULES)}; the model's, karras."),
]
Source = Annotated[
    Path | None,
    typer.Option(help="A recording of which a part is changed; --keep says what stays."),
]
Keep = Annotated[
    str | None,
    typer.Option(help="Seconds of --source that stay as they are: 0-0.4, or several with commas."),
]
Like = Annotated[
    Path | None, typer.Option(help="A recording whose sound the stems are to be near.")
]
Host = Annotated[str | None, typer.Option(help=f"Put them on tracks too: {', '.join(HOSTS)}.")]
Tempo = Annotated[
    float | None,
    typer.Option(help="Beats a minute, 20 to 300; stems keep to them from their begin on."),
]
Files = Annotated[
    list[str] | None,
    typer.Argument(help="Given stems whose names say which they are, such as bass.wav."),
]
Words = Annotated[str | None, typer.Argument(help="What it should sound like; it may be left out.")]
Given = Annotated[
    list[str] | None,
    typer.Option(metavar=TEXT, help="STEM=FILE: a stem that is there; once for each."),
]
Added = Annotated[
    str | None,
    typer.Option(help="Stems to add, with commas; when left out all that are not given."),
]


Prompts = Annotated[list[str], typer.Argument(help="What it should sound like; one or more.")]
Together = Annotated[
    str | None,
    typer.Option(help="Stems that belong together: bass,drums,guitar,piano, or some of them."),
]
Duration = Annotated[
    float | None,
    typer.Option(
        help="Seconds of each: 2 when left out, at most what the model can; of stems 10 (600)."
    ),
]
Bars = Annotated[
    int | None, typer.Option(help="Bars of four beats instead of seconds, with --tempo.")
]
Count = Annotated[
    int | None, typer.Option(help="How many of each prompt, 1 to 100; 4, of stems 1.")
]


@app.command()
def generate(
    prompts: Prompts,
    out: Out,
    stems: Together = None,
    like: Like = None,
    source: Source = None,
    keep: Keep = None,
    duration: Duration = None,
    bars: Bars = None,
    tempo: Tempo = None,
    count: Count = None,
    steps: Evaluations = None,
    guidance: Guidance = None,
    sampler: Sampler = None,
    schedule: Schedule = None,
    seed: Seed = 0,
    model: Model = None,
    stem_model: StemModel = "default",
    host: Host = None,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Generate new sounds, or stems that belong together.

    Clip 2, or set 2, has the next seed, and so on. With --source each clip is that recording with
    new sound where --keep does not keep it: "keep the attack, change the tail". A clip that is too
    near to a recording that the shipped models learned from is warned of, with its author and
    licence.
    """
    from bridge.cli import tables
    from bridge.protocol.multitrack_jobs import GenerateClips

    result = run(
        GenerateClips,
        as_json,
        here,
        prompts=tuple(prompts),
        stems=stems or (),
        out=absolute(out),
        like=None if like is None else absolute(like),
        source=None if source is None else absolute(source),
        keep=keep or (),
        duration=duration,
        bars=bars,
        tempo=tempo,
        count=count,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        schedule=schedule,
        seed=seed,
        model=model,
        stem_model=stem_model,
        host=host,
        replace=replace,
    )
    show(result, lambda: tables.generate(result), as_json)


@app.command()
def accompany(
    out: Out,
    files: Files = None,
    prompt: Words = None,
    given: Given = None,
    add: Added = None,
    like: Like = None,
    steps: Annotated[
        int | None, typer.Option(help="Evaluations of the model; its own when left out.")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="How strictly to follow the prompt, 0 to 20; the model's when left out."),
    ] = None,
    seed: Seed = 0,
    stem_model: StemModel = "default",
    tempo: Annotated[
        str | None,
        typer.Option(
            help="The session's: beats a minute, or BEAT:BPM,BEAT:BPM; what is added keeps to it."
        ),
    ] = None,
    host: Host = None,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Generate stems that go with given ones, in time with them.

    Stems are bass, drums, guitar and piano. The given ones stay as they are, sample for sample;
    what is added lies at their place and is as long as they are. FILES and --given both name them.
    """
    from bridge.cli import tables
    from bridge.protocol.multitrack_jobs import Accompany

    named, words = _parted([*(files or ()), *([prompt] if prompt is not None else ())])
    result = run(
        Accompany,
        as_json,
        here,
        given=[*map(_absolute, given or ()), *named],
        add=add or (),
        prompt=words,
        like=None if like is None else absolute(like),
        out=absolute(out),
        steps=steps,
        guidance=guidance,
        seed=seed,
        stem_model=stem_model,
        tempo=tempo or (),
        host=host,
        replace=replace,
    )
    show(result, lambda: tables.made(result), as_json)


def _absolute(given: str) -> str:
    """STEM=FILE with the whole path of the file."""
    stem, sign, file = given.partition("=")
    return f"{stem}={absolute(Path(file))}" if sign else given


def _parted(arguments: Sequence[str]) -> tuple[list[str], str]:
    """Files among the arguments, as STEM=FILE, and the one that is a prompt.

    Raises `CommandFailed` for a file whose name says no stem, and for a second prompt.
    """
    from bridge.protocol.stem_classes import NAMES, stem_of

    named, prompts = [], []
    for argument in arguments:
        path = Path(argument)
        if path.suffix.lower() not in AUDIO and not path.expanduser().is_file():
            prompts.append(argument)
            continue
        stem = stem_of(path.stem)
        if stem is None:
            reason = f"the name {path.name!r} says none of {NAMES}: --given bass={argument} does"
            raise CommandFailed("bad-input", reason, exit_code=2)
        named.append(f"{stem}={absolute(path)}")
    if len(prompts) > 1:
        reason = f"PROMPT must be one, and {prompts[1]!r} is a second; put words in quotes"
        raise CommandFailed("bad-input", reason, exit_code=2)
    return named, prompts[0] if prompts else ""
