"""Take datagrams from the kernel as fast as they come, and handle them one after another.

The kernel holds some hundreds of small ones (Linux as it is set up: 277, or 554 as asked for here).
asyncio takes one from it each time round its loop, so what answers slower than others send
loses nearly all of a burst. Here all that is there is taken each time, and waits in memory.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from bridge.service.rate_limited_log import RateLimitedLog

log = logging.getLogger(__name__)

BUFFER = 4 * 2**20  # bytes asked of the kernel, which may give less
MAX_SIZE = 65536  # bytes of a datagram
MAX_WAITING = 32_768  # datagrams
MAX_BYTES = 32 * 2**20  # of all that wait
SLICE = 0.001  # seconds of answering before the kernel is looked at again

Handle = Callable[[bytes, Any], None]


def bound(host: str, port: int) -> socket.socket:
    """Open a UDP socket at an address, its buffer as large as the kernel allows; `OSError`."""
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened


class DatagramQueue:
    """What came and was not yet handled, in its order."""

    def __init__(self, own: socket.socket, handle: Handle) -> None:
        self._socket, self._handle = own, handle
        self._waiting: deque[tuple[bytes, Any]] = deque()
        self._bytes = 0
        self._busy = False
        self._dropped = RateLimitedLog(log, logging.WARNING)

    def put(self, data: bytes, sender: Any) -> None:
        """Take one datagram, and all others that are there; they are handled soon."""
        self._keep(data, sender)
        self._drain()
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Handle what waits for a moment, then let the loop go round."""
        end = time.monotonic() + SLICE
        while self._waiting and time.monotonic() < end:
            data, sender = self._waiting.popleft()
            self._bytes -= len(data)
            try:
                self._handle(data, sender)
            except Exception:  # a fault of ours in one request: others are still answered
                log.exception("a datagram from %s could not be handled", sender[:2])
        self._drain()
        self._busy = bool(self._waiting)
        if self._busy:
            asyncio.get_running_loop().call_soon(self._work)

    def _drain(self) -> None:
        """Take what the kernel holds. Windows hands datagrams over in another way."""
        while sys.platform != "win32" and self._socket.fileno() >= 0:
            try:
                data, sender = self._socket.recvfrom(MAX_SIZE)
            except OSError:  # there is none (BlockingIOError)
                return
            self._keep(data, sender)

    def _keep(self, data: bytes, sender: Any) -> None:
        if len(self._waiting) >= MAX_WAITING or self._bytes + len(data) > MAX_BYTES:
            self._dropped.say(str(sender[0]), f"dropped a datagram: {len(self._waiting)} wait")
            return
        self._waiting.append((data, sender))
        self._bytes += len(data)
