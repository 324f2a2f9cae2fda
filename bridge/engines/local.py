"""One supervised worker process on this machine: JSON lines in, JSON lines out, files by path.

The worker keeps its model loaded from job to job. When it dies, its job fails with a sentence and
the next job starts a new one. What a library prints on its stdout by mistake is logged, not obeyed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import cast

from pydantic import ValidationError

from bridge.jobs import Cancel, Cancelled, Done, Event, Failed, Job, event_adapter

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "bridge.worker")
MAX_LINE = 8 * 2**20  # bytes; a longer line is noise
TAIL = 40  # last lines of stderr kept for the log
CLOSING = 3.0  # seconds a worker gets to leave after its stdin is closed


class LocalEngine:
    """Runs jobs one at a time, in the order submitted, on one worker process.

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
        self._queue: deque[_Ticket] = deque()
        self._wake = asyncio.Event()
        self._current: _Ticket | None = None
        self._worker: _Worker | None = None
        self._runner: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id, None when none runs."""
        return self._worker.pid if self._worker and self._worker.alive else None

    async def __aenter__(self) -> LocalEngine:
        self._runner = asyncio.create_task(self._run_queue(), name="local-engine")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])
            self._runner = None
        for ticket in [self._current, *self._queue]:
            if ticket is not None:
                ticket.end(_interrupted(ticket.job.id))
        self._queue.clear()
        await self._drop_worker(CLOSING if self._current is None else 0.5)
        self._current = None

    def submit(self, job: Job) -> AsyncGenerator[Event, None]:
        """Queue `job` now and yield its events; the last one is Done, Failed or Cancelled.

        Leaving the generator before its end cancels the job.
        """
        ticket = _Ticket(job)
        if self._runner is None:
            ticket.end(_interrupted(job.id))
        else:
            self._queue.append(ticket)
            self._wake.set()
        return self._events(ticket)

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

    async def _events(self, ticket: _Ticket) -> AsyncGenerator[Event, None]:
        try:
            while True:
                event = await ticket.events.get()
                yield event
                if isinstance(event, Done | Failed | Cancelled):
                    return
        finally:
            if not ticket.ended:
                await self.cancel(ticket.job.id)

    async def _run_queue(self) -> None:
        while True:
            self._wake.clear()
            while self._queue:
                self._current = self._queue.popleft()
                self._current.end(await self._run(self._current))
                self._current = None
            await self._wake.wait()

    async def _run(self, ticket: _Ticket) -> Event:
        """Hand one job to the worker, pass its events on, and return the last one."""
        job_id = ticket.job.id
        try:
            worker = await self._ready_worker()
        except OSError as error:
            reason = f"the worker could not be started: {error}"
            return Failed(id=job_id, code="crashed", reason=reason)
        if ticket.deadline is not None:
            return Cancelled(id=job_id)
        worker.send(ticket.job.model_dump_json())
        while True:
            try:
                line = await asyncio.wait_for(worker.lines.get(), self._patience(ticket))
            except TimeoutError:
                log.warning("worker %d is silent or does not stop: killing it", worker.pid)
                await self._drop_worker(0.0)
                if ticket.deadline is not None:
                    return Cancelled(id=job_id)
                reason = f"the worker said nothing for {self._stall:g} s and was stopped"
                return Failed(id=job_id, code="stalled", reason=reason)
            if line is None:
                return await self._buried(worker, ticket)
            event = _parse(line, job_id)
            if isinstance(event, Done | Failed | Cancelled):
                return event
            if event is not None:
                ticket.events.put_nowait(event)

    def _patience(self, ticket: _Ticket) -> float | None:
        """How many seconds to wait for the worker's next line; None is for ever."""
        if ticket.deadline is not None:
            return max(0.0, ticket.deadline - asyncio.get_running_loop().time())
        return self._stall or None

    async def _ready_worker(self) -> _Worker:
        if self._worker is not None and not self._worker.alive:
            await self._drop_worker(0.0)
        if self._worker is None:
            self._worker = await _Worker.start(self._command)
        return self._worker

    async def _drop_worker(self, patience: float) -> None:
        if self._worker is not None:
            await self._worker.close(patience)
            self._worker = None

    async def _buried(self, worker: _Worker, ticket: _Ticket) -> Event:
        """The worker died in the middle of a job: say how."""
        await self._drop_worker(0.0)
        if worker.tail:
            log.error("the worker's last words:\n%s", "\n".join(worker.tail))
        if ticket.deadline is not None:
            return Cancelled(id=ticket.job.id)
        words = f"; its last words: {worker.tail[-1][:200]}" if worker.tail else ""
        reason = f"the worker process ended ({_how(worker.returncode)}) before the job did{words}"
        return Failed(id=ticket.job.id, code="crashed", reason=reason)


@dataclass(slots=True)
class _Ticket:
    """A job on its way: its events so far unread, and when it must have stopped if cancelled."""

    job: Job
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    deadline: float | None = None  # of the loop's clock, once cancelled
    ended: bool = False

    def end(self, event: Event) -> None:
        """Put the last event, once."""
        if not self.ended:
            self.ended = True
            self.events.put_nowait(event)


class _Worker(asyncio.SubprocessProtocol):
    """One child process: lines of its stdout in `lines` (None after the last), stderr in `tail`."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.returncode: int | None = None
        self.alive = True
        self.pid = 0
        self._transport: asyncio.SubprocessTransport | None = None
        self._parts = {1: b"", 2: b""}
        self._exited = asyncio.Event()
        self._silent = False

    @classmethod
    async def start(cls, command: Sequence[str]) -> _Worker:
        """Start the child in its own session, so that Ctrl-C reaches us and we end it."""
        loop = asyncio.get_running_loop()
        _, worker = await loop.subprocess_exec(
            cls, *command, stdin=subprocess.PIPE, start_new_session=True
        )
        log.info("worker %d started", worker.pid)
        return worker

    def send(self, line: str) -> None:
        """Write one line to the child; what cannot be written shows as its death."""
        pipe = self._transport.get_pipe_transport(0) if self._transport else None
        if pipe is not None and not pipe.is_closing():
            cast(asyncio.WriteTransport, pipe).write(line.encode() + b"\n")

    async def close(self, patience: float) -> None:
        """Close its stdin, wait `patience` seconds, then kill it, and wait for its end."""
        if self._transport is None:
            return
        pipe = self._transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.close()
        if patience > 0 and not self._exited.is_set():
            try:
                await asyncio.wait_for(self._exited.wait(), patience)
            except TimeoutError:
                log.warning("worker %d did not leave in %.1f s: killing it", self.pid, patience)
        if not self._exited.is_set():
            self._transport.kill()
            await self._exited.wait()
        self._transport.close()
        self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport (asyncio)."""
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Cut what came into lines (asyncio)."""
        *lines, rest = (self._parts[fd] + data).split(b"\n")
        if len(rest) > MAX_LINE:
            log.warning("worker %d: a line of more than %d bytes was dropped", self.pid, MAX_LINE)
            rest = b""
        self._parts[fd] = rest
        for line in lines:
            if fd == 1:
                self.lines.put_nowait(line)
            elif line.strip():
                self._hear(line)

    def process_exited(self) -> None:
        """The child is gone; its last output may still be in the pipes (asyncio)."""
        self.alive = False
        if self._transport is not None:
            self.returncode = self._transport.get_returncode()
        self._exited.set()
        # A grandchild may hold the pipes open for ever; half a second is enough for what is ours.
        asyncio.get_running_loop().call_later(0.5, self._finish)

    def connection_lost(self, exc: Exception | None) -> None:
        """The child is gone and both pipes are read to their end (asyncio)."""
        self._finish()

    def _finish(self) -> None:
        if self._silent:
            return
        self._silent = True
        if self._parts[1].strip():
            log.warning(
                "worker %d ended in the middle of a line: %r", self.pid, self._parts[1][:200]
            )
        if self._parts[2].strip():
            self._hear(self._parts[2])
        self.lines.put_nowait(None)

    def _hear(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        self.tail.append(text)
        log.info("worker %d: %s", self.pid, text)


def _parse(line: bytes, job_id: str) -> Event | None:
    """The event of this job on the line; None for noise and for the events of other jobs."""
    if not line.strip():
        return None
    try:
        event = event_adapter.validate_python(json.loads(line))
    except (ValueError, RecursionError) as error:
        kind = "not an event" if isinstance(error, ValidationError) else "noise"
        log.warning("worker stdout, %s: %r", kind, line[:200])
        return None
    if event.id != job_id:
        log.warning("worker stdout, an event of job %r while %r runs", event.id, job_id)
        return None
    return event


def _how(returncode: int | None) -> str:
    """A return code in words: 'killed by SIGSEGV', 'exit code 1'."""
    if returncode is None:
        return "unknown end"
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"killed by signal {-returncode}"


def _interrupted(job_id: str) -> Failed:
    reason = "the server stopped before the job ended"
    return Failed(id=job_id, code="interrupted", reason=reason)
