"""A job on its way through an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from bridge.protocol.events import Cancelled, Done, Event, Failed
from bridge.protocol.jobs import Job


@dataclass(slots=True, eq=False)
class Ticket:
    """A job on its way: its events so far unread, and when it must have stopped if cancelled."""

    job: Job
    client: str = ""
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    deadline: float | None = None  # of the loop's clock, once cancelled
    deaths: int = 0  # of what did it
    ended: bool = False

    def end(self, event: Event) -> None:
        """Put the last event, once."""
        if not self.ended:
            self.ended = True
            self.events.put_nowait(event)

    def interrupt(self) -> None:
        """End it: the engine is left, and nobody will run it."""
        reason = "the server stopped before the job ended"
        self.end(Failed(id=self.job.id, code="interrupted", reason=reason))

    async def read(self, cancel: Callable[[str], Awaitable[object]]) -> AsyncGenerator[Event, None]:
        """The events of the job; who leaves before the last one cancels it."""
        try:
            while True:
                event = await self.events.get()
                yield event
                if isinstance(event, Done | Failed | Cancelled):
                    return
        finally:
            if not self.ended:
                await cancel(self.job.id)
