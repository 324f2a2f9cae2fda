"""Results that appear whole or not at all: written beside the target folder, then moved in.

Standard library only. The partial folder is hidden, next to the target (the same file system), so
moving is renaming; a job that fails or is cancelled leaves neither it nor folders made for it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Output:
    """Where to write now (`partial`) and where it will be found (`folder`)."""

    folder: Path
    partial: Path

    def final(self, path: Path) -> str:
        """Where the file at `path`, below `partial`, will be found."""
        return str(self.folder / path.relative_to(self.partial))


@contextmanager
def folder(target: str) -> Iterator[Output]:
    """A partial folder, published into `target` at the end and dropped on any exception.

    Files of an earlier job under other names stay. Raises `ValueError` when `target` cannot be
    made or written. What lies in a folder named `scratch` below it is never published.
    """
    path = Path(target)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:40]}."))
    except OSError as error:
        _unmake(made)
        raise ValueError(f"out {path} cannot be written: {error.strerror}") from error
    try:
        yield Output(path, partial)
        shutil.rmtree(partial / "scratch", ignore_errors=True)
        _publish(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        _unmake(made)
        raise
    shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, target: Path) -> None:
    for file in sorted(partial.rglob("*")):
        place = target / file.relative_to(partial)
        if file.is_dir():
            place.mkdir(exist_ok=True)
        else:
            file.replace(place)


def _unmake(made: list[Path]) -> None:
    """Remove the folders we made, the deepest first, as far as they are empty."""
    for folder in made:
        with suppress(OSError):
            folder.rmdir()
