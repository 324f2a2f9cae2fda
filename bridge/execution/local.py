"""One supervised worker process on this machine: JSON lines in, JSON lines out, files by path.

The worker keeps its model loaded from job to job. When it dies, its job fails with a sentence and
the next job starts a new one. What a library prints on its stdout by mistake is logged, not obeyed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence

from pydantic import ValidationError

from bridge.execution.child_process import Child
from bridge.execution.fair_queue import FairQueue
from bridge.execution.ticket import Ticket
from bridge.processes import parent_watch
from bridge.protocol.events import Cancelled, Done, Event, Failed, event_adapter
from bridge.protocol.jobs import Cancel, Job, sentence
from presets.reading import read_text

log = logging.getLogger(__name__)

COMMAND = parent_watch.command("bridge.worker")
CLOSING = 3.0  # seconds a worker gets to leave once its job is cancelled and its stdin closed


class LocalEngine:
    """Runs jobs one at a time, of each client in the order submitted, on one worker process.

        async with LocalEngine() as engine:
            async for event in engine.submit(job):
                ...

    `command` starts the worker. `grace` is how many seconds a cancelled job may take to stop before
    its worker is killed. `stall`, when not 0, is how many seconds a running worker may stay silent.
    The worker is started by the first job, and no process is left when the engine is left.
    """

    def __init__(
        self, command: Sequence[str] = COMMAND, *, grace: float = 10.0, stall: float = 0.0
    ) -> None:
        self._command = tuple(command)
        self._grace = grace
        self._stall = stall
        self._queue: FairQueue[Ticket] = FairQueue()
        self._wake = asyncio.Event()
        self._current: Ticket | None = None
        self._worker: Child | None = None
        self._runner: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id, None when none runs."""
        return self._worker.pid if self._worker and self._worker.alive else None

    async def __aenter__(self) -> LocalEngine:
        if self._runner is None:
            self._runner = asyncio.create_task(self._run_queue(), name="local-engine")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            if self._current is not None and self._worker is not None:
                # Asked to stop, it takes its half-written files away; killed, it could not.
                self._worker.send(Cancel(id=self._current.job.id).model_dump_json())
            runner.cancel()
            await asyncio.wait([runner])
            self._interrupt()  # a task cancelled before its first step runs no `finally`
            await self._drop_worker(CLOSING)
            self._current = None
            if not runner.cancelled():
                runner.result()  # raises what ended it

    def submit(self, job: Job, *, client: str = "") -> AsyncGenerator[Event, None]:
        """Queue `job` now and yield its events; the last one is Done, Failed or Cancelled.

        Clients have their turns. Leaving the generator before its end cancels the job.
        """
        ticket = Ticket(job, client)
        if self._runner is None or self._runner.done():
            ticket.interrupt()
        else:
            self._queue.put(client, ticket)
            self._wake.set()
        return ticket.read(self.cancel)

    async def cancel(self, job_id: str) -> bool:
        """Ask for job `job_id` to stop; False when it is not (or no longer) here.

        A queued job is cancelled at once; a running one at its next step, or by force after the
        engine's `grace`.
        """
        for queued in self._queue:
            if queued.job.id == job_id:
                self._queue.remove(queued)
                queued.end(Cancelled(id=job_id))
                return True
        ticket = self._current
        if ticket is None or ticket.job.id != job_id:
            return False
        if ticket.deadline is None:
            ticket.deadline = asyncio.get_running_loop().time() + self._grace
            if self._worker is not None:
                self._worker.send(Cancel(id=job_id).model_dump_json())
                self._worker.lines.put_nowait(b"")  # wakes `_run`, which then sees the deadline
        return True

    async def _run_queue(self) -> None:
        try:
            while True:
                self._wake.clear()
                while (ticket := self._queue.take()) is not None:
                    self._current = ticket
                    self._current.end(await self._run(self._current))
                    self._current = None
                await self._wake.wait()
        finally:
            self._interrupt()

    def _interrupt(self) -> None:
        """End every job still here: nobody will run it."""
        for ticket in (self._current, *self._queue):
            if ticket is not None:
                ticket.interrupt()
        self._queue.clear()

    async def _run(self, ticket: Ticket) -> Event:
        """Hand one job to the worker, pass its events on, and return the last one."""
        job_id = ticket.job.id
        warm = self._worker is not None and self._worker.alive
        try:
            worker = await self._ready_worker()
        except OSError as error:
            reason = f"the worker could not be started: {error}"
            return Failed(id=job_id, code="crashed", reason=reason)
        if ticket.deadline is not None:
            return Cancelled(id=job_id)
        worker.send(ticket.job.model_dump_json())
        answered = False
        while True:
            try:
                # Not `wait_for`: until Python 3.12 it forgets that it was cancelled when a line
                # comes at that moment, and the engine then waited for ever for its runner's end.
                async with asyncio.timeout(self._patience(ticket)):
                    line = await worker.lines.get()
            except TimeoutError:
                log.warning("worker %d is silent or does not stop: killing it", worker.pid)
                await self._drop_worker(0.0)
                if ticket.deadline is not None:
                    return Cancelled(id=job_id)
                reason = f"the worker said nothing for {self._stall:g} s and was stopped"
                return Failed(id=job_id, code="stalled", reason=reason)
            if line is None:
                if warm and not answered and ticket.deadline is None:
                    # It died of its last job, as this one came in: a new worker, one more time.
                    await self._drop_worker(0.0)
                    return await self._run(ticket)
                return await self._report_death(worker, ticket)
            event = _parse(line, job_id)
            answered = answered or event is not None
            if isinstance(event, Done | Failed | Cancelled):
                return event
            if event is not None:
                ticket.events.put_nowait(event)

    def _patience(self, ticket: Ticket) -> float | None:
        """How many seconds to wait for the worker's next line; None is for ever."""
        if ticket.deadline is not None:
            return max(0.0, ticket.deadline - asyncio.get_running_loop().time())
        return self._stall or None

    async def _ready_worker(self) -> Child:
        if self._worker is not None and not self._worker.alive:
            await self._drop_worker(0.0)
        if self._worker is None:
            self._worker = await Child.start(self._command)
        return self._worker

    async def _drop_worker(self, patience: float) -> None:
        if self._worker is not None:
            await self._worker.close(patience)
            self._worker = None

    async def _report_death(self, worker: Child, ticket: Ticket) -> Event:
        """Make the last event of a job whose worker has died: how it died."""
        await self._drop_worker(0.0)
        if worker.tail:
            log.error("the worker's last words:\n%s", "\n".join(worker.tail))
        if ticket.deadline is not None:
            return Cancelled(id=ticket.job.id)
        words = f"; its last words: {worker.tail[-1][:200]}" if worker.tail else ""
        reason = f"the worker process ended ({worker.ending}) before the job did{words}"
        return Failed(id=ticket.job.id, code="crashed", reason=reason)


def _parse(line: bytes, job_id: str) -> Event | None:
    """The event of this job on the line; None for noise and for the events of other jobs."""
    if not line.strip():
        return None
    try:
        text = read_text(line)
        raw = json.loads(text, parse_constant=lambda _: None)  # JSON has no NaN, no Infinity
        event = event_adapter.validate_python(raw)
    except ValueError as error:
        log.warning("worker stdout, not an event: %r", line[:200])
        if isinstance(error, ValidationError) and _ends(raw, job_id):
            reason = f"the worker's answer made no sense: {sentence(error)}"
            return Failed(id=job_id, code="internal", reason=reason)
        return None
    if event.id != job_id:
        log.warning("worker stdout, an event of job %r while %r runs", event.id, job_id)
        return None
    return event


def _ends(raw: object, job_id: str) -> bool:
    """Whether a line was meant as the last event of the job: after it, no other will come."""
    last = ("done", "failed", "cancelled")
    return isinstance(raw, dict) and raw.get("id") == job_id and raw.get("kind") in last
