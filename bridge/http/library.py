"""Find, keep, change, delete and export presets of the library over HTTP.

A preset is named by its file (`kick.json`), as everywhere; no path of this machine is said.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from bridge.http import blobs, files
from bridge.http.jobs import accept, read_fields, upload_path
from bridge.http.responses import Problem, answer
from bridge.http.state import HttpState
from bridge.processes.background_threads import beside
from bridge.protocol.jobs import new_id, sentence
from bridge.protocol.patch_jobs import Export
from bridge.protocol.patch_requests import AddPreset, ChangePreset
from presets import load, ranges
from presets.export import EXPORTERS
from presets.library import FACTORY, Entry, Library

MAX_FOUND = 1000

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def library(request: Request) -> Library:
    """The library of this server."""
    web: HttpState = request.app.state.web
    return Library(web.server.config.library)


async def read_body(request: Request, model: type[M]) -> M:
    """The body as `model`; raises `Problem`."""
    try:
        return model.model_validate(await read_fields(request))
    except ValidationError as error:
        raise Problem(422, "bad-arguments", sentence(error)) from error


async def changed(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """What `work` returns, beside the loop; its refusal as a `Problem`."""
    try:
        return await beside(work, *args, **kwargs)
    except ValueError as error:
        raise Problem(422, "bad-input", str(error)) from error


async def found(here: Library, called: str) -> Entry:
    """The preset of this file name or name; raises `Problem`."""
    try:
        return await beside(here.get, called)
    except ValueError as error:
        raise Problem(404, "no-preset", f"no preset is called {called[:200]!r}") from error


def line(entry: Entry) -> dict[str, Any]:
    """What a list says of a preset."""
    return {
        "file": entry.path.name,
        "name": entry.name,
        "renderer": entry.renderer,
        "prompt": entry.prompt,
        "tags": entry.tags,
        "preview": entry.preview is not None,
        "distance": entry.distance,
    }


def whole(entry: Entry) -> dict[str, Any]:
    """All that there is of a preset."""
    return line(entry) | {"preset": load(entry.path).model_dump(mode="json")}


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", "200")
    if not (text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MAX_FOUND):
        raise Problem(400, "bad-arguments", f"limit must be 1 .. {MAX_FOUND}, got {text[:40]!r}")
    return int(text)


async def find(request: Request) -> Response:
    """Presets by words, tags, renderer and likeness."""
    here, asked = library(request), request.query_params
    limit = _limit(request)
    entries = await changed(
        here.find,
        asked.get("words", ""),
        tags=[tag for tag in asked.get("tags", "").split(",") if tag.strip()],
        renderer=asked.get("renderer", ""),
        like=asked.get("like", ""),
        limit=limit,
    )
    told = {"presets": [line(entry) for entry in entries], "count": await beside(here.count)}
    return answer(told | {"tags": await beside(here.tags)})


async def show(request: Request) -> Response:
    """One preset, with all its values."""
    entry = await found(library(request), request.path_params["file"])
    return answer(await changed(whole, entry))


async def sound(request: Request) -> Response:
    """The sound beside a preset."""
    return _sound_of(await found(library(request), request.path_params["file"]))


def _sound_of(entry: Entry) -> Response:
    if entry.preview is None:
        raise Problem(404, "no-file", f"{entry.path.name} has no sound beside it; render it")
    return FileResponse(entry.preview, filename=entry.preview.name)


async def add(request: Request) -> Response:
    """Keep a preset, and a sound that was uploaded for it."""
    asked = await read_body(request, AddPreset)
    preview = _uploaded(request, asked.sound) if asked.sound else None
    here = library(request)
    await changed(ranges.check, asked.preset)
    entry = await changed(here.add, asked.preset, preview=preview)
    if asked.tags:
        entry = await changed(here.tag, entry.path.name, asked.tags)
    place = {"Location": f"/v1/library/{quote(entry.path.name)}"}
    return answer(await changed(whole, entry), 201, place)


def _uploaded(request: Request, value: str) -> Path:
    if not value.startswith(blobs.PREFIX):
        raise Problem(422, "bad-arguments", "sound must be an upload, sha256:HASH")
    path = upload_path(request.app.state.web, "sound", value)
    if path.read_bytes()[:4] not in (b"RIFF", b"RF64"):
        raise Problem(422, "bad-input", "sound must be a WAV file")
    return path


async def change(request: Request) -> Response:
    """Give a preset another name, or other tags."""
    asked = await read_body(request, ChangePreset)
    here = library(request)
    entry = await found(here, request.path_params["file"])
    if asked.add_tags or asked.remove_tags:
        entry = await changed(here.tag, entry.path.name, asked.add_tags, asked.remove_tags)
    if asked.name:
        entry = await changed(here.rename, entry.path.name, asked.name)
    return answer(await changed(whole, entry))


async def delete(request: Request) -> Response:
    """Move a preset to the trash."""
    here = library(request)
    entry = await found(here, request.path_params["file"])
    path = await changed(here.delete, entry.path.name)
    return answer({"trashed": path.name})


async def trash(request: Request) -> Response:
    """What lies in the trash."""
    return answer({"presets": await beside(library(request).trash)})


async def restore(request: Request) -> Response:
    """Bring a preset back from the trash."""
    entry = await changed(library(request).restore, request.path_params["file"])
    return answer(await changed(whole, entry))


async def factory(request: Request) -> Response:
    """The presets that come with Scorewire."""
    entries = await beside(_factory)
    return answer({"presets": [line(entry) for entry in entries.values()]})


async def show_factory(request: Request) -> Response:
    """One preset that comes with Scorewire."""
    return answer(await changed(whole, await _of_factory(request)))


async def factory_sound(request: Request) -> Response:
    """The sound of a preset that comes with Scorewire."""
    return _sound_of(await _of_factory(request))


@cache
def _factory() -> dict[str, Entry]:
    """The presets that come with Scorewire, by file; an index is not made in their folder."""
    entries = {}
    for path in sorted(FACTORY.glob("*.json")):
        preset = load(path)
        entries[path.name] = Entry(path, preset.name, preset.renderer, preset.prompt, preset.tags)
    return entries


async def _of_factory(request: Request) -> Entry:
    file = request.path_params["file"]
    entry = (await beside(_factory)).get(file)
    if entry is None:
        raise Problem(404, "no-preset", f"no preset that comes with Scorewire is {file[:200]!r}")
    return entry


async def formats(request: Request) -> Response:
    """The formats that presets are exported to."""
    rows = [
        {
            "name": name,
            "suffix": exporter.suffix,
            "text": exporter.title,
            "renderers": sorted(exporter.renderers),
        }
        for name, exporter in EXPORTERS.items()
    ]
    return answer({"formats": rows})


async def export(request: Request) -> Response:
    """Export a preset by a job, wait for it, and lead on to its file, or to all its files."""
    web: HttpState = request.app.state.web
    entry = await found(library(request), request.path_params["file"])
    job_id = new_id()
    out = web.server.config.results / job_id
    name = request.path_params["format"]
    try:
        job = Export(id=job_id, preset=str(entry.path), formats=(name,), out=str(out))
    except ValidationError as error:
        raise Problem(422, "bad-arguments", sentence(error)) from error
    ended = await web.server.wait(accept(web, job))
    if ended.state != "done":
        raise Problem(422, "bad-input", ended.reason or f"the export was {ended.state}")
    names = list(files.files_of_job(ended, web.journal))
    place = f"/v1/jobs/{job_id}/"
    return RedirectResponse(place + ("zip" if len(names) > 1 else f"files/{quote(names[0])}"), 303)
