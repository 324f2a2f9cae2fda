"""The slots of the library and of the player over HTTP: fill, empty, strike."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bridge.http.library import changed, found, library, read_body
from bridge.http.responses import Problem, answer
from bridge.http.state import HttpState
from bridge.player import protocol
from bridge.processes.background_threads import beside
from bridge.protocol.patch_requests import FillSlot, Strike
from bridge.service.player_process import NotPlayed, PlayerProcess


def _slot(request: Request) -> int:
    text: str = request.path_params["number"]
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= protocol.SLOTS):
        reason = f"a slot must be 1 .. {protocol.SLOTS}, got {text[:40]!r}"
        raise Problem(422, "bad-arguments", reason)
    return int(text)


async def index(request: Request) -> Response:
    """What the slots of the library hold, and whether they are played here."""
    web: HttpState = request.app.state.web
    here = library(request)
    names = {entry.path: entry.name for entry in await beside(here.find, limit=100_000)}
    slots: dict[str, Any] = {
        str(number): {"file": path.name, "name": names[path]}
        for number, path in (await beside(here.slots)).items()
        if path in names
    }
    return answer({"slots": slots, "playing": web.server.player is not None})


async def fill(request: Request) -> Response:
    """Put a preset into a slot of the library, and of the player where this server plays."""
    web: HttpState = request.app.state.web
    number, asked = _slot(request), await read_body(request, FillSlot)
    here = library(request)
    entry = await found(here, asked.preset)
    await changed(here.assign, number, entry.path.name)
    if web.server.player is not None:
        web.server.player.put(number, entry.path)
    return answer({"slot": number, "file": entry.path.name, "name": entry.name})


async def empty(request: Request) -> Response:
    """Empty a slot."""
    web: HttpState = request.app.state.web
    number = _slot(request)
    await changed(library(request).clear, number)
    if web.server.player is not None and number in web.server.player.loaded:
        await _play(web.server.player, protocol.Unload(slot=number))
    return Response(status_code=204)


async def trigger(request: Request) -> Response:
    """Strike a slot once, on the sound card of this machine."""
    web: HttpState = request.app.state.web
    number, asked = _slot(request), await read_body(request, Strike)
    if web.server.player is None:
        raise Problem(409, "no-player", "this server does not play: start it with serve --play")
    command = protocol.Trigger(slot=number, note=asked.note, velocity=asked.velocity)
    await _play(web.server.player, command)
    return Response(status_code=204)


async def _play(player: PlayerProcess, command: protocol.Command) -> None:
    try:
        await player.do(command)
    except NotPlayed as error:
        raise Problem(409, "no-player", str(error)) from error
