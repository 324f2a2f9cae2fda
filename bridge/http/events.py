"""Stream the events of a job as Server-Sent Events, from any event on.

A stream can be taken up again: every event has an id, `Last-Event-ID` names the last one heard, and
what came since is said again. Of progress only the newest is kept; it is a state, not a story.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from bridge.http import files, jobs
from bridge.http.journal import Ended
from bridge.http.state import HttpState
from bridge.protocol.events import Done, Event

LAST = "end"  # the id of the event a job ends with, also after a restart
EVENTS = "text/event-stream"
RETRY_MS = 2000  # a browser's wait before it asks again


async def stream(request: Request) -> Response:
    """The events of a job until it has ended; 204, which ends a browser's asking, after."""
    entry = jobs.find(request)
    last_id = request.headers.get("last-event-id", "")
    if last_id == LAST and not entry.live:
        return Response(status_code=204)
    if request.method == "HEAD":  # its answer would end no sooner than the job
        return Response(media_type=EVENTS)
    web: HttpState = request.app.state.web
    after = int(last_id) if last_id.isdecimal() and len(last_id) < 10 else 0
    return StreamingResponse(
        _event_stream(web, entry.job.id, after),
        media_type=EVENTS,
        headers={"Cache-Control": "no-store"},
    )


async def _event_stream(web: HttpState, job_id: str, after: int) -> AsyncIterator[bytes]:
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


def _text(web: HttpState, event: Event, number: str) -> bytes:
    """One event as the stream says it; `done` with the names of its files."""
    fields = event.model_dump()
    if isinstance(event, Done):
        entry = web.server.store.get(event.id)
        fields["files"] = [] if entry is None else files.list_files(entry, web.journal)
    number = LAST if isinstance(event, Ended) else number
    body = to_json(fields, inf_nan_mode="null")  # in one line: JSON escapes line breaks
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (number.encode(), event.kind.encode(), body)
