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

from presets.library import likeness
from presets.library.disk import INDEX
from presets.library.names import fold
from presets.preset import Preset, load

SCHEMA = 1  # another number, and the index is made again
FRESH = 2_000_000_000  # ns
TICK = 50_000_000  # ns; two changes within one tick of a file system's clock have the same time
SLOTS = "slots.json"
BIGGEST = 64 << 20  # bytes of a preset file

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
_WEIGHTS = "10.0, 5.0, 1.0"  # a word in the name counts more than one in the prompt

Row = tuple[str, str, str, str, str]  # file, name, renderer, prompt, tags
_ROW = "file, name, renderer, prompt, tags"


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


def search(
    db: sqlite3.Connection, *, words: str, tags: tuple[str, ...], renderer: str, limit: int
) -> list[Row]:
    """Presets that hold every word (or its beginning) and every tag: the best first."""
    chosen, order, values = _where(words, tags, renderer)
    query = f"SELECT presets.{_ROW.replace(', ', ', presets.')} {chosen} ORDER BY {order} LIMIT ?"
    return db.execute(query, (*values, limit)).fetchall()


def nearest(
    db: sqlite3.Connection,
    file: str,
    *,
    words: str,
    tags: tuple[str, ...],
    renderer: str,
    limit: int,
) -> list[tuple[Row, float]]:
    """Those of `search` that have the knobs of `file`, but not `file`: the most similar first."""
    files, places = _places(db, file)
    width = len(places) // len(files)
    away = likeness.distances(files.index(file), places, width) if width else [0.0] * len(files)
    chosen, _, values = _where(words, tags, renderer)
    allowed = {name for (name,) in db.execute(f"SELECT presets.file {chosen}", values)} - {file}
    found = sorted((d, name) for name, d in zip(files, away, strict=True) if name in allowed)
    query = f"SELECT {_ROW} FROM presets WHERE file = ?"  # noqa: S608 (our own literals)
    return [(db.execute(query, (name,)).fetchone(), d) for d, name in found[:limit]]


def called(db: sqlite3.Connection, text: str) -> list[Row]:
    """The preset of this file name, with or without .json; else all of this name."""
    bare = text[:-5] if text.casefold().endswith(".json") else text
    for column, value in (("file", f"{bare}.json"), ("stem", fold(bare)), ("title", fold(text))):
        query = f"SELECT {_ROW} FROM presets WHERE error = '' AND {column} = ? ORDER BY file"  # noqa: S608
        if rows := db.execute(query, (_sayable(value),)).fetchall():
            return rows
    return []


def like_words(db: sqlite3.Connection, text: str) -> list[str]:
    """A few files that share a word with `text`: what may have been meant."""
    words = " OR ".join(_quoted(text))
    query = "SELECT file FROM presets, words WHERE words.rowid = id AND words MATCH ? LIMIT 3"
    return [file for (file,) in db.execute(query, (words,))] if words else []


def unreadable(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """The .json files that are not presets, each with the reason."""
    return db.execute("SELECT file, error FROM presets WHERE error != '' ORDER BY file").fetchall()


def holds(db: sqlite3.Connection, preset: Preset) -> bool:
    """Whether a preset with exactly these contents is there."""
    query = "SELECT 1 FROM presets WHERE digest = ?"
    return db.execute(query, (_digest(preset),)).fetchone() is not None


def count(db: sqlite3.Connection) -> int:
    """How many presets there are."""
    return int(db.execute("SELECT count(*) FROM presets WHERE error = ''").fetchone()[0])


def _places(db: sqlite3.Connection, file: str) -> tuple[list[str], array[float]]:
    """The files of one layout and their positions; kept until one of them changes."""
    query = "SELECT layout FROM presets WHERE file = ?"
    kept = "SELECT files, positions FROM places WHERE layout = ?"
    db.execute("BEGIN IMMEDIATE")  # what is kept is of the presets read here
    (layout,) = db.execute(query, (file,)).fetchone()
    if (row := db.execute(kept, (layout,)).fetchone()) is None:
        query = "SELECT file, knobs FROM presets WHERE layout = ?"
        rows = db.execute(query, (layout,)).fetchall()
        knobs = array("d", b"".join(blob for _, blob in rows))
        places = likeness.positions(knobs, len(knobs) // len(rows))
        row = json.dumps([name for name, _ in rows]), places.tobytes()
        db.execute("INSERT INTO places VALUES (?, ?, ?)", (layout, *row))
    db.execute("COMMIT")
    return json.loads(row[0]), array("f", row[1])


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
            if name[0] == "." or name == SLOTS or not name.casefold().endswith(".json"):
                continue
            if _sayable(name) != name:
                continue  # not UTF-8: no preset of ours, and nobody could name it
            if not entry.is_file():
                continue
            stat = entry.stat()
            young = now - stat.st_mtime_ns < FRESH  # it may change within the same tick
            yield name, "" if young else f"{stat.st_mtime_ns} {stat.st_size} {stat.st_ino}"


def _learn(db: sqlite3.Connection, folder: Path, file: str, seen: str) -> None:
    row = {"file": file, "stem": fold(file[:-5]), "seen": seen}
    try:
        path = folder / file
        if path.stat().st_size > BIGGEST:
            raise ValueError(f"{file} is larger than {BIGGEST >> 20} MB")
        preset = load(path)
    except (OSError, ValueError, RecursionError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        row["error"] = _sayable(text or type(error).__name__)
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
        "digest": _digest(preset),
        "layout": layout,
    }
    knobs = array("d", [preset.values[name] for name in names]).tobytes()
    number = _insert(db, row | {"knobs": knobs})
    tags = {(number, fold(tag)) for tag in preset.tags}
    db.executemany("INSERT INTO tags VALUES (?, ?)", tags)
    texts = (preset.name, " ".join(preset.tags), preset.prompt)
    db.execute(
        "INSERT INTO words (rowid, name, tags, prompt) VALUES (?, ?, ?, ?)",
        (number, *map(_spelled, texts)),
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


def _where(words: str, tags: tuple[str, ...], renderer: str) -> tuple[str, str, list[str]]:
    """FROM and WHERE, ORDER BY, and the values of their marks."""
    source, order, values = "presets", "title, file", []
    clauses = ["error = ''"]
    if quoted := _quoted(words):
        source = "words JOIN presets ON presets.id = words.rowid"
        order = f"bm25(words, {_WEIGHTS}), {order}"
        clauses.append("words MATCH ?")
        values.append(" ".join(quoted))
    if renderer:
        clauses.append("renderer = ?")
        values.append(renderer)
    for tag in tags:
        clauses.append("presets.id IN (SELECT id FROM tags WHERE tag = ?)")
        values.append(_sayable(fold(tag)))
    return f"FROM {source} WHERE {' AND '.join(clauses)}", order, values


def _quoted(words: str) -> list[str]:
    """Each word as a phrase of FTS5 that its beginning matches too; what has no letter is none."""
    parts = [_spelled(word) for word in words.split()]
    return ['"{}"*'.format(p.replace('"', " ")) for p in parts if any(map(str.isalnum, p))]


def _spelled(text: str) -> str:
    """Text as the tokeniser should read it.

    Chinese and Japanese have no spaces: each sign is a word. A control character would end a query.
    """
    plain = unicodedata.normalize("NFKC", text)
    return "".join(
        f" {c} " if "\u3040" <= c <= "\u9fff" else c if unicodedata.category(c)[0] != "C" else " "
        for c in plain
    )


def _sayable(text: str) -> str:
    """Text that is UTF-8: file names and arguments of other encodings come with surrogates."""
    return text.encode(errors="replace").decode()


def _digest(preset: Preset) -> str:
    return hashlib.sha256(preset.model_dump_json().encode()).hexdigest()
