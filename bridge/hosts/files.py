"""Files of a host: how one names another, names all of them accept, and files that appear whole."""

from __future__ import annotations

import os
import secrets
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.files import write_terms
from bridge.files.write_terms import WriteRules

# Control, half of a pair, not assigned, line and paragraph separators: XML and RPP refuse some.
_UNSEEN = {"Cc", "Cs", "Cn", "Zl", "Zp"}
_BREAKING = _UNSEEN - {"Cn"}  # not assigned yet is no reason to leave a file out


def link(file: Path, folder: Path) -> str:
    """The path of `file` from `folder`, with slashes; absolute from one Windows drive to another.

    Relative, so that a folder can be moved with all it holds. Links among the folders are followed
    first: `..` leads from where a folder is, not from where a link to it is.

    >>> link(Path("/a/b/c.wav"), Path("/a/d"))
    '../b/c.wav'
    """
    target = file.parent.resolve() / file.name
    try:
        return Path(os.path.relpath(target, folder.resolve())).as_posix()
    except ValueError:  # Windows: no relative path leads to another drive
        return target.as_posix()


def file_name_text(name: str) -> str:
    r"""The name of a file as text and XML hold it: as it is.

    Raises `ValueError` for one that would break them. No other name leads to that file.

    >>> file_name_text("../a  b.wav")
    '../a  b.wav'
    """
    if any(unicodedata.category(c) in _BREAKING or c in "\ufffe\uffff" for c in name):
        raise ValueError(f"a file of this host cannot hold the name {name!r}: rename the file")
    return name


def one_line(text: str) -> str:
    r"""The text in one line of characters that can be seen: prompts may hold any.

    >>> one_line("a\n\x00 b")
    'a b'
    """
    seen = ("" if unicodedata.category(c) in _UNSEEN - {"Cc"} else c for c in text)
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in seen).split())


@contextmanager
def whole(path: Path, terms: WriteRules | None = None) -> Iterator[Path]:
    """A hidden path beside `path` to write to; it takes its place at the end, or leaves nothing.

    With `terms` the file is one of the user's: raises `ValueError` where they do not allow it.
    """
    if terms is not None:
        terms.check(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        yield partial
        if terms is None:
            partial.replace(path)
        else:
            write_terms.publish([(partial, path)], terms)
    finally:
        partial.unlink(missing_ok=True)
