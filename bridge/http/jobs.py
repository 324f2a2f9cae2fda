"""Create, list, show and cancel jobs over HTTP.

A job is one of the models of `bridge.protocol.jobs`, without its id. What it reads is a path on
this machine, or an upload: `sha256:HASH`, or `sha256:HASH/NAME` for a name in the results, or a
preset of the library, `library:FILE`. Who asks from another machine names those two only, and finds
the results under /files.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from bridge.files import atomic_output
from bridge.http import access, blobs, files
from bridge.http.responses import Problem, answer, body
from bridge.http.state import HttpState
from bridge.protocol import jobs as words
from bridge.protocol.jobs import job_adapter
from bridge.protocol.kinds import INPUTS, KINDS, JobKind
from bridge.protocol.patch_jobs import DesignPatch
from bridge.service import ledger
from bridge.service.ledger import Entry, State
from presets.library import Library
from presets.reading import read_json

MAX_BODY = 256 * 2**10  # bytes
MAX_LISTED = 200
KEPT = "library:"  # before what the library calls a preset that a job reads
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def find(request: Request) -> Entry:
    """The job of the address; raises `Problem`."""
    web: HttpState = request.app.state.web
    name = request.path_params["id"]
    entry = web.server.store.get(name)
    if entry is None:
        raise Problem(404, "no-job", f"there is no job {name[:100]!r}")
    return entry


def describe(web: HttpState, entry: Entry) -> dict[str, Any]:
    """All that is known of a job."""
    ahead = web.server.store.ahead(entry)
    return ledger.describe_entry(entry, ahead) | {"files": files.list_files(entry, web.journal)}


async def create(request: Request) -> Response:
    """Ask for a job: 202, or 200 when it was asked for before under the same Idempotency-Key."""
    return _submit(request, await read_fields(request))


async def suggest(request: Request) -> Response:
    """Ask which prompts fit a file: POST /v1/jobs of kind `suggest`, without saying so."""
    return _submit(request, await read_fields(request) | {"kind": "suggest"})


async def index(request: Request) -> Response:
    """The newest jobs, newest first."""
    web: HttpState = request.app.state.web
    text = request.query_params.get("limit", "50")
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_LISTED):
        raise Problem(400, "bad-arguments", f"limit must be 1 .. {MAX_LISTED}, got {text[:40]!r}")
    wanted = request.query_params.get("state")
    states: tuple[State, ...] = get_args(State)
    state = next((state for state in states if state == wanted), None)
    if state != wanted:
        reason = f"state must be one of {', '.join(states)}, got {wanted!r:.60}"
        raise Problem(400, "bad-arguments", reason)
    entries = web.server.store.list(limit=int(text), state=state)
    return answer({"jobs": [describe(web, entry) for entry in entries]})


async def show(request: Request) -> Response:
    """One job."""
    return answer(describe(request.app.state.web, find(request)))


async def cancel(request: Request) -> Response:
    """Ask a job to stop at its next step."""
    web: HttpState = request.app.state.web
    entry = find(request)
    if entry.state == "cancelled":
        return answer(describe(web, entry))
    if not (entry.live and await web.server.cancel(entry.job.id)):
        state = find(request).state
        reason = f"job {entry.job.id} does not run in this server, or has ended: {state}"
        raise Problem(409, "ended", reason)
    return answer(describe(web, find(request)), 202)


async def stop(request: Request) -> Response:
    """End a recording and keep it; asked twice it is as good as asked once."""
    web: HttpState = request.app.state.web
    entry = find(request)
    if not isinstance(entry.job, words.Record):
        reason = f"job {entry.job.id} is no recording but {entry.job.kind}"
        raise Problem(409, "no-recording", reason)
    if entry.state == "done":
        return answer(describe(web, entry))
    if not web.server.stop(entry.job.id):
        state = find(request).state
        raise Problem(409, "ended", f"recording {entry.job.id} does not run here: {state}")
    return answer(describe(web, entry), 202)


async def again(request: Request) -> Response:
    """Ask once more for a job that has ended.

    Results that nobody named a place for get a new one, unless the job was lost on its way: then
    it goes on with what it left there.
    """
    web: HttpState = request.app.state.web
    entry = find(request)
    if entry.live:
        raise Problem(409, "not-ended", f"job {entry.job.id} has not ended: {entry.state}")
    job_id = words.new_id()
    own = web.server.config.results / entry.job.id
    changes: dict[str, Any] = {"id": job_id}
    out = Path(str(getattr(entry.job, "out", "")))
    if isinstance(entry.job, DesignPatch) and out == own:
        changes["out"] = ""  # its patches go into the library
    elif out.is_relative_to(own) and entry.state in ("done", "cancelled"):
        changes["out"] = str(web.server.config.results / job_id / out.relative_to(own))
    return _accepted(web, accept(web, entry.job.model_copy(update=changes)))


async def download(request: Request) -> Response:
    """One file of the result, or a range of its bytes."""
    web: HttpState = request.app.state.web
    entry = find(request)
    name = request.path_params["name"]
    path = files.files_of_job(entry, web.journal).get(name)
    if path is None:
        raise Problem(404, "no-file", f"job {entry.job.id} has no file {name[:100]!r}")
    return FileResponse(path, filename=path.name)


async def read_fields(request: Request) -> dict[str, Any]:
    """The JSON object of the body; a page's plain form is never taken for one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "not-json", f"the body must be application/json, got {kind[:80]!r}")
    text = bytearray()
    async for chunk in body(request):
        text += chunk
        if len(text) > MAX_BODY:
            raise Problem(413, "too-big", f"a job may be described in {MAX_BODY} bytes")
    try:
        fields = read_json(bytes(text), MAX_BODY, name="the body")
    except ValueError as error:
        raise Problem(400, "not-json", str(error)) from error
    if not isinstance(fields, dict):
        raise Problem(400, "not-json", "the body must be one JSON object")
    return fields


def _submit(request: Request, fields: dict[str, Any]) -> Response:
    web: HttpState = request.app.state.web
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Problem(400, "bad-arguments", "Idempotency-Key must be 1 to 200 visible letters")
    turn = request.headers.get("scorewire-client", "http")
    if not _KEY.fullmatch(turn):
        raise Problem(400, "bad-arguments", "Scorewire-Client must be 1 to 200 visible letters")
    client, number = ("http", secrets.randbits(31)) if key is None else (f"http:{key}", 0)
    known = None if key is None else web.server.store.by_request(client, number)
    job_id = words.new_id() if known is None else known.job.id
    try:
        job = job_adapter.validate_python(_resolve_fields(web, request, fields, job_id))
        if known is not None:
            if not web.server.same_request(job, known):
                raise Problem(422, "key-used", f"this key was used for another job, {job_id}")
            return answer(describe(web, known))
    except ValidationError as error:
        raise Problem(422, "bad-arguments", words.sentence(error)) from error
    except ValueError as error:
        raise Problem(422, "bad-input", str(error)) from error
    return _accepted(web, accept(web, job, client, number, turn))


def accept(
    web: HttpState,
    job: words.Job,
    client: str = "http",
    number: int | None = None,
    turn: str | None = None,
) -> str:
    """Have the server do a job, and its id; raises `Problem`."""
    req = secrets.randbits(31) if number is None else number
    try:
        return web.server.submit(job, client=client, req=req, turn=turn)
    except words.QueueFull as error:
        raise Problem(503, "queue-full", str(error), {"Retry-After": "10"}) from error
    except ValueError as error:
        full = atomic_output.no_room(error)
        raise Problem(*((507, "no-room") if full else (422, "bad-input")), str(error)) from error


def _accepted(web: HttpState, job_id: str) -> Response:
    entry = web.server.store.get(job_id)
    body = {"id": job_id} if entry is None else describe(web, entry)
    return answer(body, 202, {"Location": f"/v1/jobs/{job_id}"})


def _resolve_fields(
    web: HttpState, request: Request, fields: dict[str, Any], job_id: str
) -> dict[str, Any]:
    """The fields of a job: uploads as paths, what was left out as this server has it."""
    if "id" in fields:
        raise Problem(422, "bad-arguments", "id is chosen here; send an Idempotency-Key instead")
    kind = KINDS.get(str(fields.get("kind")))
    if kind is None:
        known = ", ".join(KINDS)
        raise Problem(422, "bad-arguments", f"kind must be one of {known}")
    if request.scope[access.FAR]:
        _check_far(kind, fields)
    plugin = fields.get("plugin")
    if isinstance(plugin, str) and plugin != Path(plugin).name:
        reason = f"plugin must be an installed file's name, got {plugin[:80]!r}"
        raise Problem(422, "bad-arguments", reason)
    whole = fields | {"id": job_id}
    for name in kind.reads:
        if name in fields:
            whole[name] = _local(web, name, fields[name])
    if "model" in kind.model.model_fields:
        whole.setdefault("model", web.server.config.model)
    if "models" in kind.model.model_fields:
        whole.setdefault("models", [web.server.config.model])
    out = kind.model.model_fields.get("out")
    if out is not None and out.is_required():
        whole.setdefault("out", _place(web, kind, job_id))
    return whole


def _local(web: HttpState, name: str, value: Any) -> Any:
    """The value of a field that names files, with uploads as paths of this machine."""
    if isinstance(value, dict):
        return {key: _local(web, f"{name} {key}", part) for key, part in value.items()}
    if isinstance(value, str) and value.startswith(blobs.PREFIX):
        return str(upload_path(web, name, value))
    if isinstance(value, str) and value.startswith(KEPT):
        return str(_kept_path(web, name, value.removeprefix(KEPT)))
    return value


def _place(web: HttpState, kind: JobKind, job_id: str) -> str:
    """Choose where results go without `out`: a folder of the job's own, or a file in it."""
    folder = web.server.config.results / job_id
    return str(folder / "sound.wav" if kind.writes in ("file", "new file") else folder)


def _check_far(kind: JobKind, fields: dict[str, Any]) -> None:
    """Refuse fields with which another machine would name paths of this one."""
    if kind.far is None:
        raise Problem(403, "far", f"another machine may not ask for {kind.name!r}")
    for name, value in fields.items():
        parts = list(value.values()) if isinstance(value, dict) else [value]
        known = (blobs.PREFIX, KEPT)
        upload = all(isinstance(part, str) and part.startswith(known) for part in parts)
        number = name == "start" and isinstance(value, str) and value.isdecimal()
        if name in INPUTS and value is not None and not (upload or number):
            reason = f"{name} must be an upload (sha256:HASH) or library:FILE for another machine"
            raise Problem(403, "far", reason)
        if name not in (*INPUTS, "kind", *kind.far.split()):
            raise Problem(403, "far", f"another machine may not say {name[:40]!r}")


def upload_path(web: HttpState, name: str, value: str) -> Path:
    """The file of an upload that the field `name` names; raises `Problem`."""
    digest, _, called = value.removeprefix(blobs.PREFIX).partition("/")
    try:
        path = web.blobs.named(blobs.check_digest(digest), called)
    except ValueError as error:
        raise Problem(422, "bad-input", f"{name}: {error}") from error
    if path is None:
        raise Problem(422, "no-blob", f"{name}: {digest} is not (wholly) here; PUT it first")
    return path


def _kept_path(web: HttpState, name: str, called: str) -> Path:
    """The file of a preset of the library."""
    try:
        return Library(web.server.config.library).get(called).path
    except ValueError as error:
        raise Problem(404, "no-preset", f"{name}: no preset is called {called[:200]!r}") from error
