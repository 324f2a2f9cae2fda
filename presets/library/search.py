"""What the index answers: presets by words and tags, by another preset, by what they are called."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable
from heapq import nsmallest

from presets.library import likeness
from presets.library.index import digest, sayable, searchable
from presets.library.names import fold
from presets.preset import Preset
from presets.reading import read_json

_WEIGHTS = "10.0, 5.0, 1.0"  # a word in the name counts more than one in the prompt

Row = tuple[str, str, str, str, str]  # file, name, renderer, prompt, tags
_ROW = "file, name, renderer, prompt, tags"


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
    pairs: Iterable[tuple[float, str]] = zip(away, files, strict=True)
    if words or tags or renderer:
        allowed = {name for (name,) in db.execute(f"SELECT presets.file {chosen}", values)}
        pairs = ((d, name) for d, name in pairs if name in allowed)
    found = [(d, name) for d, name in nsmallest(limit + 1, pairs) if name != file][:limit]
    query = f"SELECT {_ROW} FROM presets WHERE file = ?"  # noqa: S608 (our own literals)
    return [(db.execute(query, (name,)).fetchone(), d) for d, name in found]


def by_name(db: sqlite3.Connection, text: str) -> list[Row]:
    """The preset of this file name, with or without .json; else all of this name."""
    bare = text[:-5] if text.casefold().endswith(".json") else text
    for column, value in (("file", f"{bare}.json"), ("stem", fold(bare)), ("title", fold(text))):
        query = f"SELECT {_ROW} FROM presets WHERE error = '' AND {column} = ? ORDER BY file"  # noqa: S608
        if rows := db.execute(query, (sayable(value),)).fetchall():
            return rows
    return []


def like_words(db: sqlite3.Connection, text: str) -> list[str]:
    """A few files that share a word with `text`: what may have been meant."""
    words = " OR ".join(_match_expression(text))
    query = "SELECT file FROM presets, words WHERE words.rowid = id AND words MATCH ? LIMIT 3"
    return [file for (file,) in db.execute(query, (words,))] if words else []


def unreadable(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """The .json files that are not presets, each with the reason."""
    return db.execute("SELECT file, error FROM presets WHERE error != '' ORDER BY file").fetchall()


def same(db: sqlite3.Connection, preset: Preset) -> Row | None:
    """The preset with exactly these contents, if it is there."""
    query = f"SELECT {_ROW} FROM presets WHERE digest = ? ORDER BY file"  # noqa: S608
    row: Row | None = db.execute(query, (digest(preset),)).fetchone()
    return row


def tags(db: sqlite3.Connection) -> list[str]:
    """The tags that presets have, each once, by name."""
    rows = db.execute("SELECT DISTINCT tags FROM presets WHERE error = ''").fetchall()
    return sorted({tag for (some,) in rows for tag in read_json(some)}, key=fold)


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
    return read_json(row[0]), array("f", row[1])


def _where(words: str, tags: tuple[str, ...], renderer: str) -> tuple[str, str, list[str]]:
    """FROM and WHERE, ORDER BY, and the values of their marks."""
    source, order, values = "presets", "title, file", []
    clauses = ["error = ''"]
    if quoted := _match_expression(words):
        source = "words JOIN presets ON presets.id = words.rowid"
        order = f"bm25(words, {_WEIGHTS}), {order}"
        clauses.append("words MATCH ?")
        values.append(" ".join(quoted))
    if renderer:
        clauses.append("renderer = ?")
        values.append(renderer)
    for tag in tags:
        clauses.append("presets.id IN (SELECT id FROM tags WHERE tag = ?)")
        values.append(sayable(fold(tag)))
    return f"FROM {source} WHERE {' AND '.join(clauses)}", order, values


def _match_expression(words: str) -> list[str]:
    """Each word as a phrase of FTS5 that its beginning matches too; what has no letter is none."""
    parts = [searchable(word) for word in words.split()]
    return ['"{}"*'.format(p.replace('"', " ")) for p in parts if any(map(str.isalnum, p))]
