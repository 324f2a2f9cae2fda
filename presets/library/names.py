"""File names from names and prompts: readable, and the same file on every system and in every git.

A name may hold anything; a file name keeps its letters and digits, of every script, in lower case
and in one Unicode form, so that no two files differ only in what some file systems do not tell
apart. Pictures are spelled out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Set

LONGEST = 120  # bytes of a stem in UTF-8: file systems stop at 255, and a suffix must fit
PICTURES = "\u2190"  # symbols from here on are spelled out: arrows, stars, emoji
# Letters and marks that cannot be seen: fillers, a joiner, and what chooses among shapes.
_UNSEEN = {"\u115f", "\u1160", "\u034f", *map(chr, range(0x180B, 0x1810))}
_UNSEEN |= {*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))}
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


def stem(name: str, *, otherwise: str = "preset", longest: int = LONGEST) -> str:
    """A file name, without its suffix, of at most `longest` bytes in UTF-8, for what has a `name`.

    `otherwise` stands for a name of which nothing is kept, and behind the name of a device.

    >>> stem("Händel's Säx / night"), stem("../../etc"), stem("CON"), stem("!?")
    ('händel-s-säx-night', 'etc', 'con-preset', 'preset')
    >>> stem("鐘の音", otherwise="stem"), stem("Колокол"), stem("🥁")
    ('鐘の音', 'колокол', 'drum-with-drumsticks')
    """
    kept = ""
    for c in fold(name):
        kind = unicodedata.category(c)
        if kind == "So" and c >= PICTURES:
            kept += f" {unicodedata.name(c, '').lower()} "
        elif kind[0] == "M" and (kept[-1:] or " ").isspace():
            continue  # a mark on nothing
        else:
            kept += c if kind[0] in "LMN" and c not in _UNSEEN else " "
    kept = "-".join(kept.replace("-", " ").split())
    cut = kept.encode()[:longest].decode(errors="ignore").rstrip("-")
    return f"{cut}-{otherwise}" if cut in RESERVED else cut or otherwise


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
