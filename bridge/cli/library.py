"""`scorewire library`: keep presets, find them again, give them slots.

A thin face of `presets.library.Library`; the folder is `library` in Scorewire's data folder unless
`--folder` names another one. Failures are its `ValueError`s, which `bridge.cli.main` shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.base import INT, TEXT, Json
from bridge.cli.base import show as show_result

if TYPE_CHECKING:
    from presets.library import Entry, Library

BESIDE = frozenset({"slots.json", "result.json", "curves.json"})  # not presets, but beside them

app = typer.Typer(
    name="library", help="Keep presets, find them again, put them in slots.", no_args_is_help=True
)

Folder = Annotated[
    Path | None, typer.Option(help="The library; by default the one in Scorewire's data folder.")
]
Called = Annotated[
    str, typer.Argument(metavar="preset", help="A preset's file, or its name if only one has it.")
]
Tags = Annotated[
    list[str], typer.Option(metavar=TEXT, help="Only presets with this tag; repeatable.")
]
Only = Annotated[str, typer.Option(help="Only presets of this renderer.")]
Limit = Annotated[int, typer.Option(help="At most so many.", min=1, metavar=INT)]


@app.command("list")
def list_(
    tag: Tags = [],  # noqa: B006, typer copies it
    renderer: Only = "",
    limit: Limit = 1000,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """List the presets by name, and the files that are not presets."""
    library = _library(folder)
    entries = library.find(tags=tag, renderer=renderer, limit=limit)
    bad = [{"file": file, "reason": reason} for file, reason in library.unreadable()]
    result = {"folder": str(library.folder), "count": library.count()}
    rows = [*_rows(library, entries), *((b["file"], "", "", b["reason"], "") for b in bad)]
    _show(result | {"presets": _lines(library, entries), "unreadable": bad}, rows, as_json)


@app.command()
def find(
    words: Annotated[list[str] | None, typer.Argument(help="Words or their beginnings.")] = None,
    tag: Tags = [],  # noqa: B006, typer copies it
    renderer: Only = "",
    like: Annotated[str, typer.Option(help="The most similar to this preset first.")] = "",
    limit: Limit = 50,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Find presets by words, or by another preset.

    Words are looked for in names, tags and prompts.
    """
    library = _library(folder)
    entries = library.find(
        " ".join(words or ()), tags=tag, renderer=renderer, like=like, limit=limit
    )
    _show({"presets": _lines(library, entries)}, _rows(library, entries), as_json)


@app.command()
def add(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Preset files, or folders of them."),
    ] = None,
    factory: Annotated[bool, typer.Option(help="The presets that come with Scorewire.")] = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Keep copies of presets, with the WAV files beside them.

    What is there already is not kept twice.
    """
    from presets.library import FACTORY

    sources = [*(paths or ()), *([FACTORY] if factory else ())]
    if not sources:
        raise ValueError("name preset files or folders, or ask for --factory")
    files: list[Path] = []
    for path in sources:
        files += sorted(path.glob("*.json")) if path.is_dir() else [path]
    taken = _library(folder).add_files(file for file in files if file.name not in BESIDE)
    if taken.refused and not (taken.added or taken.same):
        (path, reason), *more = taken.refused
        others = f", nor can {len(more)} others" if more else ""
        raise ValueError(f"{path} cannot be added: {reason}{others}")
    result = {
        "added": [str(path) for path in taken.added],
        "same": [str(path) for path in taken.same],
        "refused": [{"file": str(path), "reason": reason} for path, reason in taken.refused],
    }
    rows = [("added", path.name, "") for path in taken.added]
    rows += [("already there", path.name, "") for path in taken.same]
    rows += [("refused", path.name, reason) for path, reason in taken.refused]
    _show(result, rows, as_json)


@app.command()
def show(called: Called, folder: Folder = None, as_json: Json = False) -> None:
    """Show everything a preset holds."""
    from presets import load

    library = _library(folder)
    entry = library.get(called)
    data = load(entry.path).model_dump(mode="json")
    (line,) = _lines(library, (entry,))
    rows = [(key, text) for key, value in (line | data).items() if (text := _text(value))]
    _show(line | data, rows, as_json)


@app.command()
def rename(
    called: Called,
    name: Annotated[str, typer.Argument(help="The new name.")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Give a preset another name.

    Its file, preview and slots go with it.
    """
    library = _library(folder)
    _show_one(library, library.rename(called, name), as_json)


@app.command()
def duplicate(
    called: Called,
    name: Annotated[str, typer.Option(help="The name of the copy.")] = "",
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Make a copy of a preset under another name."""
    library = _library(folder)
    _show_one(library, library.duplicate(called, name), as_json)


@app.command()
def delete(called: Called, folder: Folder = None, as_json: Json = False) -> None:
    """Move a preset to the trash; `restore` brings it back."""
    path = _library(folder).delete(called)
    _show({"trash": str(path)}, [("in the trash", path.name)], as_json)


@app.command()
def restore(
    file: Annotated[
        str, typer.Argument(help="A file of the trash; when left out they are listed.")
    ] = "",
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Bring a deleted preset back, or list the trash."""
    library = _library(folder)
    if file:
        _show_one(library, library.restore(file), as_json)
    else:
        files = library.trash()
        _show({"trash": list(files)}, [(name,) for name in files], as_json)


@app.command()
def tag(
    called: Called,
    add: Annotated[list[str], typer.Option(metavar=TEXT, help="A tag to give; repeatable.")] = [],  # noqa: B006
    remove: Annotated[
        list[str], typer.Option(metavar=TEXT, help="A tag to take; repeatable.")
    ] = [],  # noqa: B006
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Give a preset tags, or take some away."""
    library = _library(folder)
    _show_one(library, library.tag(called, add, remove), as_json)


@app.command()
def slot(
    number: Annotated[
        int | None, typer.Argument(help="1 to 128; when left out all slots are listed.")
    ] = None,
    called: Annotated[str, typer.Argument(metavar="preset", help="The preset to put there.")] = "",
    clear: Annotated[bool, typer.Option("--clear", help="Empty the slot.")] = False,
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Put a preset in a slot, or list the slots.

    A MIDI program change chooses a slot.
    """
    library = _library(folder)
    if number is None and (called or clear):
        raise ValueError("slot needs a number in 1 .. 128")
    if clear and called:
        raise ValueError("slot --clear takes no preset")
    if number is not None and called:
        library.assign(number, called)
    elif number is not None and clear:
        library.clear(number)
    slots = {n: path.name for n, path in library.slots().items() if number in (None, n)}
    _show({"slots": slots}, [(str(n), file) for n, file in slots.items()], as_json)


@app.command()
def export(
    called: Annotated[
        list[str], typer.Argument(metavar="presets", help="Presets, each by file or name.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder.")],
    folder: Folder = None,
    as_json: Json = False,
) -> None:
    """Copy presets, with their previews, into a folder.

    `library add` takes such a folder in, on another machine too.
    """
    files = _library(folder).copy_files(called, out.expanduser().absolute())
    _show({"files": [str(file) for file in files]}, [(file.name,) for file in files], as_json)


@app.command()
def reindex(folder: Folder = None, as_json: Json = False) -> None:
    """Make the search index again from the files."""
    count = _library(folder).reindex()
    _show({"count": count}, [(f"{count} presets",)], as_json)


def _library(folder: Path | None) -> Library:
    from bridge.service import config
    from presets.library import Library

    chosen = config.load().data / "library" if folder is None else folder
    return Library(chosen.expanduser().absolute())


def _lines(library: Library, entries: tuple[Entry, ...]) -> list[dict[str, Any]]:
    """Entries for --json."""
    slots = library.slots().items()
    return [
        {
            "path": str(entry.path),
            "name": entry.name,
            "renderer": entry.renderer,
            "tags": list(entry.tags),
            "prompt": entry.prompt,
            "preview": str(entry.preview or ""),
            "slots": [number for number, path in slots if path == entry.path],
            "distance": entry.distance,
        }
        for entry in entries
    ]


def _rows(library: Library, entries: tuple[Entry, ...]) -> list[tuple[str, ...]]:
    """Entries for people."""
    rows: list[tuple[str, ...]] = []
    for entry, line in zip(entries, _lines(library, entries), strict=True):
        away = "" if entry.distance is None else f"{entry.distance:.3f}"
        where = " ".join(f"slot {number}" for number in line["slots"])
        tags = ", ".join(entry.tags)
        rows.append((entry.path.stem, entry.name, entry.renderer, tags, f"{away}{where}"))
    return rows


def _show_one(library: Library, entry: Entry, as_json: bool) -> None:
    _show(_lines(library, (entry,))[0], _rows(library, (entry,)), as_json)


def _show(result: dict[str, Any], rows: Sequence[tuple[str, ...]], as_json: bool) -> None:
    from bridge.cli import tables

    show_result(result, lambda: tables.columns(rows or [("nothing",)]), as_json)


def _text(value: object) -> str:
    """A value of a preset in words; nothing for what is empty."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{key} {text}" for key, inner in value.items() if (text := _text(inner)))
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
