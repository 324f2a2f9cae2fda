"""The suites by name, in the order they run."""

from __future__ import annotations

from dataclasses import dataclass

from sds.scoreboard import codec
from sds.scoreboard.board import Column, Suite


@dataclass(frozen=True, slots=True)
class Entry:
    """A suite, the figures its table shows, and what a reader should know of them."""

    suite: Suite
    columns: tuple[Column, ...]
    about: str


SUITES = {
    "codec": Entry(codec.suite, codec.COLUMNS, str(codec.__doc__)),
}
