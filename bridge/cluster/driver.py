"""Connect to a cluster, and do what lines ask for until they end."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from typing import BinaryIO, TextIO

import ray

from bridge.cluster.dispatch import ClusterGone, Dispatcher, Settings
from bridge.protocol.cluster_lines import Cluster, Submit, asked_adapter
from bridge.protocol.events import Event

log = logging.getLogger(__name__)

NAMESPACE = "scorewire"
MAX_LINE = 8 * 2**20  # bytes


def drive(address: str, settings: Settings, lines: BinaryIO, out: TextIO) -> None:
    """Do on the cluster at `address` what `lines` ask for; events go to `out`.

    Without an address a cluster of this machine alone is started, and ends with it. Ends the
    process when there is no cluster, or no more.
    """
    where = {"address": address} if address else {"address": "local", "include_dashboard": False}
    try:
        ray.init(namespace=NAMESPACE, log_to_driver=False, logging_level=logging.WARNING, **where)
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).partition("\n")[0]
        sys.exit(f"no Ray cluster at {address or 'this machine'}: {first}")
    try:
        asyncio.run(_drive(settings, lines, out))
    except ClusterGone as error:
        log.error("the cluster is gone: %s", error)
        out.flush()
        os._exit(1)  # Ray would wait for it before it ends
    ray.shutdown()


async def _drive(settings: Settings, lines: BinaryIO, out: TextIO) -> None:
    def emit(said: Event | Cluster) -> None:
        out.write(said.model_dump_json() + "\n")
        out.flush()

    dispatcher = Dispatcher(settings, emit)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), lines)
    watch = asyncio.create_task(dispatcher.watch(), name="watch")
    reading = asyncio.create_task(_read(reader, dispatcher), name="stdin")
    await asyncio.wait((watch, reading), return_when=asyncio.FIRST_COMPLETED)
    if watch.done():
        watch.result()  # raises what ended it
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    await dispatcher.close()


async def _read(reader: asyncio.StreamReader, dispatcher: Dispatcher) -> None:
    while line := await reader.readline():
        try:
            asked = asked_adapter.validate_json(line)
        except ValueError as error:
            log.warning("a line that asks for nothing: %s", error)
            continue
        if isinstance(asked, Submit):
            await dispatcher.submit(asked)
        else:
            await dispatcher.cancel(asked.id)
