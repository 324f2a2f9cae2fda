"""Share one subscription to the server's messages among all websockets of OSCQuery."""

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
MAX_LISTENERS = 32  # without the token, and as many with it

Frame = bytes | str


class Listener:
    """One websocket: the addresses it listens to, and the frames it has yet to be sent.

    Who does not keep up is told to go, as `end` does: an end is better than a hole nobody sees.
    """

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self.reason = ""
        self._over = False

    def put(self, frame: Frame) -> None:
        """Queue a frame."""
        if self._over:
            return
        if self.frames.qsize() >= MAX_WAITING:
            self.end("you do not keep up; come back and ask again")
        else:
            self.frames.put_nowait(frame)

    def end(self, reason: str) -> None:
        """Close the websocket with a sentence: None is its last frame."""
        self._over, self.reason = True, reason
        self.frames.put_nowait(None)


class Broadcast:
    """The last message of each address (`values`), and the websockets that listen.

    The news is what subscribers get over UDP, under the `req` of nobody.
    """

    def __init__(self) -> None:
        self.values: dict[str, tuple[Value, ...]] = {}
        self.listeners: dict[Listener, bool] = {}  # and whether they gave the token

    def admit(self, listener: Listener, *, trusted: bool) -> bool:
        """Take one more; False when there is no room.

        Those with the token have room of their own. Of those without it the oldest goes.
        """
        alike = [other for other, known in self.listeners.items() if known == trusted]
        if len(alike) >= MAX_LISTENERS:
            if trusted:
                return False
            del self.listeners[alike[0]]
            alike[0].end(f"{MAX_LISTENERS} others came without the token; with it there is room")
        self.listeners[listener] = trusted
        return True

    def follow(self, osc: OscEndpoint) -> Callable[[], None]:
        """Subscribe to the messages of `osc`; call what is returned to end that."""
        osc.peers[HERE] = self.hear
        osc.subscriptions.follow((HERE, 0), UNKNOWN)

        def end() -> None:
            osc.subscriptions.leave((HERE, 0))
            del osc.peers[HERE]

        return end

    def hear(self, datagram: bytes) -> None:
        """Note a message, and pass it on to the websockets that listen to its address."""
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
