"""The job ledger: each job with its client, state, progress and result. SQLite, one file.

One server owns the ledger and writes (`own`); anybody may read beside it, as `scorewire jobs` does.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bridge.files import atomic_output
from bridge.processes import process_identity
from bridge.protocol.events import Cancelled, Done, Event, Failed
from bridge.protocol.jobs import Job, job_adapter
from presets.moves import private_folder
from presets.reading import read_json, read_text

log = logging.getLogger(__name__)

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
PATIENCE, MOMENT = 5.0, 0.1  # seconds for another process that writes; at least, in a hurry
# What SQLite says of a file that is none of ours: no such column, damaged, no database.
STRANGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
LIVE: tuple[State, ...] = ("queued", "running")

# One script a version; `user_version` counts those applied. Never change one that has shipped.
MIGRATIONS = (
    """
    CREATE TABLE jobs (
        number   INTEGER PRIMARY KEY,
        id       TEXT NOT NULL UNIQUE,
        kind     TEXT NOT NULL,
        job      TEXT NOT NULL,
        client   TEXT NOT NULL,
        request  INTEGER NOT NULL,
        state    TEXT NOT NULL,
        created  REAL NOT NULL,
        started  REAL,
        ended    REAL,
        fraction REAL NOT NULL DEFAULT 0,
        stage    TEXT NOT NULL DEFAULT '',
        result   TEXT,
        code     TEXT NOT NULL DEFAULT '',
        reason   TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX jobs_by_request ON jobs (client, request);
    CREATE INDEX jobs_by_state ON jobs (state);
    """,
    "ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT ''",  # process_identity.own_name
)
_COLUMNS = (
    "job, client, request, state, created, started, ended, fraction, stage, result, code, reason"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. Times are seconds since 1970; `result` is there when `done`."""

    job: Job
    client: str
    request: int
    state: State
    created: float
    started: float | None
    ended: float | None
    fraction: float
    stage: str
    result: dict[str, Any] | None
    code: str
    reason: str

    @property
    def live(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in LIVE

    def last_event(self) -> Event | None:
        """The event an ended job ended with, None while it lives: for those who ask again."""
        match self.state:
            case "done":
                return Done(id=self.job.id, result=self.result or {})
            case "cancelled":
                return Cancelled(id=self.job.id)
            case "failed" | "interrupted":
                return Failed(id=self.job.id, code=self.code, reason=self.reason)
            case _:
                return None


@contextmanager
def own_ledger(path: Path) -> Iterator[Store]:
    """The ledger of the one server that writes here; a damaged one is set aside first (`aside`).

    Raises `ValueError` as `Store` and `Store.own` do.
    """
    with closing(_lock(path)):
        aside = set_aside(path)
        with Store(path) as store:
            store.aside = aside
            yield store


def set_aside(path: Path) -> Path | None:
    """Give a damaged ledger another name, beside it; that name, None for one that is sound.

    What a disk has lost cannot be brought back, but the file is kept for those who want to try.
    """
    if not path.is_file() or _sound(path):
        return None
    aside = path.with_name(f"{path.stem}-damaged-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
    while aside.exists():
        aside = aside.with_name(f"{aside.stem}x{aside.suffix}")
    for end in ("-wal", "-shm", ""):  # the file itself last: without it nothing is lost yet
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    log.warning("the job ledger %s is damaged: it is kept as %s, and a new one begins", path, aside)
    return aside


def mend(path: Path) -> Path | None:
    """`set_aside` for a process that is no server, unless a server owns the ledger."""
    if not path.is_file() or _sound(path):
        return None
    try:
        with closing(_lock(path)):
            return set_aside(path)
    except ValueError:
        return None


def _sound(path: Path) -> bool:
    """Whether SQLite can read every page, and finds nothing wrong on any."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA busy_timeout = 5000")
            return db.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.OperationalError:  # busy, or may not be read: who opens it says so
        return True
    except sqlite3.DatabaseError:
        return False


def _lock(path: Path) -> sqlite3.Connection:
    """Lock a ledger for its one owner; the lock lasts until it is closed."""
    try:
        private_folder(path.parent)
        lock = sqlite3.connect(path.with_name(path.name + ".lock"), timeout=0, isolation_level=None)
    except (OSError, sqlite3.OperationalError) as error:
        raise _no_ledger(path, error) from error
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if not _says(error, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise _no_ledger(path, error) from (_full(path, error) or error)
        raise ValueError(
            f"another server already uses {path.parent}; stop it, or give this one "
            "its own `data` folder"
        ) from error
    return lock


def _says(error: sqlite3.Error, *codes: int) -> bool:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in codes


def _full(path: Path, error: Exception) -> OSError | None:
    """That the disk is full, which SQLite often calls an I/O error; None when it is not that."""
    if not isinstance(error, sqlite3.Error) or not atomic_output.no_room(error, path.parent):
        return None
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _no_ledger(path: Path, error: Exception) -> ValueError:
    if full := _full(path, error):
        return ValueError(f"the job ledger {path} cannot be opened: {full.strerror}")
    return ValueError(
        f"the job ledger {path} cannot be opened ({error}); set `data` to a folder you may write"
    )


class Store:
    """The open ledger. Use it in a `with`, or `close` it."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.aside: Path | None = None  # where a damaged ledger lies that was here before
        self._lock: sqlite3.Connection | None = None
        self._patience = PATIENCE
        try:
            private_folder(self.path.parent)
            self._db = sqlite3.connect(self.path, isolation_level=None)
        except (OSError, sqlite3.OperationalError) as error:
            raise _no_ledger(self.path, error) from error
        try:
            self._db.execute("PRAGMA busy_timeout = 5000")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._migrate()
        except sqlite3.DatabaseError as error:
            self._db.close()
            if not _says(
                error, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB
            ):
                raise _no_ledger(self.path, error) from (_full(self.path, error) or error)
            raise ValueError(f"{self.path} is not a job ledger: {error}") from error
        except ValueError:
            self._db.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hurry(self, seconds: float) -> None:
        """Wait for other processes that write no longer than `seconds`, all calls together.

        What is left when they are used up is a moment for each call: other writers need one.
        """
        self._patience = seconds

    def close(self) -> None:
        """Close the file and give up owning it."""
        self._db.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def own(self) -> None:
        """Become the one server that writes here, or raise `ValueError` when another one is.

        The lock is an exclusive transaction on a file beside the ledger: the system gives it back
        when the process ends, however it ends.
        """
        self._lock = _lock(self.path)

    def recover(self) -> tuple[str, ...]:
        """Mark as interrupted what dead processes left queued or running; return those job ids.

        A job of another process that lives, a command line beside us, is left alone.
        """
        reason = "the server stopped before the job ended"
        with self._writing():
            rows = self._db.execute(
                "SELECT id, owner FROM jobs WHERE state IN (?, ?) ORDER BY number", LIVE
            ).fetchall()
            own = process_identity.own_name()
            lost = tuple(job for job, by in rows if by == own or not process_identity.lives(by))
            self._db.executemany(
                "UPDATE jobs SET state = 'interrupted', ended = ?, code = 'interrupted', "
                "reason = ? WHERE id = ?",
                [(time.time(), reason, job) for job in lost],
            )
        return lost

    def add(self, job: Job, *, client: str, request: int) -> None:
        """Write down a new job, queued."""
        with self._writing():
            self._db.execute(
                "INSERT INTO jobs (id, kind, job, client, request, state, created, owner) "
                "VALUES (?, ?, ?, ?, ?, 'queued', ?, ?)",
                (
                    job.id,
                    job.kind,
                    job.model_dump_json(),
                    client,
                    request,
                    time.time(),
                    process_identity.own_name(),
                ),
            )

    def progress(self, job_id: str, fraction: float, stage: str) -> None:
        """The job runs, and is this far."""
        with self._writing():
            self._db.execute(
                "UPDATE jobs SET state = 'running', started = coalesce(started, ?), "
                "fraction = ?, stage = ? WHERE id = ? AND ended IS NULL",
                (time.time(), fraction, stage, job_id),
            )

    def finish(
        self,
        job_id: str,
        state: State,
        *,
        result: dict[str, Any] | None = None,
        code: str = "",
        reason: str = "",
    ) -> None:
        """Record how a job ended. An end stays; but an interrupted one may still report."""
        if state in LIVE or state not in get_args(State):
            raise ValueError(f"state must be an ended one, got {state!r}")
        text = None if result is None else json.dumps(result)
        with self._writing():
            self._db.execute(
                "UPDATE jobs SET state = ?, ended = ?, result = ?, code = ?, reason = ?, "
                "fraction = CASE WHEN ? = 'done' THEN 1.0 ELSE fraction END "
                "WHERE id = ? AND (ended IS NULL OR state = 'interrupted')",
                (state, time.time(), text, code, reason, state, job_id),
            )

    def get(self, job_id: str) -> Entry | None:
        """The job of this id, None when there is none."""
        return self._fetch_one("WHERE id = ?", (job_id,))

    def by_request(self, client: str, request: int) -> Entry | None:
        """The newest job that this client asked for under this request id."""
        return self._fetch_one(
            "WHERE client = ? AND request = ? ORDER BY number DESC LIMIT 1", (client, request)
        )

    def newest_done(self, kind: str, *, before: float | None = None) -> Entry | None:
        """The job of this kind that was done last, None when none was; with `before` as it was at
        that time, in seconds since 1970.
        """
        return self._fetch_one(
            "WHERE kind = ? AND state = 'done' AND ended <= ? ORDER BY ended DESC LIMIT 1",
            (kind, time.time() if before is None else before),
        )

    def list(self, *, limit: int = 50, state: State | None = None) -> tuple[Entry, ...]:
        """The newest jobs, newest first; only those in `state` when given."""
        where, values = ("WHERE state = ?", (state,)) if state else ("", ())
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM jobs {where} ORDER BY number DESC LIMIT ?",  # noqa: S608
            (*values, limit),
        )
        return tuple(entry for row in rows if (entry := _readable(row)) is not None)

    def ahead(self, entry: Entry) -> int | None:
        """How many jobs of the same process end before this one begins; None when it waits no more.

        Recordings wait for nobody, and nobody waits for them.
        """
        if entry.state != "queued" or entry.job.kind == "record":
            return None
        (count,) = self._db.execute(
            "SELECT count(*) FROM jobs JOIN jobs AS own ON own.id = ? AND jobs.owner = own.owner "
            "WHERE jobs.state IN (?, ?) AND jobs.number < own.number AND jobs.kind != 'record'",
            (entry.job.id, *LIVE),
        ).fetchone()
        return int(count)

    def _fetch_one(self, where: str, values: tuple[str | int | float, ...]) -> Entry | None:
        query = f"SELECT {_COLUMNS} FROM jobs {where}"  # noqa: S608 (our own literals)
        row = self._db.execute(query, values).fetchone()
        return None if row is None else _readable(row)

    def _migrate(self) -> None:
        with self._writing():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise ValueError(
                    f"{self.path} was written by a newer Scorewire (ledger version {version}; "
                    f"this one knows up to {len(MIGRATIONS)})"
                )
            for script in MIGRATIONS[version:]:
                for statement in script.split(";"):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One write transaction: all of it or nothing."""
        self._db.execute(f"PRAGMA busy_timeout = {round(1000 * max(MOMENT, self._patience))}")
        began = time.monotonic()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        finally:
            if self._patience < PATIENCE:
                self._patience -= time.monotonic() - began
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _readable(row: tuple[Any, ...]) -> Entry | None:
    """The line of a row, None when its job or result cannot be read: the others still can."""
    try:
        return _entry(row)
    except ValueError as error:
        log.warning("a line of the job ledger is passed over: %s", error)
        return None


def describe_entry(entry: Entry, ahead: int | None) -> dict[str, Any]:
    """All that the ledger knows of a job, as HTTP and `scorewire jobs --json` say it.

    `ahead` is `Store.ahead`'s.
    """
    return {
        "id": entry.job.id,
        "kind": entry.job.kind,
        "state": entry.state,
        "ahead": ahead,
        "fraction": entry.fraction,
        "stage": entry.stage,
        "created": entry.created,
        "started": entry.started,
        "ended": entry.ended,
        "code": entry.code,
        "reason": entry.reason,
        "job": entry.job.model_dump(mode="json"),
        "result": entry.result,
    }


def _entry(row: tuple[Any, ...]) -> Entry:
    job, client, request, state, created, started, ended, fraction, stage, result, code, why = row
    return Entry(
        job=job_adapter.validate_json(read_text(job, name="a job")),
        client=client,
        request=request,
        state=state,
        created=created,
        started=started,
        ended=ended,
        fraction=fraction,
        stage=stage,
        result=None if result is None else read_json(result, name="its result"),
        code=code,
        reason=why,
    )
