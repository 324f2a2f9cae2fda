"""REAPER: Lua actions that separate or accompany what is selected, and the list of tracks they
place.

The list is text, a line a track with tabs between, since REAPER's Lua has no JSON:

    scorewire-stems <tab> 1 <tab> RATE <tab> FIRST SAMPLE <tab> FRAMES <tab> CHANNELS
    track <tab> NAME <tab> RED <tab> GREEN <tab> BLUE <tab> GAIN <tab> FILE

A track that others were made to go with is a line `given` instead: the action that asked for them
leaves it alone, since its project has it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bridge.files.write_terms import ORDINARY, WriteRules
from bridge.hosts import installing
from bridge.hosts.base import HostResult
from bridge.hosts.files import file_name_text, link, whole
from bridge.hosts.layout import Layout, Track
from presets.python_child import python_child

SUFFIX = ".stems"
SCRIPTS = Path(__file__).parent / "scripts" / "reaper"
ACTIONS = ("scorewire.lua", "scorewire_accompany.lua", "scorewire_import.lua")
COMMAND = "command.txt"  # beside the scripts: how they start Scorewire


def write(layout: Layout, file: Path, terms: WriteRules = ORDINARY) -> HostResult:
    """Write the list of stems and residual, for the action "Scorewire: import stems"."""
    head = ("scorewire-stems", 1, layout.rate, layout.start_samples, layout.frames, layout.channels)
    lines = [head, *(_line(track, file.parent) for track in layout.tracks)]
    with whole(file, terms) as path:
        text = "".join("\t".join(map(str, line)) + "\n" for line in lines)
        path.write_text(text, encoding="utf-8", newline="\n")
    return HostResult(f"in REAPER the action scorewire_import.lua places {file.name}", (file,))


def _line(track: Track, folder: Path) -> tuple[object, ...]:
    red, green, blue = bytes.fromhex(track.colour.removeprefix("#"))
    return (
        "given" if track.given else "track",
        track.name,
        red,
        green,
        blue,
        repr(track.gain),
        file_name_text(link(track.file, folder)),
    )


def resources() -> Path:
    """REAPER's resource folder of this user; a portable REAPER has its own elsewhere."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home() / "AppData" / "Roaming")) / "REAPER"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "REAPER"
    return Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "REAPER"


def install(path: Path | None, *, force: bool) -> HostResult:
    """Put the actions into Scripts/Scorewire of the resource folder `path`, or the usual one.

    Raises `ValueError` when REAPER has no such folder, or a file there is not as we would write it
    and `force` is not set.
    """
    files = installing.write_scripts(_folder(path), _files(), force=force)
    actions = tuple(file for file in files if file.name in ACTIONS)
    return HostResult(
        "in REAPER: Actions > Show action list > New action > Load ReaScript", actions
    )


def uninstall(path: Path | None, *, force: bool) -> HostResult:
    """Take away what `install` put there. Raises as that does, and leaves a changed file."""
    return installing.remove_scripts(_folder(path), _files(), force=force)


def _folder(path: Path | None) -> Path:
    base = path or resources()
    if not base.is_dir():
        raise ValueError(
            f"REAPER's resource folder {base} is not there: start REAPER once, or name the folder "
            "that it shows under Options > Show REAPER resource path with --path"
        )
    return base.absolute() / "Scripts" / "Scorewire"


def _files() -> dict[str, str]:
    files = {file.name: file.read_text(encoding="utf-8") for file in sorted(SCRIPTS.glob("*.lua"))}
    python, *arguments = python_child("bridge.app.folder_requests")
    return files | {COMMAND: f'"{python}" {" ".join(arguments)}\n'}
