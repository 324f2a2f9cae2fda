"""The events of the latest jobs, kept for clients that connect late or again."""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from bridge.protocol.events import Best, Cancelled, Done, Event, Failed, Progress

MAX_PAGES = 64  # jobs remembered
MAX_EVENTS = 200  # of one job
Ended: TypeAlias = Done | Failed | Cancelled


class Page:
    """The events of one job, numbered from 1, and a flag that is raised at each."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []
        self.changed = asyncio.Event()
        self._count = 0

    def note(self, event: Event) -> None:
        """Write one down and wake who waits."""
        if isinstance(event, Progress) and self.events:
            if isinstance(self.events[-1][1], Progress):
                self.events.pop()
        self._count += 1
        self.events.append((self._count, event))
        del self.events[:-MAX_EVENTS]
        self.changed.set()
        self.changed = asyncio.Event()

    def since(self, number: int) -> list[tuple[int, Event]]:
        """What came after event `number`."""
        return [(n, event) for n, event in self.events if n > number]

    @property
    def ended(self) -> bool:
        """Whether the last event is one that ends a job."""
        return bool(self.events) and isinstance(self.events[-1][1], Ended)


class Journal:
    """The pages of the newest jobs; give `note` to `Server.listen`."""

    def __init__(self) -> None:
        self._pages: dict[str, Page] = {}

    def note(self, event: Event) -> None:
        """Write an event down; pages of ended jobs make room."""
        self.page(event.id).note(event)
        for job_id in [job_id for job_id, page in self._pages.items() if page.ended]:
            if len(self._pages) <= MAX_PAGES:
                break
            del self._pages[job_id]

    def page(self, job_id: str) -> Page:
        """The page of a job, empty at first."""
        return self._pages.setdefault(job_id, Page())

    def forget(self, job_id: str) -> None:
        """Drop a page that nothing was written on: its job ended elsewhere, or earlier."""
        if job_id in self._pages and not self._pages[job_id].events:
            del self._pages[job_id]

    def best(self, job_id: str) -> Best | None:
        """The newest preview of a job that still runs."""
        page = self._pages.get(job_id)
        if page is None or page.ended:
            return None
        best_events = [event for _, event in page.events if isinstance(event, Best)]
        return best_events[-1] if best_events else None
