"""Log lines that others can cause at most once a second a source, with the number of the rest."""

from __future__ import annotations

import asyncio
import logging
import time

WINDOW = 1.0  # seconds
MAX_SOURCES = 256  # beyond these all are one
OTHERS = "others"


class RateLimitedLog:
    """Logs the first line of a source at once, and counts its others for `WINDOW` seconds.

    Belongs to the event loop that runs.
    """

    def __init__(self, log: logging.Logger, level: int = logging.INFO) -> None:
        self._log, self._level = log, level
        self._more: dict[str, int] = {}  # what was not said in the window that is open, by source

    def say(self, source: str, text: str) -> None:
        """Log `text`, or count it; the count is logged when the window ends."""
        if source not in self._more and len(self._more) >= MAX_SOURCES:
            source = OTHERS
        if source in self._more:
            self._more[source] += 1
            return
        self._more[source] = 0
        self._log.log(self._level, "%s", text)
        asyncio.get_running_loop().call_later(WINDOW, self._end, source)

    def _end(self, source: str) -> None:
        """Close the window, or open the next while they go on."""
        more = self._more.pop(source)
        if more:
            self._log.log(self._level, "%d more like that from %s", more, source)
            self._more[source] = 0
            asyncio.get_running_loop().call_later(WINDOW, self._end, source)


class OncePerWindow(logging.Filter):
    """Lets the warnings of a library pass once in `WINDOW` seconds each, by their format."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is said (logging)."""
        seconds, text = time.monotonic(), str(record.msg)
        if record.levelno > logging.WARNING or seconds - self._said.get(text, -WINDOW) >= WINDOW:
            self._said = (
                {text: seconds} if len(self._said) >= MAX_SOURCES else self._said | {text: seconds}
            )
            return True
        return False
