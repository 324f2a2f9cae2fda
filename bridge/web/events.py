"""What happened to jobs, kept for those who ask late, and told as Server-Sent Events.

A stream can be taken up again: every event has an id, `Last-Event-ID` names the last one heard, and
what came since is said again. Of progress only the newest is kept; it is a state, not a story.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeAlias

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bridge.jobs import Best, Cancelled, Done, Event, Failed, Progress
from bridge.web import files, jobs

if TYPE_CHECKING:
    from bridge.web.app import Web

MAX_PAGES = 64  # jobs remembered
MAX_EVENTS = 200  # of one job
LAST = "end"  # the id of the event a job ends with, also after a restart
EVENTS = "text/event-stream"
RETRY_MS = 2000  # a browser's wait before it asks again

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
        found = [event for _, event in page.events if isinstance(event, Best)]
        return found[-1] if found else None


async def stream(request: Request) -> Response:
    """The events of a job until it has ended; 204, which ends a browser's asking, after."""
    entry = jobs.find(request)
    heard = request.headers.get("last-event-id", "")
    if heard == LAST and not entry.live:
        return Response(status_code=204)
    if request.method == "HEAD":  # its answer would end no sooner than the job
        return Response(media_type=EVENTS)
    web: Web = request.app.state.web
    after = int(heard) if heard.isdecimal() and len(heard) < 10 else 0
    return StreamingResponse(
        _told(web, entry.job.id, after),
        media_type=EVENTS,
        headers={"Cache-Control": "no-store"},
    )


async def _told(web: Web, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Events as text, and a comment when nothing happened for `web.heartbeat` seconds."""
    yield b"retry: %d\n\n" % RETRY_MS
    page = web.journal.page(job_id)
    while True:
        changed = page.changed
        for number, event in page.since(after):
            after = number
            yield _text(web, event, str(number))
            if isinstance(event, Ended):
                return
        entry = web.server.store.get(job_id)
        ended = None if entry is None else entry.last_event()
        if ended is not None and not page.since(after):  # before this server began, or beside it
            web.journal.forget(job_id)
            yield _text(web, ended, LAST)
            return
        try:
            async with asyncio.timeout(web.heartbeat):
                await changed.wait()
        except TimeoutError:
            yield b": nothing new\n\n"


def _text(web: Web, event: Event, number: str) -> bytes:
    """One event as the stream says it; `done` with the names of its files."""
    said = event.model_dump()
    if isinstance(event, Done):
        entry = web.server.store.get(event.id)
        said["files"] = [] if entry is None else files.listed(entry, web.journal)
    number = LAST if isinstance(event, Ended) else number
    body = to_json(said, inf_nan_mode="null")  # in one line: JSON escapes line breaks
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (number.encode(), event.kind.encode(), body)
