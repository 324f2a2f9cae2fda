"""Run a job requested by files in a folder: for hosts whose scripts have no sockets.

    python -m bridge.app.folder_requests FOLDER

The host's script writes the sound and `request.json` into FOLDER, the fields of a `Separate` with
`file` named from there, or of an `Accompany` with `tracks`, pairs of a track's name and a file,
instead of `given`; it starts this, and reads `status.txt` from time to time, one line of

    STATE <tab> BEAT <tab> FRACTION <tab> SECONDS LEFT or - <tab> TEXT

STATE is running, done or failed. BEAT counts up about once a second, so that silence
means that nobody works any more. TEXT is the stage, the sentence of a failure, or when done the
list of tracks (`bridge.hosts.reaper`). A file named `cancel` in FOLDER stops the job, and what
was written for it goes. A server that runs does the work, else a worker of this process's own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from pydantic import ValidationError

from bridge.app import doctor
from bridge.execution.local import LocalEngine
from bridge.hosts.files import one_line, whole
from bridge.protocol import jobs
from bridge.protocol.events import Event, Failed, Progress
from bridge.protocol.jobs import Separate
from bridge.protocol.kinds import files_read
from bridge.protocol.multitrack_jobs import Accompany
from bridge.protocol.stem_classes import given_by_name
from bridge.service import config, discovery
from bridge.service.job_server import Server
from bridge.service.ledger import Entry, Store, mend
from presets.reading import read_json

log = logging.getLogger(__name__)

REQUEST, STATUS, CANCEL = "request.json", "status.txt", "cancel"
HOST = "reaper"
BEAT = 1.0  # seconds
MAX_REQUEST = 65536  # bytes

Asked: TypeAlias = Separate | Accompany


class Status:
    """Writes the one line of `status.txt` anew, whole each time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATUS
        self._beat = 0
        self._last = Progress(id="", fraction=0, stage="starting")

    def hear(self, event: Event) -> None:
        """Write the progress of a job into the status line."""
        if isinstance(event, Progress):
            self._last = event
            self.beat()

    def beat(self) -> None:
        """Say that the job lives."""
        left = "-" if self._last.eta is None else f"{self._last.eta:.0f}"
        self.say("running", self._last.stage, self._last.fraction, left)

    def say(self, state: str, text: str, fraction: float = 1.0, left: str = "-") -> None:
        """Write a line."""
        self._beat += 1
        line = "\t".join((state, str(self._beat), f"{fraction:.4f}", left, one_line(text)))
        with suppress(PermissionError), whole(self._path) as path:  # Windows: being read just now
            path.write_text(line + "\n", encoding="utf-8")


def read(folder: Path, settings: config.Config) -> Asked:
    """The job asked for in `folder`. `ValueError` with one sentence when it is none."""
    path = folder / REQUEST
    fields = read_json(path, MAX_REQUEST)
    try:
        fixed = {"id": jobs.new_id(), "out": str(folder), "host": HOST}
        if "tracks" in fields:
            named = [(name, _inside(folder, file)) for name, file in fields.pop("tracks")]
            return Accompany.model_validate(fields | fixed | {"given": given_by_name(named)})
        fields["file"] = _inside(folder, fields["file"])
        return Separate.model_validate({"model": settings.model} | fields | fixed)
    except ValidationError as error:
        raise ValueError(jobs.sentence(error)) from error
    except (TypeError, KeyError) as error:
        raise ValueError(f"{REQUEST} must be one JSON object with a file") from error


def _inside(folder: Path, name: object) -> str:
    """The path of a file that a request names. `ValueError` for one elsewhere."""
    if not isinstance(name, str) or Path(name).name != name:  # a cancel deletes it
        raise ValueError(f"file must be the name of one in the folder, got {name!r}")
    return str(folder / name)


def hand_over(job: Asked, settings: config.Config, folder: Path, status: Status) -> Entry | None:
    """Run the job in the server of this machine, whose models are loaded, until it ends.

    None when no server runs, takes it, or lives to its end: then it is ours, and goes on behind
    the last window that the server finished.
    """
    server = discovery.find(settings.data)
    if server is None:
        return None
    try:
        token = settings.token_file.read_text(encoding="ascii").strip()
        body = job.model_dump(mode="json", exclude={"id"})
        address = f"/v1/jobs/{server.ask('POST', '/v1/jobs', token, body)['id']}"
    except (ValueError, OSError) as error:
        log.info("the server does not take the job: %s", error)
        return None
    with Store(settings.ledger) as store:
        while (entry := store.get(address.rpartition("/")[2])) is not None and entry.live:
            if not server.lives:
                return None
            status.hear(_progress(entry))
            if (folder / CANCEL).exists():
                with suppress(ValueError, OSError):  # it has just ended, or the server has
                    server.ask("DELETE", address, token)
            time.sleep(BEAT)
    return None if entry is None or entry.state == "interrupted" else entry


def _progress(entry: Entry) -> Progress:
    """What the ledger knows of how far a job is; the rest goes as fast as what is done."""
    done, spent = entry.fraction, time.time() - (entry.started or time.time())
    eta = spent * (1 - done) / done if done > 0 else None
    return Progress(id=entry.job.id, fraction=done, stage=entry.stage or "waiting", eta=eta)


async def work(job: Asked, settings: config.Config, folder: Path, status: Status) -> Entry:
    """The job's life in the ledger, on a worker of our own, until it ends or is cancelled."""
    engine = LocalEngine(settings.worker, grace=settings.grace, stall=settings.stall)
    mend(settings.ledger)
    with Store(settings.ledger) as store:
        async with engine, Server(settings, store, engine) as server:
            server.submit(job, client=HOST, req=secrets.randbits(31))
            server.listen(job.id, HOST, status.hear)
            ended = asyncio.create_task(server.wait(job.id))
            while not ended.done():
                status.beat()
                if (folder / CANCEL).exists():
                    await server.cancel(job.id)
                await asyncio.wait((ended,), timeout=BEAT)
            return await ended


def answer(folder: Path, settings: config.Config) -> None:
    """Run the request in `folder`, and write how it ended to its `status.txt`."""
    status = Status(folder)
    status.beat()
    try:
        job = read(folder, settings)
        entry = hand_over(job, settings, folder, status)
        if entry is None:
            if missing := doctor.missing_packages():
                raise ValueError(missing)
            entry = asyncio.run(work(job, settings, folder, status))
    except (ValueError, OSError, sqlite3.Error) as error:
        status.say("failed", str(error))
        return
    event = entry.last_event()
    if entry.result is not None and entry.state == "done":
        status.say("done", entry.result["placed"]["files"][0])
    elif entry.state == "cancelled":
        _clear(folder, [Path(file) for _, file in files_read(entry.job)])
    else:
        status.say("failed", event.reason if isinstance(event, Failed) else entry.state)


def _clear(folder: Path, sounds: Sequence[Path]) -> None:
    """Leave nothing of a cancelled job: the host's script has gone, and nobody else would."""
    for file in (*sounds, folder / REQUEST, folder / CANCEL, folder / STATUS):
        file.unlink(missing_ok=True)
    with suppress(OSError):  # it may hold what others put there
        folder.rmdir()


if __name__ == "__main__":
    answer(Path(sys.argv[1]).absolute(), config.load())
