"""The newest lines of this process's log, kept for the panel."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

KEPT = 500  # lines
LONGEST = 2000  # letters of one


class LogTail(logging.Handler):
    """A handler that keeps the newest lines, numbered from 1."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line (logging)."""
        self._count += 1
        self._lines.append(
            {
                "number": self._count,
                "time": record.created,
                "level": record.levelname,
                "name": record.name,
                "text": self.format(record)[:LONGEST],
            }
        )

    def since(self, number: int) -> list[dict[str, Any]]:
        """What came after line `number`, as far as it is still kept."""
        return [line for line in list(self._lines) if line["number"] > number]
