"""Where VST3 plugins are: names and paths only, nothing is opened or loaded here.

A preset names a plugin by its file name, which is looked for in the plugin folders: so a preset
from anywhere can ask for a plugin that a person has installed, and cannot bring one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path


def folders() -> tuple[Path, ...]:
    """The plugin folders: those of the environment's VST3_PATH, then the usual of the system."""
    own = [Path(part) for part in os.environ.get("VST3_PATH", "").split(os.pathsep) if part]
    if sys.platform == "win32":
        usual = [
            Path(os.environ.get("LOCALAPPDATA", "C:/"), "Programs", "Common", "VST3"),
            Path(os.environ.get("COMMONPROGRAMFILES", "C:/Program Files/Common Files"), "VST3"),
        ]
    elif sys.platform == "darwin":
        inside = "Library/Audio/Plug-Ins/VST3"
        usual = [Path.home() / inside, Path("/") / inside]
    else:
        usual = [Path.home() / ".vst3", Path("/usr/local/lib/vst3"), Path("/usr/lib/vst3")]
    return (*own, *usual)


def installed(where: Sequence[Path] | None = None) -> Iterator[Path]:
    """The .vst3 files and bundles in `where` (default `folders()`), in order, by name."""
    for top in folders() if where is None else where:
        for folder, inner, files in os.walk(top):
            yield from (Path(folder, name) for name in sorted(inner + files) if _is_vst3(name))
            inner[:] = sorted(name for name in inner if not _is_vst3(name))


def find(file: str) -> Path:
    """The first installed plugin whose file is called `file`. Raises `ValueError`."""
    for path in installed():
        if path.name == file:
            return path
    places = ", ".join(map(str, folders()))
    raise ValueError(f"plugin {file} is not installed: it is in none of {places}")


def locate(plugin: Path | str) -> Path:
    """What a person means by `plugin`: a path to a .vst3 that exists, or an installed one's name.

    Raises `ValueError`.
    """
    path = Path(plugin)
    if not _is_vst3(path.name):
        raise ValueError(f"a plugin's file must end in .vst3, got {path.name!r}")
    if path.exists():
        return path.absolute()
    if path.name == str(plugin):
        return find(path.name)
    raise ValueError(f"plugin {path} does not exist")


def _is_vst3(name: str) -> bool:
    return name.lower().endswith(".vst3") and len(name) > len(".vst3")
