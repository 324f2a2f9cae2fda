"""Make patches from prompts, and work with patches: patch, render, edit, export ..."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.base import (
    INT,
    TEXT,
    Here,
    Json,
    Model,
    Out,
    OutOrInbox,
    Replace,
    Seed,
    Steps,
    absolute,
    preset_file,
    run,
    show,
    start_file,
)
from bridge.cli.choices import FORMATS

app = typer.Typer()

PresetFile = Annotated[Path, typer.Argument(help="A preset: its file, or its name in the library.")]


Like = Annotated[Path | None, typer.Option(help="A recording to fit, with or without a prompt.")]
Renderer = Annotated[str, typer.Option(help="fm, impact, or auto: the one that comes nearer.")]
Length = Annotated[
    float | None,
    typer.Option(help="Seconds of sound, 0.25 to 10; when left out 2, or as the prompt says."),
]
Start = Annotated[
    Path | None,
    typer.Option(
        "--start", "--more-like", help="A preset to search around, or its number; see `keep`."
    ),
]
DesignNote = Annotated[
    float | None, typer.Option(help="MIDI note it is designed at; that of --start, or 60.")
]
Pitched = Annotated[
    bool | None,
    typer.Option(
        "--pitched/--unpitched", help="Whether it is in tune with the keys; else it decides."
    ),
]
Loudness = Annotated[
    float | None, typer.Option(help="LUFS, -40 to -5; when left out the peak is at -1 dBFS.")
]
Matrix = Annotated[str | None, typer.Option(help="fm: acyclic, free, dx7:auto or dx7:1 .. dx7:32.")]
Operators = Annotated[int | None, typer.Option(help="fm: 1 to 8; 4, or 6 with dx7.")]
Modes = Annotated[
    int | None, typer.Option(help="impact, recipe paper: damped modes, 1 to 2048; 2048.")
]
DenoiseSteps = Annotated[
    int | None,
    typer.Option(help="Of each distillation target, 1 to 10; the recipe's, of paper 2."),
]
Searches = Annotated[
    int,
    typer.Option(
        help="Whole searches, 1 to 16, from as many seeds; the best patches of all are kept."
    ),
]
Scorer = Annotated[
    str, typer.Option(help="Who the search listens to: default, or a CLAP, folder or hub id.")
]
Slot = Annotated[
    int | None, typer.Option(help="Keep the best in the library, in this slot, 1 to 128.")
]


@app.command()
def patch(
    prompt: Annotated[str, typer.Argument(help="What it should sound like.")] = "",
    like: Like = None,
    out: OutOrInbox = None,
    count: Annotated[int, typer.Option(help="How many to choose from, 1 to 8.")] = 4,
    renderer: Renderer = "auto",
    duration: Length = None,
    steps: Steps = None,
    seed: Seed = 0,
    searches: Searches = 1,
    recipe: Annotated[str, typer.Option(help="paper, default or fast")] = "default",
    start: Start = None,
    note: DesignNote = None,
    pitched: Pitched = None,
    loudness: Loudness = None,
    matrix: Matrix = None,
    operators: Operators = None,
    modes: Modes = None,
    denoise_steps: DenoiseSteps = None,
    slot: Slot = None,
    model: Model = None,
    scorer: Scorer = "default",
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Turn a prompt into playable patches, the best first.

    It writes presets, their WAVs, and the WAV of the patch that the search started from.
    """
    from bridge.cli import tables
    from bridge.protocol.patch_jobs import DesignPatch

    result = run(
        DesignPatch, as_json, here,
        prompt=prompt, like=None if like is None else absolute(like), renderer=renderer,
        out="" if out is None else absolute(out), count=count, duration=duration, steps=steps,
        seed=seed, searches=searches, recipe=recipe, note=note, pitched=pitched,
        loudness=loudness, start=None if start is None else start_file(start), matrix=matrix,
        operators=operators, modes=modes, denoise_steps=denoise_steps, slot=slot, model=model,
        scorer=scorer, replace=replace,
    )  # fmt: skip
    show(result, lambda: tables.patch(result), as_json)


@app.command()
def keep(
    number: Annotated[int, typer.Argument(help="Of the patch, 1 for the best.", metavar=INT)],
    star: Annotated[bool, typer.Option("--star", help="Tag it star, too.")] = False,
    job: Annotated[str, typer.Option(help="Id of the search; the newest when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Keep a patch that the newest search found.

    The library tags it kept, and no more inbox; a patch of a folder is put there.
    """
    from bridge.cli import tables
    from bridge.protocol.patch_requests import Keep
    from bridge.service import choosing, config
    from bridge.service.ledger import Store
    from presets.library import Library

    settings = config.load()
    asked = Keep(number=number, star=star, job=job)
    with Store(settings.ledger) as store:
        kept = choosing.keep(store, Library(settings.library), asked)
    result = {"number": number, "name": kept.name, "preset": str(kept.path)}
    result |= {"tags": list(kept.tags)}
    show(result, lambda: tables.kept(result), as_json)


@app.command()
def render(
    preset: PresetFile,
    out: Annotated[Path, typer.Option(help="The WAV file to write.")],
    note: Annotated[float | None, typer.Option(help="MIDI note; the preset's own.")] = None,
    velocity: Annotated[int, typer.Option(help="1 to 127")] = 100,
    duration: Annotated[
        float | None, typer.Option(help="Seconds of sound, up to 60; the preset's own.")
    ] = None,
    plugin: Annotated[
        str | None, typer.Option(help="A VST3: a path, or the file name of an installed one.")
    ] = None,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Play a preset into a 32-bit float WAV, through its effects."""
    from bridge.cli import tables
    from bridge.protocol.patch_jobs import RenderPreset

    if plugin and Path(plugin).exists():  # an installed one's name stays
        plugin = absolute(Path(plugin))
    result = run(
        RenderPreset,
        as_json,
        here,
        preset=preset_file(preset),
        out=absolute(out),
        note=note,
        velocity=velocity,
        duration=duration,
        plugin=plugin,
        replace=replace,
    )
    show(result, lambda: tables.render(result), as_json)


@app.command()
def edit(
    preset: PresetFile,
    prompt: Annotated[str, typer.Argument(help="What is to change, such as: darker.")],
    out: Out,
    old: Annotated[
        str | None, typer.Option(help="What it sounds like now; the preset's own prompt.")
    ] = None,
    steps: Steps = None,
    seed: Seed = 0,
    model: Model = None,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Change a preset by words: the same, but darker."""
    from bridge.cli import tables
    from bridge.protocol.patch_jobs import EditPreset

    result = run(
        EditPreset,
        as_json,
        here,
        preset=preset_file(preset),
        prompt=prompt,
        out=absolute(out),
        old=old,
        steps=steps,
        seed=seed,
        model=model,
        replace=replace,
    )
    show(result, lambda: tables.edit(result), as_json)


@app.command()
def vary(
    preset: PresetFile,
    out: Out,
    count: Annotated[int, typer.Option(help="How many, 1 to 100.")] = 10,
    amount: Annotated[
        float, typer.Option(help="0.1 is another strike, 0.3 a sibling, 1 one of the family.")
    ] = 0.3,
    seed: Seed = 0,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Write presets near a preset, each with its sound."""
    from bridge.cli import tables
    from bridge.protocol.patch_jobs import Vary

    files = {"preset": preset_file(preset), "out": absolute(out)}
    result = run(
        Vary, as_json, here, **files, count=count, amount=amount, seed=seed, replace=replace
    )
    show(result, lambda: tables.variations(result), as_json)


@app.command()
def morph(
    preset: Annotated[Path, typer.Argument(help="The preset to begin with, by file or name.")],
    other: Annotated[Path, typer.Argument(help="The preset to end with, by file or name.")],
    out: Out,
    steps: Annotated[int, typer.Option(help="How many presets, both ends among them.")] = 5,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Write presets between two presets, each with its sound."""
    from bridge.cli import tables
    from bridge.protocol.patch_jobs import Morph

    files = {"preset": preset_file(preset), "other": preset_file(other), "out": absolute(out)}
    result = run(Morph, as_json, here, **files, steps=steps, replace=replace)
    show(result, lambda: tables.variations(result), as_json)


@app.command()
def export(
    preset: PresetFile,
    formats: Annotated[
        list[str],
        typer.Option("--format", metavar=TEXT, help=f"{', '.join(FORMATS)} or all; repeatable."),
    ],
    out: Annotated[Path, typer.Option(help="A folder, or a file with the format's suffix.")],
    rate: Annotated[int, typer.Option(help="44100 or 48000 Hz, for what is sampled.")] = 44100,
    replace: Replace = False,
    here: Here = False,
    as_json: Json = False,
) -> None:
    """Write a preset as files of other synths.

    It says what each of them lost, and how far its sound is from ours.
    """
    from bridge.cli import tables
    from bridge.protocol.patch_jobs import Export

    files = {"preset": preset_file(preset), "out": absolute(out)}
    result = run(Export, as_json, here, **files, formats=tuple(formats), rate=rate, replace=replace)
    show(result, lambda: tables.export(result), as_json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A DX7 file (.syx, .mid): banks, voices, or both.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder; named as the file when left out.")
    ] = None,
    voice: Annotated[int | None, typer.Option(help="Only the voice of this number.")] = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Turn the voices of a DX7 file into presets.

    It says what of each voice was lost.
    """
    from bridge.cli import import_presets, tables

    result = import_presets.syx(
        file, Path(absolute(out or Path(file.stem))), voice=voice, replace=replace
    )
    show(result, lambda: tables.voices(result), as_json)
