"""Several renames that happen wholly or not at all, whoever dies in between.

A list of moves (rename `source` to `target`, both relative to one folder) is written to a file
before the first is made. Who finds such a file makes the moves in it: one whose source is gone has
been made, so making them all again is harmless. Standard library only.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from presets.reading import read_json

Move = tuple[str, str]
Rename = Callable[[Path, Path], object]

MAX_MOVES = 16 << 20  # bytes of a list


def private_folder(path: Path) -> None:
    """Make a folder of ours, with those above it that are not there: for this user alone (0700)."""
    for folder in reversed([place for place in (path, *path.parents) if not place.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(exist_ok=True)  # raises what is wrong with one that is there


def promise(path: Path, moves: Sequence[Move]) -> None:
    """Write `moves` to the file `path`; it is whole and on disk when this returns."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    partial.write_text(json.dumps(moves), encoding="utf-8")
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def promised(path: Path) -> list[Move]:
    """The moves of a file that `promise` wrote; a folder may come from a stranger: none leads out.

    Raises `ValueError` when the file holds no list of moves inside a folder.
    """
    try:
        moves = [(str(source), str(target)) for source, target in read_json(path, MAX_MOVES)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a list of moves ({error}); remove it") from error
    for name in {name for move in moves for name in move}:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or Path(name).is_absolute():
            raise ValueError(f"{path} moves {name!r}, which is outside its folder; remove it")
    return moves


def make(folder: Path, moves: Iterable[Move], rename: Rename = Path.replace) -> None:
    """Make moves in `folder`, in their order; those that have been made already are passed over."""
    for source, target in moves:
        try:
            rename(folder / source, folder / target)
        except FileNotFoundError:
            if not (folder / target).parent.is_dir():
                raise


def sync(path: Path) -> None:
    """Have the system write a file, or the entries of a folder, to the disk itself."""
    if os.name == "nt" and path.is_dir():  # Windows keeps its folders itself
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
