"""Hand a job to the server that runs for the data folder, whose models are loaded, and follow it.

A job is never done twice. It is asked for under a key of its own, so what was asked without an
answer is asked again; the ledger, which both sides read, says what became of it. Where no server
runs, or the one that does refuses (another version, a path that it may not touch), nothing has
begun, and whoever asks does it himself.
"""

from __future__ import annotations

import importlib.metadata
import logging
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.protocol.events import Best, Event, Progress, event_adapter
from bridge.protocol.jobs import Evaluate, Job, Probe
from bridge.service import discovery
from bridge.service.config import Config
from bridge.service.discovery import Refusal, RunningServer
from bridge.service.ledger import Entry, Store

log = logging.getLogger(__name__)

PAUSE = 0.5  # seconds before a stream that broke off is asked for again
LOST = "the server that had the job ended before it did; the same command asks for it again"


class Silent(ValueError):
    """A server lives and does not say whether it has taken a job."""


def hand_over(job: Job, settings: Config, hear: Callable[[Event], None] | None) -> Entry | None:
    """The job's line in the ledger once the running server has ended it; None when that has not
    taken it.

    `hear` is told of progress. Ctrl-C cancels the job, and is waited for; the second one is raised.
    Raises `Silent` when nobody can say whether the job was taken.
    """
    server = discovery.find(settings.data)
    if server is None or isinstance(job, Evaluate | Probe) or _is_of_this_folder(job):
        return None
    try:
        token = settings.token_file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    handed = _Handed(server, token, settings.ledger, job, hear)
    stopping = False
    with _stopped_as_by_ctrl_c():
        while True:
            try:
                if not handed.begin():
                    if stopping:
                        raise KeyboardInterrupt
                    return None
                if stopping:
                    handed.cancel()
                return handed.follow()
            except KeyboardInterrupt:
                if stopping:
                    raise
                stopping = True


def _is_of_this_folder(job: Job) -> bool:
    """Whether a model is a folder named from here: the server is elsewhere."""
    named = [getattr(job, field, "") for field in ("model", "stem_model", "scorer")]
    named += getattr(job, "models", ())
    return any(name and not Path(name).is_absolute() and Path(name).exists() for name in named)


@contextmanager
def _stopped_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM interrupts as Ctrl-C does, so that the job ends with whoever asked for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(slots=True)
class _Handed:
    """A job on its way to the server."""

    server: RunningServer
    token: str
    ledger: Path
    job: Job
    hear: Callable[[Event], None] | None
    key: str = field(default_factory=lambda: f"cli-{secrets.token_hex(8)}")
    taken: str = ""  # the id that the server gave
    heard: str = ""  # the id of the last event

    def begin(self) -> bool:
        """Ask for the job, once; whether the server has taken it."""
        if self.taken:
            return True
        if not self._is_like_us():
            return False
        body = self.job.model_dump(mode="json", exclude={"id"})
        try:
            answer = self.server.ask("POST", "/v1/jobs", self.token, body, key=self.key)
        except Refusal as refusal:
            log.info("the server does not take the job: %s", refusal)
            return False
        except ConnectionRefusedError:
            return False
        except (OSError, ValueError) as error:
            return self._was_taken(error)
        self.taken = str(answer["id"])
        waits = f"waiting: {answer['ahead']} before it" if answer.get("ahead") else "waiting"
        self._tell(Progress(id=self.taken, fraction=0.0, stage=f"{waits}, in the server that runs"))
        return True

    def cancel(self) -> None:
        """Ask for the job's end; one that has just ended is as good."""
        with suppress(ValueError, OSError):
            self.server.ask("DELETE", f"/v1/jobs/{self.taken}", self.token)

    def follow(self) -> Entry:
        """Pass events on until the job has ended; its line in the ledger."""
        with Store(self.ledger) as store:
            while True:
                lives = self.server.lives
                entry = store.get(self.taken)
                if entry is None:
                    raise ValueError(
                        f"job {self.taken} is not in the ledger {self.ledger} any more"
                    )
                if not entry.live:
                    return entry
                if not lives:
                    return replace(entry, state="interrupted", code="interrupted", reason=LOST)
                try:
                    self._listen()
                except (OSError, ValueError) as error:
                    log.info("the events of the server broke off: %s", error)
                    time.sleep(PAUSE)

    def _listen(self) -> None:
        path = f"/v1/jobs/{self.taken}/events"
        for number, fields in self.server.events(path, self.token, self.heard):
            if fields.get("kind") in ("progress", "best"):
                self._tell(event_adapter.validate_python(fields))
            self.heard = number

    def _tell(self, event: Event) -> None:
        if self.hear is not None and isinstance(event, Progress | Best):
            self.hear(event)

    def _is_like_us(self) -> bool:
        """Whether the server answers, and is of our version: then its results are like ours."""
        try:
            version = self.server.ask("GET", "/v1/ping", self.token)["version"]
        except (OSError, ValueError, KeyError) as error:
            log.info("the server does not answer: %s", error)
            return False
        return bool(version == importlib.metadata.version("scorewire"))

    def _was_taken(self, error: Exception) -> bool:
        """Whether a job that was asked for without an answer is in the ledger. Raises `Silent`."""
        lives = self.server.lives
        with Store(self.ledger) as store:
            entry = store.by_request(f"http:{self.key}", 0)
        if entry is not None:
            self.taken = entry.job.id
            return True
        if lives:
            reason = f"the server that runs does not say whether it has taken the job: {error}"
            raise Silent(reason) from error
        return False
