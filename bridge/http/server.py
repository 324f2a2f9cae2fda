"""Run uvicorn in the loop that OSC runs in, on the first free port, until the server ends."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.http import access, app, state
from bridge.http.blobs import Blobs
from bridge.http.examination import Examination, Examine
from bridge.osc.endpoint import PORTS_TRIED, OscEndpoint
from bridge.service.rate_limited_log import OncePerWindow

PATIENCE = 3  # seconds for answers under way when the server stops
PATIENCE_FOR_HEAD = 15.0  # seconds between a connection, or an answer, and the next request
MAX_CONNECTIONS = 256  # open at once that gave no token, and as many that did
MAX_FRAME = 64 * 2**10  # bytes from a websocket

ARRIVED: WeakKeyDictionary[asyncio.Transport, int] = WeakKeyDictionary()  # in which order
_count = itertools.count()


class Connection(H11Protocol):
    """Closed when no whole head of a request comes for `PATIENCE_FOR_HEAD` seconds.

    Uvicorn waits for the rest of a head for ever and takes any number of connections: without this
    anybody, token or not, could take all the file descriptors of the process. Where too many have
    not given the token, the oldest of them goes: who has it can always come and say so.
    """

    was_trusted = False  # by what came before the request whose head was just read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """One connection more (asyncio)."""
        super().connection_made(transport)
        ARRIVED[transport] = next(_count)
        open_connections = [
            connection for connection in self.connections if not connection.transport.is_closing()
        ]
        strangers = [
            connection.transport for connection in open_connections if not is_trusted(connection)
        ]
        if len(open_connections) > 2 * MAX_CONNECTIONS:
            transport.abort()
        elif len(strangers) > MAX_CONNECTIONS:
            min(strangers, key=lambda connection: ARRIVED.get(connection, 0)).abort()
        self.loop.call_later(PATIENCE_FOR_HEAD, self._look, None)

    def handle_events(self) -> None:
        """Read what came (uvicorn); a new request is not asked for its token at once."""
        self.was_trusted = is_trusted(self)
        super().handle_events()

    def _look(self, before: object) -> None:
        """Go on looking; `before` is the last request if it had been answered already."""
        if self not in self.connections:  # closed, or a websocket by now
            return
        answered = self.cycle is None or self.cycle.response_complete
        if answered and self.cycle is before:
            self.transport.close()
        else:
            self.loop.call_later(PATIENCE_FOR_HEAD, self._look, self.cycle if answered else self)


def is_trusted(connection: object) -> bool:
    """Whether the last request of a connection that was asked, or its websocket, had the token."""
    scope = getattr(connection, "scope", None) or {}
    return bool(scope.get(access.TRUSTED, getattr(connection, "was_trusted", False)))


@asynccontextmanager
async def serve_http(
    osc: OscEndpoint, *, examine: Examine, heartbeat: float = state.HEARTBEAT
) -> AsyncIterator[int]:
    """Serve HTTP for the server of `osc` while inside; yields the port.

    `examine` makes the report of `doctor`, which the panel shows.

    Raises `OSError` when no port is free, `ValueError` when the token cannot be used.
    """
    config = osc.server.config
    token = access.token(config.token_file)
    blobs = Blobs(config.blobs, limit=config.upload_limit, quota=config.upload_quota)
    web = state.HttpState(osc, blobs, token.encode(), Examination(examine), heartbeat=heartbeat)
    door = access.AccessCheck(app.build(web), token=token, names=config.http_names)
    listener = _bound(config.http_host, osc.port if config.http_port is None else config.http_port)
    settings = uvicorn.Config(
        door,
        http=Connection,
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
    quiet = OncePerWindow()
    logging.getLogger("uvicorn.error").addFilter(quiet)
    server = uvicorn.Server(settings)
    server.lifespan = settings.lifespan_class(settings)
    await server.startup(sockets=[listener])
    osc.server.listen(None, web.journal, web.journal.note)
    silence = web.broadcast.follow(osc)
    logging.getLogger().addHandler(web.log_tail)
    running = asyncio.create_task(server.main_loop(), name="http")
    try:
        yield listener.getsockname()[1]
    finally:
        osc.server.ignore(None, web.journal)
        silence()
        # It does nothing but look whether to end: to wait for its next look is to wait for a clock.
        running.cancel()
        await asyncio.wait([running])
        await server.shutdown(sockets=[listener])
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # whoever does not read what was sent would keep it open
        await asyncio.sleep(0)  # in which it is closed
        await web.examination.close()  # only now no request can begin another
        logging.getLogger("uvicorn.error").removeFilter(quiet)
        logging.getLogger().removeHandler(web.log_tail)


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
