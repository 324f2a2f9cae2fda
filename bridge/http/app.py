"""The table of HTTP addresses, and the application made of it."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from bridge.files import atomic_output
from bridge.http import (
    events,
    health,
    jobs,
    library,
    openapi,
    oscquery_listen,
    panel,
    patches,
    previews,
    slots,
    stem_sets,
    uploads,
)
from bridge.http.responses import Problem, answer, problem
from bridge.http.state import HttpState

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One line of the table."""

    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    summary: str


async def ping(request: Request) -> Response:
    """Answer with version and state."""
    web: HttpState = request.app.state.web
    state = "busy" if web.server.busy else "idle"
    return answer({"version": importlib.metadata.version("scorewire"), "state": state})


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/v1/ping", ping, "Version and state; needs no token."),
    Endpoint("POST", "/v1/jobs", jobs.create, "Ask for a job."),
    Endpoint("POST", "/v1/suggest", jobs.suggest, "Ask which prompts fit a file."),
    Endpoint("GET", "/v1/jobs", jobs.index, "The newest jobs."),
    Endpoint("GET", "/v1/jobs/{id}", jobs.show, "One job."),
    Endpoint("DELETE", "/v1/jobs/{id}", jobs.cancel, "Cancel a job at its next step."),
    Endpoint("POST", "/v1/jobs/{id}/stop", jobs.stop, "End a recording and keep it."),
    Endpoint("GET", "/v1/jobs/{id}/events", events.stream, "What happens to a job, as SSE."),
    Endpoint("GET", "/v1/jobs/{id}/files/{name:path}", jobs.download, "A file of a job's result."),
    Endpoint("GET", "/v1/jobs/{id}/source", stem_sets.source, "The WAV that stems add up to."),
    Endpoint("GET", "/v1/jobs/{id}/zip", stem_sets.archive, "All files of a result as a ZIP."),
    Endpoint("POST", "/v1/jobs/{id}/place", stem_sets.place, "Put finished stems in a host."),
    Endpoint("GET", "/v1/hosts", stem_sets.hosts, "The hosts that take stems."),
    Endpoint("POST", "/v1/keep", patches.keep, "Keep a patch that a search found."),
    Endpoint("POST", "/v1/preview", previews.preview, "Render a preset at once, and keep nothing."),
    Endpoint("POST", "/v1/knobs", previews.knobs, "What the values of a preset may be."),
    Endpoint("POST", "/v1/play", patches.play, "Play presets of the library."),
    Endpoint("GET", "/v1/library", library.find, "Presets of the library."),
    Endpoint("POST", "/v1/library", library.add, "Keep a preset in the library."),
    Endpoint("GET", "/v1/library/{file}", library.show, "One preset of the library."),
    Endpoint("PATCH", "/v1/library/{file}", library.change, "Another name, other tags."),
    Endpoint("DELETE", "/v1/library/{file}", library.delete, "Move a preset to the trash."),
    Endpoint("GET", "/v1/library/{file}/sound", library.sound, "The sound beside a preset."),
    Endpoint("GET", "/v1/library/{file}/export/{format}", library.export, "A preset exported."),
    Endpoint("GET", "/v1/trash", library.trash, "Presets that were deleted."),
    Endpoint("POST", "/v1/trash/{file}/restore", library.restore, "Bring a preset back."),
    Endpoint("GET", "/v1/factory", library.factory, "Presets that come with Scorewire."),
    Endpoint("GET", "/v1/factory/{file}", library.show_factory, "One of them."),
    Endpoint("GET", "/v1/factory/{file}/sound", library.factory_sound, "The sound of one."),
    Endpoint("GET", "/v1/formats", library.formats, "The formats of export."),
    Endpoint("GET", "/v1/slots", slots.index, "What the slots hold."),
    Endpoint("PUT", "/v1/slots/{number}", slots.fill, "Put a preset into a slot."),
    Endpoint("DELETE", "/v1/slots/{number}", slots.empty, "Empty a slot."),
    Endpoint("POST", "/v1/slots/{number}/trigger", slots.trigger, "Strike a slot."),
    Endpoint("GET", "/v1/health", health.health, "How this server is."),
    Endpoint("GET", "/v1/doctor", health.report, "What the newest examination said."),
    Endpoint("POST", "/v1/doctor", health.examine, "Examine what a job needs."),
    Endpoint("GET", "/v1/log", health.log, "The newest lines of the log."),
    Endpoint("POST", "/v1/jobs/{id}/again", jobs.again, "Ask for an ended job once more."),
    Endpoint("POST", "/v1/panel/link", panel.link, "A link that lets one browser in, once."),
    Endpoint("POST", "/v1/panel/session", panel.open_session, "Let this browser in by a cookie."),
    Endpoint("DELETE", "/v1/panel/session", panel.close_session, "Forget the cookie."),
    Endpoint("GET", "/v1/blobs", uploads.index, "The uploads that are here."),
    Endpoint("GET", "/v1/blobs/sha256/{hash}", uploads.get, "The bytes of an upload."),
    Endpoint("HEAD", "/v1/blobs/sha256/{hash}", uploads.head, "How much of an upload is here."),
    Endpoint("PUT", "/v1/blobs/sha256/{hash}", uploads.put, "Upload a file, or go on with it."),
)


async def document(request: Request) -> Response:
    """The OpenAPI document of /v1."""
    return answer(openapi.document([(e.method, e.path, e.summary) for e in ENDPOINTS]))


def build(web: HttpState) -> Starlette:
    """The application, without its door (`access.AccessCheck`)."""
    routes: dict[str, dict[str, Endpoint]] = {}
    for endpoint in ENDPOINTS:
        routes.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    app = Starlette(
        routes=[
            *(Route(path, _by_method(each), methods=METHODS) for path, each in routes.items()),
            Route("/openapi.json", document),
            Route(panel.PLACE.rstrip("/"), panel.redirect),
            Route(panel.PLACE, panel.page),
            Route(panel.PLACE + "enter", panel.enter),
            Route(panel.PLACE + "{file:path}", panel.static),
            Route("/{path:path}", oscquery_listen.describe),
            WebSocketRoute("/{path:path}", oscquery_listen.converse),
        ],
        exception_handlers={
            Problem: _problem,
            HTTPException: _no_route,
            ClientDisconnect: _client_disconnected,
            500: _fault,
        },
    )
    app.state.web = web
    return app


def _by_method(methods: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
    """One handler for an address: HEAD is answered as GET, without its body.

    It takes all methods, or Starlette would try the address as one of OSC.
    """

    async def handle(request: Request) -> Response:
        endpoint = methods.get(request.method)
        if endpoint is None and request.method == "HEAD":
            endpoint = methods.get("GET")
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": ", ".join(methods)})
        return await endpoint.answer(request)

    return handle


async def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    web: HttpState = request.app.state.web
    client = request.client.host if request.client else ""
    web.refusals.say(client, f"{request.method} {request.url.path!r:.200}: {error.reason}")
    return error.response()


async def _no_route(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    known = {404: ("no-address", "there is nothing under this address; see /openapi.json"),
             405: ("no-method", f"this address does not take {request.method}")}  # fmt: skip
    code, reason = known.get(error.status_code, ("bad-request", error.detail))
    return problem(error.status_code, code, reason, error.headers)


async def _client_disconnected(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it; what came of an upload is kept


async def _fault(request: Request, error: Exception) -> Response:
    if atomic_output.no_room(error):
        return problem(507, "no-room", f"the server could not do it: {error}")
    return problem(500, "internal", "the server could not do it; its log says more")
