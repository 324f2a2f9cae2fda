"""File names made of what people type, and the digest of a file."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

MAX_SLUG = 100
ZERO_WIDTH_JOINER = "\u200d"  # makes one emoji of several
RESERVED = {"con", "prn", "aux", "nul"} | {f"{p}{n}" for p in ("com", "lpt") for n in range(1, 10)}


def slug(text: str, *, otherwise: str = "stem") -> str:
    """ASCII file-name piece of at most 100 characters that no file system refuses.

    `otherwise` stands for a text without letters or digits, and behind the name of a device.

    >>> slug("Händel's Säx / night")
    'handel-s-sax-night'
    >>> slug("CON"), slug("!!!")
    ('con-stem', 'stem')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    kept = "".join(c if c.isalnum() else "-" for c in plain)
    piece = "-".join(part for part in kept.split("-") if part)[:MAX_SLUG].strip("-")
    if not piece:
        return otherwise
    return f"{piece}-{otherwise}" if piece in RESERVED else piece


def sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
