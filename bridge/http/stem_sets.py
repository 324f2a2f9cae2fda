"""What is done with a finished stem set: put it in a host, fetch its source, or all of it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from bridge.hosts import HOSTS, FileHost
from bridge.http import access, files
from bridge.http.jobs import find, read_fields
from bridge.http.responses import Problem, answer
from bridge.http.state import HttpState
from bridge.processes.background_threads import beside
from bridge.protocol.events import Done, Failed
from bridge.protocol.jobs import sentence
from bridge.protocol.stem_requests import Place
from bridge.service.job_server import place_stems
from bridge.service.ledger import Entry
from bridge.stems import manifest

BLOCK = 2**20  # bytes that are read at once
LARGE = 2**30  # bytes of a file in a ZIP above which its size is written in 64 bits


async def hosts(request: Request) -> Response:
    """The hosts that take stems; none for another machine, which places nothing here."""
    far = request.scope[access.FAR]
    known = [
        {"name": name, "suffix": host.suffix if isinstance(host, FileHost) else ""}
        for name, host in HOSTS.items()
    ]
    return answer({"hosts": [] if far else known})


async def place(request: Request) -> Response:
    """Put the stems of a job that is done on the tracks of a host."""
    if request.scope[access.FAR]:
        raise Problem(403, "far", "another machine may place nothing in the hosts of this one")
    entry = find(request)
    try:
        asked = Place.model_validate(await read_fields(request))
    except ValidationError as error:
        raise Problem(422, "bad-arguments", sentence(error)) from error
    _stem_set(request, entry)
    done = Done(id=entry.job.id, result=entry.result or {})
    placed = await beside(place_stems, entry.job, asked.host, done)
    if isinstance(placed, Failed):
        raise Problem(422, "not-placed", placed.reason)
    return answer(placed.result["placed"])


async def source(request: Request) -> Response:
    """The WAV that the stems of a job add up to, or a range of its bytes."""
    entry = find(request)
    path = _stem_set(request, entry)

    def check() -> Path:
        return manifest.source_header(manifest.load(path), path).path

    try:
        found = await beside(check)
    except (ValueError, OSError) as error:
        raise Problem(404, "no-file", str(error)) from error
    return FileResponse(found, filename=found.name)


async def archive(request: Request) -> Response:
    """All files of a job's result as one ZIP, written while it is sent."""
    web: HttpState = request.app.state.web
    entry = find(request)
    found = files.files_of_job(entry, web.journal)
    if entry.result is None or not found:
        raise Problem(404, "no-file", f"job {entry.job.id} has no files to pack")
    headers = {"Content-Disposition": f'attachment; filename="scorewire-{entry.job.id}.zip"'}
    return StreamingResponse(zipped(found), media_type="application/zip", headers=headers)


def zipped(named: Mapping[str, Path]) -> Iterator[bytes]:
    """The bytes of a ZIP of files by name, piece by piece.

    Deflate of level 0, which compresses nothing: sound hardly gets smaller, and programs that read
    a ZIP as it comes refuse plainly stored files whose size stands behind them.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=0) as pack:
        for name, path in named.items():
            big = path.stat().st_size > LARGE
            with path.open("rb") as file, pack.open(name, "w", force_zip64=big) as packed:
                while block := file.read(BLOCK):
                    packed.write(block)
                    yield sink.take()
    yield sink.take()


class _Sink:
    """A file that cannot seek: what was written waits to be taken."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes, /) -> int:
        """Append."""
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is held open."""

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def _stem_set(request: Request, entry: Entry) -> Path:
    """The manifest of a job's stem set; raises `Problem`."""
    web: HttpState = request.app.state.web
    named = (entry.result or {}).get("manifest")
    found = files.files_of_job(entry, web.journal).values()
    path = next((path for path in found if str(path) == named), None)
    if path is None:
        raise Problem(404, "no-file", f"job {entry.job.id} has no stem set")
    return path
