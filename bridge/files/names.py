"""File names made of what people type, and the digest of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from presets.library.names import stem

MAX_SLUG = 100  # bytes: two of them, numbers and what a partial file adds fit into 255
ZERO_WIDTH_JOINER = "\u200d"  # makes one emoji of several


def slug(text: str, *, otherwise: str = "stem") -> str:
    """A piece of a file name, of at most 100 bytes, by the rule of the library (`names.stem`).

    `otherwise` stands for a text of which nothing is kept, and behind the name of a device.

    >>> slug("Händel's Säx / night")
    'händel-s-säx-night'
    >>> slug("CON"), slug("!!!")
    ('con-stem', 'stem')
    """
    return stem(text, otherwise=otherwise, longest=MAX_SLUG)


def sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def numbered(name: str, number: int) -> str:
    """The name of the file of a patch, the best first: NAME, NAME-2, NAME-3 ..."""
    return name if number == 1 else f"{name}-{number}"


def patch_files(name: str, count: int = 1) -> tuple[str, ...]:
    """The names of all files of a search with so many patches, for `Output.expect`."""
    files = [f"{name}.json", f"{name}.wav", f"{name}__initial.wav"]
    for number in range(2, count + 1):
        files += [f"{numbered(name, number)}.json", f"{numbered(name, number)}.wav"]
    return tuple(files)


def homely(folder: Path) -> str:
    """A folder as people say it, from their home on.

    >>> homely(Path.home() / "music")
    '~/music'
    """
    home = Path.home()
    if not folder.is_relative_to(home):
        return str(folder)
    return f"~/{folder.relative_to(home).as_posix()}"
