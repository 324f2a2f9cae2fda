"""Run the worker's end of the pipe: jobs from stdin, events to stdout, cancelled in between.

No tensor here. The work itself is a function from a job to its events, given by `bridge.worker`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, TextIO, TypeAlias

from pydantic import ValidationError

from bridge.files.atomic_output import Interrupted, code_of, no_room
from bridge.processes import parent_watch
from bridge.protocol.events import Cancelled, Done, Event, Failed, Progress
from bridge.protocol.jobs import Cancel, Job, line_adapter, sentence
from bridge.protocol.kinds import out_folder
from presets.reading import read_json

log = logging.getLogger(__name__)

PROGRESS_GAP = 0.1  # seconds between two progress lines of one stage

Events: TypeAlias = Generator[Event, None, None]
Work: TypeAlias = Callable[[Job], Events]
Codes: TypeAlias = Mapping[type[ValueError], str]


class Clock:
    """Times one job: seconds since its start, seconds left as its fraction grows."""

    def __init__(self, job_id: str) -> None:
        self._id = job_id
        self._began = self._zero = time.monotonic()
        self._first = 0.0

    def progress(
        self, fraction: float, stage: str, figures: dict[str, float] | None = None
    ) -> Progress:
        """How far; the time left is counted from the last fraction 0, or from `resume`."""
        seconds = time.monotonic()
        if fraction == 0.0:
            self._zero, self._first = seconds, 0.0
        gone = fraction - self._first
        eta = (seconds - self._zero) * (1 - fraction) / gone if gone > 0.01 else None
        return Progress(
            id=self._id, fraction=min(1.0, fraction), stage=stage, eta=eta, figures=figures or {}
        )

    def resume(self, fraction: float) -> None:
        """So much was done by an earlier run: it says nothing about the time left."""
        self._zero, self._first = time.monotonic(), fraction

    def done(self, result: dict[str, Any]) -> Done:
        """The end, with the seconds it took."""
        return Done(id=self._id, result=result | {"seconds": time.monotonic() - self._began})


def serve(work: Work, *, codes: Codes) -> None:
    """Run jobs from stdin until it ends. What libraries print, from Python or C, goes to stderr.

    `codes` names refusals by their exception.
    """
    parent_watch.watch()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    inbox = Inbox(sys.stdin)
    # `echo job | python -m bridge.worker` ends stdin, too, and its job is done to the end.
    parent_watch.on_death(inbox.close)
    signal.signal(signal.SIGTERM, lambda *_: inbox.close())
    while (job := inbox.todo.get()) is not None and not inbox.closing.is_set():
        events = iter([job]) if isinstance(job, Failed) else run(job, work, inbox, codes=codes)
        for event in events:
            out.write(event.model_dump_json() + "\n")
            out.flush()


def run(job: Job, work: Work, inbox: Inbox, *, codes: Codes) -> Iterator[Event]:
    """The events of `work`, ended by Failed when it raises, by Cancelled when the inbox says so."""
    events = work(job)
    last, stage = 0.0, ""
    try:
        for event in events:
            if inbox.must_stop(job.id) and not isinstance(event, Done):
                _stop(events, interrupted=inbox.closing.is_set())
                yield Cancelled(id=job.id)
                return
            if isinstance(event, Progress):
                seconds = time.monotonic()
                if event.stage == stage and seconds - last < PROGRESS_GAP:
                    continue
                last, stage = seconds, event.stage
            yield event
    except ValidationError as error:  # of an event or a result of ours: no user's fault
        log.exception("job %s", job.id)
        yield Failed(id=job.id, code="internal", reason=f"the worker failed: {sentence(error)}")
    except ValueError as error:
        log.info("refused", exc_info=True)
        code = next((code for kind, code in codes.items() if isinstance(error, kind)), "bad-input")
        yield Failed(id=job.id, code=code_of(error, code), reason=str(error))
    except OSError as error:
        log.info("no file", exc_info=True)
        where = error.filename or (f"a file for {out}" if (out := out_folder(job)) else "a file")
        reason = f"{where}: {error.strerror or error}"
        yield Failed(id=job.id, code=code_of(error, "bad-output"), reason=reason)
    except Exception as error:  # the job loop, the one place: the next job must run
        if no_room(error, folder := out_folder(job)):
            yield Failed(id=job.id, code="no-room", reason=f"the disk of {folder} is full: {error}")
            return
        log.exception("job %s", job.id)
        text = (str(error).strip().splitlines() or [""])[0][:300]
        reason = f"the worker failed: {type(error).__name__}: {text}"
        yield Failed(id=job.id, code="internal", reason=reason)


def _stop(events: Events, *, interrupted: bool) -> None:
    """Close a job's generator; told that it is the process that ends, it may keep what is done."""
    if interrupted:
        with contextlib.suppress(Interrupted):
            events.throw(Interrupted())
    events.close()


class Inbox:
    """Jobs from a stream, read by a thread so that a Cancel is heard while a job runs."""

    def __init__(self, lines: TextIO) -> None:
        self.todo: queue.SimpleQueue[Job | Failed | None] = queue.SimpleQueue()
        self.closing = threading.Event()
        self._cancelled: set[str] = set()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def close(self) -> None:
        """Stop the running job at its next step, and take no other."""
        self.closing.set()
        self.todo.put(None)

    def must_stop(self, job_id: str) -> bool:
        """Whether a job must stop at its next step."""
        return self.closing.is_set() or job_id in self._cancelled

    def _read(self, lines: TextIO) -> None:
        for line in lines:
            if not line.strip():
                continue
            try:
                item = line_adapter.validate_json(line)
            except ValidationError as error:
                log.warning("a line that is no job: %s", line[:200].rstrip())
                self.todo.put(Failed(id=_id_of(line), code="bad-job", reason=sentence(error)))
                continue
            if isinstance(item, Cancel):
                self._cancelled.add(item.id)
            else:
                self.todo.put(item)
        self.todo.put(None)


def _id_of(line: str) -> str:
    try:
        value = read_json(line)
    except ValueError:
        return ""
    return str(value.get("id", "")) if isinstance(value, dict) else ""
