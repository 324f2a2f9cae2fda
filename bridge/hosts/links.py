"""How a file names another: relative, so that a folder can be moved with all it holds."""

from __future__ import annotations

import os
from pathlib import Path


def link(file: Path, folder: Path) -> str:
    """The path of `file` from `folder`, with slashes; absolute from one Windows drive to another.

    >>> link(Path("/a/b/c.wav"), Path("/a/d"))
    '../b/c.wav'
    """
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # Windows: no relative path leads to another drive
        return file.absolute().as_posix()
