"""Turn SIGINT and SIGTERM into an event, so that a server ends with its children."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def stopping_on_signals() -> AsyncIterator[asyncio.Event]:
    """SIGINT and SIGTERM set the event given, instead of ending the process with children left."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
