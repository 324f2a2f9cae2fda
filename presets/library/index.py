"""The search index of a folder of presets: SQLite with FTS5, made from the files and nothing else.

It may be deleted at any time. `look` brings it in step with the folder: a file whose size, time or
inode is not the one written down is read again. Looking at 10,000 files costs more than searching
them, so for `FRESH` seconds the time of the folder itself is enough: it changes whenever a file
comes, goes or is replaced, and only a file that is edited in its place may be seen late.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import unicodedata
from array import array
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG

from presets.library import slots
from presets.library.disk import INDEX
from presets.library.names import fold
from presets.preset import Preset, load

SCHEMA = 1  # another number, and the index is made again
FRESH = 2_000_000_000  # ns
YOUNG = 2_000_000_000  # ns; a file of this age is read again: old file systems count in 2 s
TICK = 50_000_000  # ns; two changes within one tick of a file system's clock have the same time

_TABLES = """
CREATE TABLE looked (at INTEGER, folder INTEGER);
CREATE TABLE presets (
    id INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, stem TEXT NOT NULL, seen TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '', title TEXT NOT NULL DEFAULT '',
    renderer TEXT NOT NULL DEFAULT '', prompt TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL
    DEFAULT '[]', digest TEXT NOT NULL DEFAULT '', layout TEXT NOT NULL DEFAULT '', knobs BLOB
);
CREATE INDEX by_stem ON presets (stem);
CREATE INDEX by_title ON presets (title);
CREATE INDEX by_layout ON presets (layout);
CREATE INDEX by_digest ON presets (digest);
CREATE TABLE places (layout TEXT PRIMARY KEY, files TEXT NOT NULL, positions BLOB NOT NULL);
CREATE TABLE tags (id INTEGER NOT NULL, tag TEXT NOT NULL);
CREATE INDEX by_tag ON tags (tag);
CREATE INDEX by_tagged ON tags (id);
CREATE VIRTUAL TABLE words USING fts5(
    name, tags, prompt, tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);
"""


def connect(folder: Path) -> sqlite3.Connection:
    """The index of `folder` as it is. Close it."""
    db = sqlite3.connect(folder / INDEX, isolation_level=None)
    try:
        db.execute("PRAGMA busy_timeout = 10000")
        db.execute("PRAGMA journal_mode = TRUNCATE")  # a journal that comes and goes is a change
        if _version(db) not in (0, SCHEMA):
            raise sqlite3.DatabaseError("another version's index")
    except sqlite3.DatabaseError:
        db.close()
        raise
    return db


def open_index(folder: Path) -> sqlite3.Connection:
    """The index of `folder`, after a `look`. Close it. Needs the lock."""
    db = connect(folder)
    try:
        look(db, folder)
    except BaseException:
        db.close()
        raise
    return db


def in_memory(folder: Path) -> sqlite3.Connection:
    """An index for once, of a folder that is not there or may not be written. Close it."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    if folder.is_dir():
        look(db, folder)
    else:
        _make(db)
    return db


def drop(folder: Path) -> None:
    """Forget everything: the next `look` reads every file. Needs the lock."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        (folder / f"{INDEX}{suffix}").unlink(missing_ok=True)


def in_step(db: sqlite3.Connection, folder: Path) -> bool:
    """Whether nothing has come, gone or been replaced since a `look` of the last seconds."""
    if not _version(db):
        return False
    row = db.execute("SELECT at, folder FROM looked").fetchone()
    if row is None:
        return False
    at, changed = row
    return bool(
        0 <= time.time_ns() - at < FRESH and folder.stat().st_mtime_ns == changed < at - TICK
    )


def look(db: sqlite3.Connection, folder: Path) -> None:
    """Read what is new in the folder or has changed, forget what is gone. Needs the lock."""
    at, changed = time.time_ns(), folder.stat().st_mtime_ns
    there = dict(_files(folder, at))
    db.execute("BEGIN IMMEDIATE")
    if not _version(db):
        _make(db)
    known = dict(db.execute("SELECT file, seen FROM presets"))
    for file in known:
        if file not in there:
            _forget(db, file)
    for file, seen in there.items():
        if known.get(file) != seen or not seen:
            _forget(db, file)
            _learn(db, folder, file, seen)
    db.execute("DELETE FROM looked")
    db.execute("INSERT INTO looked VALUES (?, ?)", (at, changed))
    db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _make(db: sqlite3.Connection) -> None:
    for statement in filter(str.strip, _TABLES.split(";")):
        db.execute(statement)
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def _files(folder: Path, now: int) -> Iterator[tuple[str, str]]:
    """Each preset file with what tells it from an earlier one; "" when only reading can tell."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == "." or name == slots.FILE or not name.casefold().endswith(".json"):
                continue
            if sayable(name) != name:
                continue  # not UTF-8: no preset of ours, and nobody could name it
            try:
                stat = entry.stat()
            except OSError:  # a link to itself or to nowhere: reading it says why
                yield name, ""
                continue
            if not S_ISREG(stat.st_mode):
                continue
            young = abs(now - stat.st_mtime_ns) < YOUNG  # it may change within the same tick
            yield name, "" if young else f"{stat.st_mtime_ns} {stat.st_size} {stat.st_ino}"


def _learn(db: sqlite3.Connection, folder: Path, file: str, seen: str) -> None:
    row = {"file": file, "stem": fold(file[:-5]), "seen": seen}
    try:
        path = folder / file
        preset = load(path)
    except (OSError, ValueError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        row["error"] = sayable(text or type(error).__name__)
        _insert(db, row)
        return
    names = sorted(preset.values)
    layout = json.dumps([preset.renderer, preset.renderer_version, names])
    layout = hashlib.sha256(layout.encode()).hexdigest()
    _forget_places(db, layout)
    row |= {
        "name": preset.name,
        "title": fold(preset.name),
        "renderer": preset.renderer,
        "prompt": preset.prompt,
        "tags": json.dumps(preset.tags, ensure_ascii=False),
        "digest": digest(preset),
        "layout": layout,
    }
    knobs = array("d", [preset.values[name] for name in names]).tobytes()
    number = _insert(db, row | {"knobs": knobs})
    tags = {(number, fold(tag)) for tag in preset.tags}
    db.executemany("INSERT INTO tags VALUES (?, ?)", tags)
    texts = (preset.name, " ".join(preset.tags), preset.prompt)
    db.execute(
        "INSERT INTO words (rowid, name, tags, prompt) VALUES (?, ?, ?, ?)",
        (number, *map(searchable, texts)),
    )


def _insert(db: sqlite3.Connection, row: dict[str, str] | dict[str, str | bytes]) -> int:
    marks = ", ".join("?" * len(row))
    query = f"INSERT INTO presets ({', '.join(row)}) VALUES ({marks})"  # noqa: S608
    number = db.execute(query, tuple(row.values())).lastrowid
    return number or 0


def _forget(db: sqlite3.Connection, file: str) -> None:
    row = db.execute("SELECT id, layout FROM presets WHERE file = ?", (file,)).fetchone()
    if row is not None:
        number, layout = row
        _forget_places(db, layout)
        for query in (
            "DELETE FROM words WHERE rowid = ?",
            "DELETE FROM tags WHERE id = ?",
            "DELETE FROM presets WHERE id = ?",
        ):
            db.execute(query, (number,))


def _forget_places(db: sqlite3.Connection, layout: str) -> None:
    db.execute("DELETE FROM places WHERE layout = ?", (layout,))


def searchable(text: str) -> str:
    """Text as the tokeniser should read it.

    Chinese and Japanese have no spaces: each sign is a word. A control character would end a query.
    """
    plain = unicodedata.normalize("NFKC", text)
    return "".join(
        f" {c} " if "\u3040" <= c <= "\u9fff" else c if unicodedata.category(c)[0] != "C" else " "
        for c in plain
    )


def sayable(text: str) -> str:
    """Text that is UTF-8: file names and arguments of other encodings come with surrogates."""
    return text.encode(errors="replace").decode()


def digest(preset: Preset) -> str:
    """What two presets have in common only when they are the same in everything."""
    return hashlib.sha256(preset.model_dump_json().encode()).hexdigest()
