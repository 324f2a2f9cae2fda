"""JSON and TOML from files and from strangers: how large and how deep is asked before it is read.

Python's parsers call themselves for every level, so text of 10 kB can end a program, and what is
read in whole can fill the memory. Here both are refused with a sentence. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEPTH = 64  # levels of lists and tables in one another; a preset has 4, a result 6
LARGEST = 64 << 20  # bytes of a file of ours: a preset with a plugin's state has 6 MB

_JSON = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_TOML = re.compile(
    rb'"""(?:[^"\\]|\\.|"(?!""))*"{0,5}|\'\'\'(?:[^\']|\'(?!\'\'))*\'{0,5}'
    rb"|\"(?:[^\"\\\n]|\\.)*+\"?|'[^'\n]*+'?|#[^\n]*+|[\[\]{}]",
    re.DOTALL,
)


def read_json(source: Path | bytes | str, limit: int = LARGEST, *, name: str = "") -> Any:
    """The value of JSON text: a file, or what came over a wire.

    `limit` is the largest number of bytes, `DEPTH` that of levels. `name` is what the text is
    called in a refusal, the file's name unless given. Raises `ValueError` with one sentence when
    it is too large, too deep or no JSON, and `OSError` of the file.
    """
    return _value(source, limit, name, _JSON, "JSON", json.loads)


def read_toml(source: Path | bytes | str, limit: int = 1 << 20, *, name: str = "") -> Any:
    """The table of TOML text; as `read_json`."""
    return _value(source, limit, name, _TOML, "TOML", tomllib.loads)


def read_text(source: Path | bytes | str, limit: int = LARGEST, *, name: str = "") -> bytes:
    """The bytes of JSON text that another parser may read: neither too many nor too deep."""
    data, name = _bytes(source, limit, name)
    _check_depth(data, name, _JSON)
    return data


def _value(
    source: Path | bytes | str,
    limit: int,
    name: str,
    tokens: re.Pattern[bytes],
    kind: str,
    parse: Callable[[str], Any],
) -> Any:
    data, name = _bytes(source, limit, name)
    _check_depth(data, name, tokens)
    try:
        value = parse(data.decode("utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} is not {kind} text ({error})") from error
    if kind == "TOML":
        _check_value(value, name)
    return value


def _bytes(source: Path | bytes | str, limit: int, name: str) -> tuple[bytes, str]:
    if isinstance(source, Path):
        name = name or source.name
        with open(source, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError(f"{name} is not a file, but a pipe or a device")
            data = file.read(limit + 1)
    else:
        data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    name = name or "this"
    if len(data) > limit:
        raise ValueError(f"{name} has more than {_told(limit)}, the most that is read")
    return data, name


def _open_at_once(path: str, flags: int) -> int:
    """Open a file, but do not wait until somebody writes to a named pipe: that may be for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_depth(data: bytes, name: str, tokens: re.Pattern[bytes]) -> None:
    """Brackets that open less those that close, outside of strings and comments."""
    if data.count(b"[") + data.count(b"{") <= DEPTH:
        return
    depth = 0
    for token in tokens.finditer(data):
        sign = token.group()
        if sign in b"[{":
            depth += 1
            if depth > DEPTH:
                raise ValueError(_too_deep(name))
        elif sign in b"]}":
            depth = max(0, depth - 1)


def _check_value(value: Any, name: str) -> None:
    """A dotted name of TOML makes a table a dot, without any bracket."""
    level = [value]
    for _ in range(DEPTH + 1):
        tables = [item for item in level if isinstance(item, dict | list)]
        level = [x for item in tables for x in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return
    raise ValueError(_too_deep(name))


def _too_deep(name: str) -> str:
    return f"{name} has lists and tables in one another more than {DEPTH} levels deep"


def _told(limit: int) -> str:
    return f"{limit >> 20} MB" if limit >= 1 << 20 else f"{limit} bytes"
