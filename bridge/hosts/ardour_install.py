"""Our actions in Ardour: its file `ui_scripts` read, kept and written, and the script files.

Ardour keeps the scripts of its slots as a Lua program, in base64 within XML: assignments such as
`scripts[1]["n"] = "name"`, where n is the name, s the source, f the factory (Ardour writes compiled
Lua, its loader takes text), c whether it is complete, a its arguments. Slot 1 is the action
`LuaAction/script-1`.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from bridge.hosts.base import HostResult
from bridge.hosts.files import whole

SCRIPTS = Path(__file__).parent / "scripts" / "ardour"
FILES = ("scorewire_separate.lua", "scorewire_import.lua", "scorewire_accompany.lua")
SLOTS = 32
UI_SCRIPTS, SETTINGS, BACKUP = "ui_scripts", "scorewire.conf", "ui_scripts.before-scorewire"
TAG = '<ActionScript lua="Lua 5.3">{}</ActionScript>'
EMPTY = f"""<?xml version="1.0" encoding="UTF-8"?>
<UIScripts>{TAG.format("")}<ActionHooks/>
</UIScripts>
"""
_TAG = re.compile(r"<ActionScript[^>]*?(?:/>|>(.*?)</ActionScript>)", re.DOTALL)
_FIELD = rb'\["(?:[^"\\]|\\.)*"\]'
_VALUE = rb'(?:\{\}|"(?:[^"\\]|\\.)*"|[-+\w.]+)'
_KEY = rb"(?:" + _FIELD + rb"|\[[-+\w.]+\])"
_ASSIGNMENT = re.compile(rb"\s*scripts(?:\[(\d+)\]" + _KEY + rb"*)? = " + _VALUE, re.DOTALL)
# The settings that the actions read; the prompts of the last dialog follow there.
CONF = "port 9557\ndialog yes\nmute yes\n"


def install(path: Path | None, *, force: bool) -> HostResult:
    """Put our actions into free slots of `ui_scripts`, and their files into `scripts`.

    `path` is one configuration folder; None takes every Ardour of this user. Other scripts stay
    where they are, and what was there before is kept as `BACKUP`. Again, it changes nothing. With
    `force` the settings are written anew too. Ardour must not be running: it would write its own.
    """
    texts = [(SCRIPTS / name).read_text(encoding="utf-8") for name in FILES]
    files: list[Path] = []
    for folder in _folders(path):
        slots = _read(folder)
        free = (number for number in range(1, SLOTS + 1) if number not in _remove_ours(slots))
        wanted = _remove_ours(slots)
        for text in texts:
            slot = next(free, None)
            if slot is None:
                raise ValueError(f"all {SLOTS} slots of {folder / UI_SCRIPTS} are taken")
            wanted[slot] = script_of(slot, text)
        _write(folder, slots, wanted)
        (folder / "scripts").mkdir(exist_ok=True)
        for name, text in zip(FILES, texts, strict=True):
            _put(folder / "scripts" / name, text)
        if force or not (folder / SETTINGS).exists():
            _put(folder / SETTINGS, CONF)
        files += [folder / UI_SCRIPTS, folder / SETTINGS]
    return HostResult("start Ardour: the actions are under Edit > Lua Scripts", tuple(files))


def uninstall(path: Path | None, *, force: bool) -> HostResult:
    """Take away what `install` put there; with `force` the settings too."""
    files: list[Path] = []
    for folder in _folders(path):
        slots = _read(folder)
        _write(folder, slots, _remove_ours(slots))
        ours = [folder / "scripts" / name for name in FILES]
        ours += [folder / SETTINGS] if force else []
        files += [file for file in ours if file.exists()]
        for file in ours:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # it holds scripts of others, or is not there
            (folder / "scripts").rmdir()
    return HostResult("taken away" if files else "there was nothing to take away", tuple(files))


def read_slots(text: str) -> dict[int, bytes]:
    """The scripts of a `ui_scripts` file: slot -> its assignments, as they stand there.

    Raises `ValueError` when something else is there too: nothing of it may be lost.
    """
    match = _TAG.search(text)
    if match is None:
        raise ValueError(f"{UI_SCRIPTS} has no ActionScript: this is not an Ardour file as known")
    program = base64.b64decode((match.group(1) or "").strip())
    slots: dict[int, bytes] = {}
    at = 0
    while program[at:].strip():
        assignment = _ASSIGNMENT.match(program, at)
        if assignment is None:
            raise ValueError(f"{UI_SCRIPTS} holds {program[at : at + 40]!r}, not read here")
        if assignment.group(1):
            slot = int(assignment.group(1))
            slots[slot] = slots.get(slot, b"") + assignment.group(0).strip() + b" "
        at = assignment.end()
    return slots


def write_slots(text: str, slots: dict[int, bytes]) -> str:
    """The file `text` with these scripts in it. The reverse of `read_slots`."""
    program = b"scripts = {} " + b"".join(slots[slot] for slot in sorted(slots))
    coded = TAG.format(base64.b64encode(program).decode())
    return _TAG.sub(lambda _: coded, text, count=1)


def name_of(script: bytes) -> str:
    """Read the name of the script in a slot."""
    match = re.search(rb'\["n"\] = "((?:[^"\\]|\\.)*)"', script)
    return "" if match is None else re.sub(rb"\\(.)", rb"\1", match.group(1)).decode()


def _remove_ours(slots: dict[int, bytes]) -> dict[int, bytes]:
    ours = {_title((SCRIPTS / name).read_text(encoding="utf-8")) for name in FILES}
    return {slot: script for slot, script in slots.items() if name_of(script) not in ours}


def _title(source: str) -> str:
    """The name in a script's own header."""
    match = re.search(r'\bname\s*=\s*"([^"]+)"', source)
    return "" if match is None else match.group(1)


def script_of(slot: int, source: str) -> bytes:
    """A slot's assignments. The factory is the source itself, its header called for nothing."""
    factory = f"local function ardour () end\n{source}\nreturn factory (...)"
    fields = {"n": _lua_string(_title(source)), "s": _lua_string(source), "f": _lua_string(factory)}
    fields |= {"c": "true", "a": "{}"}
    name = f"scripts[{slot}]"
    lines = [f"{name} = {{}}", *(f'{name}["{key}"] = {value}' for key, value in fields.items())]
    return "".join(f"{line} " for line in lines).encode()


def _lua_string(text: str) -> str:
    r"""A Lua string.

    >>> _lua_string('a "b"\n')
    '"a \\"b\\"\\n"'
    """
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + plain.replace("\n", "\\n").replace("\r", "\\r") + '"'


def _folders(path: Path | None) -> list[Path]:
    """The configuration folder named, or those of every Ardour that this user has started."""
    if path is not None:
        if not path.is_dir():
            raise ValueError(f"{path} is not there: name Ardour's configuration folder")
        return [path.absolute()]
    base = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"))
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Preferences"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    pattern = re.compile(r"ardour\d+", re.IGNORECASE)
    children = sorted(base.iterdir()) if base.is_dir() else []
    folders = [child for child in children if pattern.fullmatch(child.name) and child.is_dir()]
    if not folders:
        raise ValueError(
            f"there is no folder of Ardour's settings in {base}: start Ardour once, or name the "
            "folder with --path"
        )
    return folders


def _read(folder: Path) -> dict[int, bytes]:
    file = folder / UI_SCRIPTS
    return read_slots(file.read_text(encoding="utf-8")) if file.exists() else {}


def _write(folder: Path, before: dict[int, bytes], wanted: dict[int, bytes]) -> None:
    file = folder / UI_SCRIPTS
    if wanted == before:
        return
    text = EMPTY
    if file.exists():
        text = file.read_text(encoding="utf-8")
        if before == _remove_ours(before):  # as it was before we came
            _put(folder / BACKUP, text)
    _put(file, write_slots(text, wanted))


def _put(file: Path, text: str) -> None:
    with whole(file) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
