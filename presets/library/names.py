"""File names from preset names: readable, and the same file on every system and in every git.

A name may hold anything; a file name keeps its letters and digits, in lower case and in one Unicode
form, so that no two files differ only in what some file systems do not tell apart.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Set

LONGEST = 120  # bytes of a stem in UTF-8: file systems stop at 255, and a suffix must fit
RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "slots"]  # Windows devices; our own slots.json
    + [f"{port}{number}" for port in ("com", "lpt") for number in range(10)]
)


def fold(text: str) -> str:
    """The form in which names are compared: one case, one Unicode composition.

    >>> fold("KU\\u0308CHE") == fold("küche")
    True
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def stem(name: str) -> str:
    """The file name, without its suffix, of a preset called `name`.

    >>> stem("Händel's Säx / night"), stem("../../etc"), stem("CON"), stem("🎹")
    ('händel-s-säx-night', 'etc', 'con-preset', 'preset')
    """
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in fold(name))
    cut = "-".join(kept.split()).encode()[:LONGEST].decode(errors="ignore").rstrip("-")
    return f"{cut}-preset" if cut in RESERVED else cut or "preset"


def free(wanted: str, taken: Set[str]) -> str:
    """`wanted`, or with the first number behind it, so that its folded form is not in `taken`.

    >>> free("kick", {"kick", "kick-2"})
    'kick-3'
    """
    if fold(wanted) not in taken:
        return wanted
    number = 2
    while fold(f"{wanted}-{number}") in taken:
        number += 1
    return f"{wanted}-{number}"
