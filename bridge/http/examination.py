"""Run the examination of `scorewire doctor` for the panel: one at a time, its report kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

Examine = Callable[[], Awaitable[dict[str, Any]]]


class Examination:
    """The newest report, and the examination that runs, if one does."""

    def __init__(self, examine: Examine) -> None:
        self._examine = examine
        self._task: asyncio.Task[None] | None = None
        self._report: dict[str, Any] | None = None
        self._ended: float | None = None

    def start(self) -> None:
        """Begin, where none runs."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="doctor")

    def describe(self) -> dict[str, Any]:
        """Whether one runs, and what the newest said and when."""
        running = self._task is not None and not self._task.done()
        return {"running": running, "ended": self._ended, "report": self._report}

    async def close(self) -> None:
        """End what runs: its player and worker leave with it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        self._report = await self._examine()
        self._ended = time.time()
