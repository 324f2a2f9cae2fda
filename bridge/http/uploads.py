"""Uploads over HTTP: HEAD says how much is here, PUT sends the whole or goes on with it, GET
lists and fetches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from bridge.http import blobs
from bridge.http.responses import Problem, answer, body
from bridge.http.state import HttpState

_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
_NUMBER = re.compile(r"\d{1,15}")
_STATUS: dict[type[ValueError], tuple[int, str]] = {
    blobs.OutOfStep: (409, "out-of-step"),
    blobs.Superseded: (409, "superseded"),
    blobs.TooBig: (413, "too-big"),
    blobs.WrongHash: (422, "wrong-hash"),
    blobs.NoRoom: (507, "no-room"),
}


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes a request brings: from `at` on, `total` in the whole upload."""

    at: int
    total: int


def content_range(headers: Mapping[str, str]) -> ContentRange:
    """Read `Content-Range: bytes A-B/TOTAL`, or `Upload-Offset` and `Upload-Length`.

    Without them the request is the whole upload, and Content-Length its size. Raises `Problem`.
    """
    if "content-range" in headers:
        match = _RANGE.fullmatch(headers["content-range"])
        if match is None or not int(match[1]) <= int(match[2]) < int(match[3]):
            wanted = "Content-Range must be `bytes FIRST-LAST/TOTAL`"
            raise Problem(400, "bad-range", f"{wanted}, got {headers['content-range'][:80]!r}")
        return ContentRange(int(match[1]), int(match[3]))
    at = _number(headers, "upload-offset") or 0
    total = _number(headers, "upload-length")
    length = _number(headers, "content-length")
    if total is None:
        if length is None:
            raise Problem(411, "no-length", "an upload must say its length before it begins")
        total = at + length
    return ContentRange(at, total)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise Problem(
            400, "bad-range", f"{name} must be a whole number of bytes, got {text[:80]!r}"
        )
    return int(text)


async def index(request: Request) -> Response:
    """The uploads that are wholly here, the last used first."""
    web: HttpState = request.app.state.web
    return answer({"blobs": web.blobs.list()})


async def get(request: Request) -> Response:
    """The bytes of an upload, or a range of them."""
    store, digest = _store(request)
    path = store.find(digest)
    if path is None:
        raise Problem(404, "no-blob", f"{digest} is not (wholly) here")
    return FileResponse(path, filename=path.name, media_type="application/octet-stream")


async def head(request: Request) -> Response:
    """200: it is wholly here. 204: `Upload-Offset` bytes of it are. 404: nothing is."""
    store, digest = _store(request)
    whole = store.find(digest)
    if whole is not None:
        size = str(whole.stat().st_size)
        return Response(headers={"Upload-Offset": size, "Upload-Complete": "?1"})
    offset = store.offset(digest)
    headers = {"Upload-Offset": str(offset or 0), "Upload-Complete": "?0"}
    return Response(status_code=404 if offset is None else 204, headers=headers)


async def put(request: Request) -> Response:
    """201: here now. 200: it was already. 202: so far, more is to come."""
    store, digest = _store(request)
    body = {"id": blobs.PREFIX + digest}
    whole = store.find(digest)
    if whole is not None:
        return answer(body | {"bytes": whole.stat().st_size})
    try:
        return await _receive(request, store, digest, body)
    except tuple(_STATUS) as error:
        status, code = _STATUS[type(error)]
        headers = {"Upload-Offset": str(store.offset(digest) or 0)}
        raise Problem(status, code, str(error), headers) from error


async def _receive(
    request: Request, store: blobs.Blobs, digest: str, fields: dict[str, str]
) -> Response:
    span = content_range(request.headers)
    web: HttpState = request.app.state.web
    with store.writing(digest, at=span.at, total=span.total, used=web.files_in_use()) as writer:
        async for chunk in body(request):
            writer.write(chunk)
    writer.check()  # or the newer request's file would be taken for this one's
    if writer.size < span.total:
        headers = {"Upload-Offset": str(writer.size), "Upload-Complete": "?0"}
        return answer(fields | {"bytes": writer.size}, 202, headers)
    await store.keep(digest)
    return answer(fields | {"bytes": writer.size}, 201)


def _store(request: Request) -> tuple[blobs.Blobs, str]:
    web: HttpState = request.app.state.web
    try:
        return web.blobs, blobs.check_digest(request.path_params["hash"])
    except ValueError as error:
        raise Problem(400, "bad-hash", str(error)) from error
