"""Put files that come from other machines where the job would have written them.

What a job is not done with goes into its hidden folder, from which it can go on elsewhere; results
appear whole or not at all, under the terms of the job, as those of a worker on this machine do.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from bridge.cluster.parcels import Piece
from bridge.files import atomic_output
from bridge.files.atomic_output import PARTIAL, RESULT, SCRATCH, UNFINISHED
from bridge.protocol.base import WritingJob
from bridge.protocol.jobs import ROWS, Job, Separate
from bridge.protocol.kinds import out_folder
from bridge.protocol.patch_jobs import DesignPatch
from bridge.stems.excerpt import FOLDER as EXCERPT
from bridge.stems.manifest import MANIFEST

_PARTIAL = re.compile(rf"{re.escape(PARTIAL)}[^/\"]+")


class Landing:
    """The files of one job on the server's machine; use as a context.

    Left by an exception, it drops what was not published; but `kept` says whether what a job that
    resumes has finished stays, for the next one.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._folder = out_folder(job)
        self._stack = ExitStack()
        self._out: atomic_output.Output | None = None
        self._held: set[Path] = set()
        self._open: dict[Path, BinaryIO] = {}
        self._lock = threading.Lock()  # parts come at once, each in a thread
        self.kept = True

    def __enter__(self) -> Landing:
        if self._folder is not None and isinstance(self._job, WritingJob):
            stale = [RESULT, *(self._job.stale if isinstance(self._job, DesignPatch) else ())]
            out = atomic_output.folder(self._folder, self._job.terms, stale=stale)
            self._out = self._stack.enter_context(out)
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._open.values():
            file.close()
        try:
            self._stack.__exit__(*error)  # type: ignore[arg-type]
        finally:
            if not self.kept and self._folder is not None and self._folder.is_dir():
                atomic_output.sweep(self._folder, unfinished=True)

    def known(self) -> Iterator[Path]:
        """Files of the folder that the job reads: what it had finished before, and an excerpt."""
        if self._folder is None:
            return
        for file in sorted(self._folder.glob(f"{UNFINISHED}*/{SCRATCH}/**/*")):
            if file.is_file() and not file.name.startswith("."):
                yield file
        if (self._folder / ROWS).is_file():
            yield self._folder / ROWS
        excerpt = self._folder / EXCERPT / MANIFEST
        if isinstance(self._job, Separate) and excerpt.is_file():
            yield excerpt

    def receive(self, piece: Piece, sender: str = "") -> None:
        """Write a piece that `sender` sent; a file is there when its last piece is.

        Raises `ValueError` when another process is at the same work, or a path leads elsewhere.
        """
        with self._lock:
            place = self._place(Path(piece.path))
            beginning = place.with_name(f".{place.name}.{sender}")
            if beginning not in self._open:
                place.parent.mkdir(parents=True, exist_ok=True)
                self._open[beginning] = beginning.open("wb")
            self._open[beginning].write(piece.data)
            if not piece.last:
                return
            self._open.pop(beginning).close()
            if place.name == ROWS:
                _merge(beginning, place)
            else:
                beginning.replace(place)

    def renamed(self, line: str) -> str:
        """An event with the places of its files here."""
        if self._out is None:
            return line
        return _PARTIAL.sub(self._out.partial.name, line)

    def _place(self, path: Path) -> Path:
        """Where a file comes to lie: unfinished work as it is called there, the rest in ours."""
        inside = self._folder is not None and path.is_relative_to(self._folder)
        if self._out is None or self._folder is None or not inside or ".." in path.parts:
            raise ValueError(f"a machine sent {path}, and this job writes no such file")
        below = path.relative_to(self._folder)
        if below.parts == (ROWS,):
            return self._folder / ROWS
        if below.parts[0].startswith(UNFINISHED):
            self._hold(self._folder / below.parts[0])
            return self._folder / below
        if below.parts[0].startswith(PARTIAL):
            return self._out.partial.joinpath(*below.parts[1:])
        return self._out.partial / below

    def _hold(self, unfinished: Path) -> None:
        """Keep other processes from the work that is gathered in a folder."""
        if unfinished in self._held:
            return
        unfinished.mkdir(parents=True, exist_ok=True)
        lock = atomic_output.hold(unfinished, atomic_output.PATIENCE)
        if lock is None:
            raise ValueError(
                f"out {self._folder} is being written by another process, with the same work"
            )
        self._stack.callback(lock.close)
        self._held.add(unfinished)


def _merge(rows: Path, into: Path) -> None:
    """Add the lines of `rows` that are new to those of `into`; `rows` goes."""
    known = into.read_bytes().splitlines() if into.is_file() else []
    new = dict.fromkeys(line for line in rows.read_bytes().splitlines() if line not in set(known))
    rows.write_bytes(b"".join(line + b"\n" for line in (*known, *new)))
    rows.replace(into)
