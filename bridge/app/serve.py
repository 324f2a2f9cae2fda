"""Run ledger, worker, OSC and HTTP in one process, until SIGINT or SIGTERM."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from bridge.app import doctor
from bridge.app.engines import engine_of
from bridge.osc import requests
from bridge.player.protocol import Happening
from bridge.service import discovery
from bridge.service.config import Config
from bridge.service.job_server import Server, _sweeping
from bridge.service.ledger import own_ledger
from bridge.service.player_process import PlayerProcess
from bridge.service.signals import stopping_on_signals
from presets.library import Library

log = logging.getLogger(__name__)


async def run_server(
    config: Config,
    *,
    play: bool = False,
    announce: bool = False,
    ready: Callable[[int, int], None] | None = None,
    on_happening: Callable[[Happening], None] | None = None,
) -> None:
    """Run the whole light process until SIGINT or SIGTERM; `ready` is told OSC's and HTTP's port.

    With `play` a player process sounds the library's slots, and `heard` is told what it says of
    itself; with `announce` the network is told.

    Raises `ValueError` when another server owns the data folder, `OSError` when no port is free.
    """
    # Here alone: no other command needs a web server.
    from bridge.http.mdns import mdns_service
    from bridge.http.server import serve_http

    async with stopping_on_signals() as stop:
        with own_ledger(config.ledger) as store:
            lost = store.recover()
            for job_id in lost:
                log.warning("job %s was interrupted by the end of an earlier server", job_id)
            engine = engine_of(config)
            async with AsyncExitStack() as stack:
                player = PlayerProcess(config.player, Library(config.library)) if play else None
                if player is not None:
                    if on_happening is not None:
                        player.listen("terminal", on_happening)
                    await stack.enter_async_context(player)
                server = await stack.enter_async_context(Server(config, store, engine, player))
                await stack.enter_async_context(_sweeping(server, lost))
                examine = partial(doctor.examine, config, model=config.model)
                osc = await stack.enter_async_context(requests.serve_osc(server))
                http = await stack.enter_async_context(serve_http(osc, examine=examine))
                log.info("OSC on %s port %d (UDP)", config.osc_host, osc.port)
                log.info("HTTP on %s port %d", config.http_host, http)
                if announce:
                    service = mdns_service(config, osc=osc.port, http=http)
                    await stack.enter_async_context(service)
                place = discovery.publish(
                    config.data, host=config.http_host, http=http, osc=osc.port
                )
                stack.enter_context(place)
                if ready is not None:
                    ready(osc.port, http)
                await stop.wait()
                log.info("stopping")
                await server.close()  # while OSC can still tell the clients
