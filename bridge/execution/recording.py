"""Run recordings, each in a process of its own, at once, beside whatever a worker does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from pydantic import ValidationError

from bridge.execution.child_process import Child
from bridge.processes import parent_watch
from bridge.protocol.events import Cancelled, Done, Event, Failed, event_adapter
from bridge.protocol.jobs import Job

log = logging.getLogger(__name__)

COMMAND = parent_watch.command("bridge.recorder")
CLOSING = 5.0  # seconds a recorder gets to bring its file to an end


class RecordingEngine:
    """Runs `Record` jobs; `stop` ends one and keeps it, `cancel` drops it.

    A server that leaves ends its recordings and keeps them: what was played cannot be played again.
    """

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = tuple(command)
        self._children: dict[str, Child | None] = {}  # None until the process has begun
        self._early: dict[str, str] = {}  # what was said to those
        self._empty = asyncio.Event()
        self._leaving = False

    async def __aenter__(self) -> RecordingEngine:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leaving = True
        for job_id in self._children:
            self.stop(job_id)
        if self._children:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), 2 * CLOSING)
        for child in [child for child in self._children.values() if child is not None]:
            log.warning("recorder %d does not stop: killing it", child.pid)
            await child.close(0.0)

    def submit(self, job: Job, *, client: str = "") -> AsyncGenerator[Event, None]:
        """Start `job` and yield its events; the last one is Done, Failed or Cancelled.

        From now on it can be stopped and cancelled, so the events must be asked for.
        """
        if not self._leaving:
            self._children[job.id] = None
            self._empty.clear()
        return self._events(job)

    async def cancel(self, job_id: str) -> bool:
        """Drop a recording; False when it is not (or no longer) here."""
        return self._say(job_id, '{"kind": "cancel"}')

    def stop(self, job_id: str) -> bool:
        """End a recording and keep it; False when it is not (or no longer) here."""
        return self._say(job_id, '{"kind": "stop"}')

    def _say(self, job_id: str, line: str) -> bool:
        if job_id not in self._children:
            return False
        child = self._children[job_id]
        if child is None:
            self._early[job_id] = line
            return True
        if child.alive:
            child.send(line)
        return child.alive

    async def _events(self, job: Job) -> AsyncGenerator[Event, None]:
        if job.id not in self._children:
            reason = "the server stopped before the recording began"
            yield Failed(id=job.id, code="interrupted", reason=reason)
            return
        try:
            async with aclosing(self._follow_child(job)) as events:
                async for event in events:
                    yield event
        finally:
            del self._children[job.id]
            self._early.pop(job.id, None)
            if not self._children:
                self._empty.set()

    async def _follow_child(self, job: Job) -> AsyncGenerator[Event, None]:
        """The recorder from its start to its end."""
        try:
            child = await Child.start(self._command)
        except OSError as error:
            reason = f"the recorder could not be started: {error}"
            yield Failed(id=job.id, code="crashed", reason=reason)
            return
        self._children[job.id] = child
        child.send(job.model_dump_json())
        if job.id in self._early:
            child.send(self._early[job.id])
        try:
            while (line := await child.lines.get()) is not None:
                try:
                    event = event_adapter.validate_json(line)
                except ValidationError:
                    log.warning("recorder stdout, not an event: %r", line[:200])
                    continue
                yield event
                if isinstance(event, Done | Failed | Cancelled):
                    return
            words = f"; its last words: {child.tail[-1][:200]}" if child.tail else ""
            reason = f"the recorder ended ({child.ending}); what it wrote is kept{words}"
            yield Failed(id=job.id, code="crashed", reason=reason)
        finally:
            await child.close(CLOSING)
