"""OSCQuery over HTTP, and its websocket: LISTEN and IGNORE as text, OSC messages as binary frames.

With the token a client may also send requests as binary frames; they are answered in the same way.
Nothing is lost here as it is over UDP, which is what CRITICAL asks for: a client that does not keep
up is sent away.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import secrets
from contextlib import suppress
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from bridge.http import access, oscquery
from bridge.http.broadcast import MAX_LISTENERS, Listener
from bridge.http.responses import Problem, answer
from bridge.http.state import HttpState
from bridge.osc.addresses import REQUESTS, Refused, understand
from bridge.osc.endpoint import PEER
from bridge.protocol import osc_wire
from presets.reading import read_json

# What another machine may ask over the websocket: nothing that names a file or starts work.
HARMLESS = frozenset(f"/scorewire/{name}" for name in ("ping", "jobs", "job", "cancel", "keep"))
HARMLESS |= {name for name in REQUESTS if name.startswith(("/scorewire/slot/", "/scorewire/play/"))}
HARMLESS -= {oscquery.LOAD}


async def describe(request: Request) -> Response:
    """A node, one of its attributes, or HOST_INFO."""
    web: HttpState = request.app.state.web
    query = request.url.query
    if query == "HOST_INFO":
        return answer(_host_info(web, request))
    node = _find(web, request.url.path)
    if node is None:
        raise Problem(404, "no-address", "there is nothing under this address; see / for OSC")
    whole = oscquery.with_values(node, web.broadcast.values) if _may_hear(request) else node
    if not query:
        return answer(whole)
    if query not in oscquery.ATTRIBUTES:
        raise Problem(400, "bad-attribute", f"{query[:40]!r} is no attribute of OSCQuery")
    return answer({query: whole[query]}) if query in whole else Response(status_code=204)


async def converse(socket: WebSocket) -> None:
    """One websocket, from its opening to its end."""
    web: HttpState = socket.app.state.web
    await socket.accept()
    listener = Listener()
    if not web.broadcast.admit(listener, trusted=socket.scope[access.TRUSTED]):
        await socket.close(1013, f"{MAX_LISTENERS} clients are here already")
        return
    peer = PEER + secrets.token_hex(8)
    web.osc.peers[peer] = listener.put
    sending = asyncio.create_task(_send(socket, listener))
    try:
        while True:
            frame = await socket.receive()
            if frame["type"] == "websocket.disconnect":
                break
            if (text := frame.get("text")) is not None:
                _command(web, socket, listener, text)
            else:
                _osc(web, socket, listener, peer, frame["bytes"])
    finally:
        sending.cancel()
        del web.osc.peers[peer]
        web.broadcast.listeners.pop(listener, None)


async def _send(socket: WebSocket, listener: Listener) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            frame = await listener.frames.get()
            if frame is None:
                await socket.close(1013, listener.reason)
                return
            if isinstance(frame, str):
                await socket.send_text(frame)
            else:
                await socket.send_bytes(frame)


def _command(web: HttpState, socket: WebSocket, listener: Listener, text: str) -> None:
    """LISTEN or IGNORE one path."""
    try:
        fields = read_json(text)
        command, path = fields["COMMAND"], fields["DATA"]
    except (ValueError, TypeError, KeyError):
        _wrong(listener, 'a command is {"COMMAND": ..., "DATA": path}')
        return
    if command == "IGNORE":
        listener.paths.discard(str(path))
    elif command != "LISTEN":
        _wrong(listener, f"the commands are LISTEN and IGNORE, got {command!r:.60}")
    elif not _may_hear(socket):
        _wrong(listener, "another machine needs the token to listen")
    elif not isinstance(path, str) or _find(web, path) is None:
        _wrong(listener, f"there is no path {path!r:.100}")
    else:
        listener.paths.add(path)


def _osc(web: HttpState, socket: WebSocket, listener: Listener, peer: str, data: bytes) -> None:
    """A request, when the client has the token; from another machine none that names files."""
    if not socket.scope[access.TRUSTED]:
        _wrong(listener, "OSC needs the header `Authorization: Bearer TOKEN` of this websocket")
    elif socket.scope[access.FAR] and not _harmless(data):
        _wrong(listener, "another machine asks for work on files by POST /v1/jobs")
    else:
        web.osc.handle(data, (peer, 0))


def _harmless(data: bytes) -> bool:
    try:
        parts = osc_wire.decode_each(data)
    except osc_wire.Malformed:
        return True  # refused where it is read, as is what of a bundle is no OSC
    return all(_is_single_query(part) for part in parts if isinstance(part, osc_wire.Message))


def _is_single_query(message: osc_wire.Message) -> bool:
    """One message by itself: a wrong one in a bundle must not carry others past the check."""
    try:
        return understand(message, (PEER, 0)).address in HARMLESS
    except Refused:
        return True  # refused where it is read


def _wrong(listener: Listener, reason: str) -> None:
    listener.put(json.dumps({"COMMAND": "ERROR", "DATA": reason}))


def _may_hear(connection: HTTPConnection) -> bool:
    """Whether a client may listen: messages name files, so other machines need the token."""
    return bool(connection.scope[access.TRUSTED] or not connection.scope[access.FAR])


def _find(web: HttpState, path: str) -> oscquery.Node | None:
    player = web.server.player
    loaded = player.loaded if player else frozenset[int]()
    return oscquery.find(oscquery.namespace(plays=player is not None, loaded=loaded), path)


def _host_info(web: HttpState, request: Request) -> dict[str, Any]:
    config = web.server.config
    host, port = request.scope["server"]
    return {
        "NAME": f"Scorewire {importlib.metadata.version('scorewire')}",
        "OSC_IP": config.osc_host,
        "OSC_PORT": web.osc.port,
        "OSC_TRANSPORT": "UDP",
        "WS_IP": host,
        "WS_PORT": port,
        "EXTENSIONS": oscquery.EXTENSIONS,
    }
