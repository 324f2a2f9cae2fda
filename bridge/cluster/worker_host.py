"""The Ray actor: one worker process on its machine, and the files it reads and writes.

A job sees the same paths as on the server's machine, below a folder of its own: so relative paths
that it writes into its files are the same ones. The worker keeps its models from job to job.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from bridge.cluster.parcels import Parcel, Piece, Store, read_pieces
from bridge.execution.local import COMMAND, LocalEngine
from bridge.files.atomic_output import SCRATCH, UNFINISHED, alive
from bridge.protocol.events import Best, Done
from bridge.protocol.jobs import ROWS, Job, Part, job_adapter
from bridge.protocol.kinds import kind_of, out_folder

FOLDER = "scorewire-worker-"


class WorkerHost:
    """One worker on this machine; jobs come one at a time.

    `grace` and `stall` are the engine's, `threads` those of the worker (0: a core each), `command`
    starts it (empty: this Python).
    """

    def __init__(self, grace: float, stall: float, threads: int, command: Sequence[str]) -> None:
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray's, one: the worker has its machine
        if threads:
            os.environ["OMP_NUM_THREADS"] = str(threads)
        _sweep()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
        os.environ["SCOREWIRE_DATA"] = str(self._folder / "data")
        self._store = Store(self._folder / "store")
        self._cancelled: set[str] = set()
        self._engine = LocalEngine(command or COMMAND, grace=grace, stall=stall)

    async def ready(self) -> dict[str, str]:
        """Be there; who this machine is and which code it has."""
        await self._engine.__aenter__()
        return {"machine": platform.node(), "version": metadata.version("scorewire")}

    async def close(self) -> None:
        """End the worker, and remove all its files."""
        await self._engine.__aexit__()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def cancel(self, job_id: str) -> None:
        """Stop a job at its next step, or as it begins."""
        self._cancelled.add(job_id)
        await self._engine.cancel(job_id)

    async def run(self, line: str, parcels: Sequence[Parcel]) -> AsyncIterator[Piece | str]:
        """Do the job on a line; yields its events as lines, and before each the files that it
        names or that are worth keeping when this machine dies.
        """
        root = Path(tempfile.mkdtemp(prefix="job-", dir=self._folder))
        try:
            for parcel in parcels:
                await self._store.unpack(parcel, below(root, parcel.path), _get)
            job = job_adapter.validate_json(line)
            whole = job.job if isinstance(job, Part) else job
            folder = out_folder(whole)
            files = _Files(root, None if folder is None else below(root, str(folder)))
            events = self._engine.submit(moved(job, root))
            if job.id in self._cancelled:  # while its files came
                await self._engine.cancel(job.id)
            async for event in events:
                if isinstance(event, Best):
                    shown = (event.preset, event.wav, event.initial)
                    for piece in files.send(path for path in shown if path is not None):
                        yield piece
                for piece in files.send(files.unfinished()):
                    yield piece
                if isinstance(event, Done) and not isinstance(job, Part):
                    for piece in files.send(files.finished()):
                        yield piece
                yield event.model_dump_json().replace(str(root), "")
        finally:
            self._cancelled.clear()  # one job at a time
            shutil.rmtree(root, ignore_errors=True)


def _sweep() -> None:
    """Remove what workers left on this machine that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}[0-9]*-*"):
        pid = int(folder.name.removeprefix(FOLDER).partition("-")[0])
        with suppress(FileNotFoundError):  # another worker's sweep was here first
            if folder.stat().st_uid == os.getuid() and not alive(pid):
                shutil.rmtree(folder, ignore_errors=True)


def below(root: Path, path: str) -> Path:
    """Where the file at `path` of the server's machine is on this one."""
    return Path(f"{root}{path}")


def moved(job: Job, root: Path) -> Job:
    """The same job on files below `root`."""
    if isinstance(job, Part):
        return job.model_copy(update={"job": moved(job.job, root)})
    kind, changes = kind_of(job), dict[str, Any]()
    for name in (*kind.reads, *kind.reads_folder, "out"):
        value = getattr(job, name, None)
        if isinstance(value, dict):
            changes[name] = {key: str(below(root, path)) for key, path in value.items()}
        elif value:
            changes[name] = str(below(root, value))
    if hasattr(job, "within"):
        changes["within"] = (str(root),)
    if hasattr(job, "host"):
        changes["host"] = None  # the server places the stems
    return job.model_copy(update=changes)


class _Files:
    """The files of one job, each sent when it is new or has changed."""

    def __init__(self, root: Path, folder: Path | None) -> None:
        self._root, self._folder = root, folder
        self._sent = {path: _stamp(path) for path in root.rglob("*") if path.is_file()}

    def send(self, paths: Iterable[str | Path]) -> Iterator[Piece]:
        for path in map(Path, paths):
            stamp = _stamp(path) if path.is_relative_to(self._root) else None
            if stamp is None or self._sent.get(path) == stamp:
                continue
            self._sent[path] = stamp
            for data, last in read_pieces(path):
                yield Piece(str(path).removeprefix(str(self._root)), data, last)

    def unfinished(self) -> Iterator[Path]:
        """What a killed job goes on from: whole files, whose names begin with no dot, and rows."""
        if self._folder is not None:
            if (self._folder / ROWS).is_file():
                yield self._folder / ROWS
            kept = sorted(self._folder.glob(f"{UNFINISHED}*/{SCRATCH}/**/*"))
            yield from (f for f in kept if f.is_file() and not f.name.startswith("."))

    def finished(self) -> Iterator[Path]:
        """What the job has published."""
        if self._folder is not None and self._folder.is_dir():
            for top in sorted(self._folder.iterdir()):
                if not top.name.startswith(".") and top.name not in (SCRATCH, ROWS):
                    yield from (f for f in (top, *sorted(top.rglob("*"))) if f.is_file())


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except FileNotFoundError:  # a preview that the next one replaced
        return None
    return seen.st_size, seen.st_mtime_ns


async def _get(reference: Any) -> bytes:
    data: bytes = await reference
    return data
