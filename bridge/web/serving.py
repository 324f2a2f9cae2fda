"""Uvicorn in the loop that OSC runs in, on the first free port, gone when the server goes."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn

from bridge.osc import PORTS_TRIED
from bridge.web import access, app
from bridge.web.blobs import Blobs

if TYPE_CHECKING:
    from bridge.osc import Face

PATIENCE = 3  # seconds for answers under way when the server stops
MAX_FRAME = 64 * 2**10  # bytes from a websocket


@asynccontextmanager
async def listening(face: Face, *, heartbeat: float = app.HEARTBEAT) -> AsyncIterator[int]:
    """Serve HTTP for the server of `face` while inside; yields the port.

    Raises `OSError` when no port is free, `ValueError` when the token cannot be used.
    """
    config = face.server.config
    token = access.token(config.token_file)
    blobs = Blobs(config.blobs, limit=config.upload_limit, quota=config.upload_quota)
    web = app.Web(face, blobs, heartbeat=heartbeat)
    door = access.Door(app.build(web), token=token, names=config.http_names)
    listener = _bound(config.http_host, face.port if config.http_port is None else config.http_port)
    settings = uvicorn.Config(
        door,
        http="h11",
        ws="websockets-sansio",
        ws_max_size=MAX_FRAME,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    # Not `serve`: it takes SIGINT and SIGTERM for itself, and they are the whole process's.
    settings.load()
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    await server.startup(sockets=[listener])
    face.server.listen(None, web.journal, web.journal.note)
    silence = web.news.follow(face)
    running = asyncio.create_task(server.main_loop(), name="http")
    try:
        yield listener.getsockname()[1]
    finally:
        face.server.ignore(None, web.journal)
        silence()
        server.should_exit = True
        await running
        await server.shutdown(sockets=[listener])


def _bound(host: str, first: int) -> socket.socket:
    """A listening socket on the first free port; 0 is any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    ports = [0] if first == 0 else range(first, min(first + PORTS_TRIED, 65536))
    for port in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return listener
    raise OSError(
        errno.EADDRINUSE, f"ports {first} to {port} of {host} are all taken; set http_port"
    )
