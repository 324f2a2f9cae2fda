"""What the server tells everybody, heard once for all who look at it through OSCQuery."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from bridge.osc.addresses import UNKNOWN
from bridge.osc.endpoint import PEER, OscEndpoint
from bridge.protocol import osc_wire
from bridge.protocol.osc_wire import Value

HERE = PEER + "news"
SLOT_CHANGES = ("/scorewire/play/loaded", "/scorewire/play/unloaded")
MAX_WAITING = 1024  # frames for one client

Frame = bytes | str


class Listener:
    """One websocket: the addresses it listens to, and the frames it has yet to be sent.

    Who does not keep up gets None as the last frame: an end is better than a hole nobody sees.
    """

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._over = False

    def put(self, frame: Frame) -> None:
        """Queue a frame."""
        if self._over:
            return
        self._over = self.frames.qsize() >= MAX_WAITING
        self.frames.put_nowait(None if self._over else frame)


class Broadcast:
    """The last of what was said under each address (`values`), and who listens.

    The news is what subscribers get over UDP, under the `req` of nobody.
    """

    def __init__(self) -> None:
        self.values: dict[str, tuple[Value, ...]] = {}
        self.listeners: set[Listener] = set()

    def follow(self, osc: OscEndpoint) -> Callable[[], None]:
        """Hear what `osc` tells everybody; call the answer to end that."""
        osc.peers[HERE] = self.hear
        osc.subscriptions.follow((HERE, 0), UNKNOWN)

        def end() -> None:
            osc.subscriptions.leave((HERE, 0))
            del osc.peers[HERE]

        return end

    def hear(self, datagram: bytes) -> None:
        """One message of the server: note it, and pass it on to who listens there."""
        (message,) = osc_wire.decode(datagram)
        self._tell(message.address, message.args, datagram)
        if message.address == "/scorewire/play/turned":
            _, slot, name, position = message.args
            path = f"/scorewire/slot/{slot}/param/{name}"
            self._tell(path, (UNKNOWN, position), osc_wire.encode(path, (UNKNOWN, position)))
        elif message.address in SLOT_CHANGES:
            changed = {"COMMAND": "PATH_CHANGED", "DATA": f"/scorewire/slot/{message.args[1]}"}
            for listener in self.listeners:
                listener.put(json.dumps(changed))

    def _tell(self, address: str, args: tuple[Value, ...], datagram: bytes) -> None:
        self.values[address] = args
        for listener in self.listeners:
            if address in listener.paths:
                listener.put(datagram)
