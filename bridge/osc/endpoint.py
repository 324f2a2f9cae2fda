"""The OSC endpoint: UDP on loopback, replies to the sender, the request id echoed first.

Every request of `bridge.osc.addresses` is answered, with its reply or with `/scorewire/fail`, also
the second time. Nothing here waits, and nothing that arrives can end it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

from pydantic import ValidationError

from bridge.files import atomic_output
from bridge.osc import datagrams
from bridge.osc.addresses import (
    REPLIES,
    Call,
    Refused,
    Target,
    reply_target,
    request_id,
    understand,
)
from bridge.protocol import jobs, osc_wire
from bridge.protocol.events import Best, Cancelled, Done, Event, Failed, Progress
from bridge.protocol.kinds import result_path
from bridge.protocol.osc_wire import Message, Value
from bridge.service.job_server import Server
from bridge.service.ledger import Entry
from bridge.service.rate_limited_log import RateLimitedLog

log = logging.getLogger(__name__)

PORTS_TRIED = 11  # the port asked for and ten above it
PEER = "peer:"  # what the host of a client without an address begins with
PROGRESS_GAP = 0.05  # seconds between two progress messages to one client

_WRITE: dict[str, Callable[[Any], Value]] = {"i": int, "f": float, "s": str}


class Subscribers(Protocol):
    """Where messages for all subscribers go: `bridge.osc.subscriptions.Subscriptions`."""

    def take(self, call: Call) -> None:
        """Begin, renew or end the subscription of whoever calls."""

    def follow(self, target: Target, req: int) -> None:
        """Tell `target` all news under `req`, until `leave`."""

    def leave(self, target: Target) -> None:
        """Undo `follow`."""

    def close(self) -> None:
        """End all of them."""


Answer: TypeAlias = Callable[["OscEndpoint", Call], None]


class OscEndpoint(asyncio.DatagramProtocol):
    """The socket: datagrams in, answers and pushed events out.

    `answers` has a function for each address of the table; `subscriptions` is set by
    `bridge.osc.requests.serve_osc`.
    """

    subscriptions: Subscribers

    def __init__(
        self,
        server: Server,
        own: socket.socket,
        *,
        answers: Mapping[str, Answer],
    ) -> None:
        self.server = server
        self._inbox = datagrams.DatagramQueue(own, self.handle)
        self._refusals = RateLimitedLog(log)
        self.port = 0
        self.peers: dict[str, Callable[[bytes], None]] = {}  # hosts without UDP: websockets
        self.tasks: set[asyncio.Task[None]] = set()
        self._answers = answers
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport (asyncio)."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def error_received(self, exc: Exception) -> None:
        """A client went away (asyncio): nothing to do, it may come back and ask again."""
        log.debug("OSC socket: %s", exc)

    def datagram_received(self, data: bytes, addr: Target) -> None:
        """A datagram has come (asyncio)."""
        self._inbox.put(data, addr)

    def handle(self, data: bytes, addr: Target) -> None:
        """Understand a datagram and answer it."""
        try:
            parts = osc_wire.decode_each(data)
        except osc_wire.Malformed as error:
            parts = (error,)
        for part in parts:
            if isinstance(part, osc_wire.Malformed):
                req = request_id(part.first)
                self.fail(addr, req, part.address, "malformed", str(part))
            else:
                self._answer(part, addr)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Let an answer that has to wait go on by itself."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def trusts(self, call: Call) -> bool:
        """Whether the request came with the key, or by a websocket, whose client gave the token.

        Raises `Refused` for a wrong key: it is never taken for none.
        """
        if not call.key:
            return str(call.target[0]).startswith(PEER)
        config = self.server.config
        keys = [config.osc_key]
        with suppress(OSError, UnicodeDecodeError):
            keys.append(config.token_file.read_text(encoding="utf-8").strip())
        given = call.key.encode()
        if not any([hmac.compare_digest(given, key.encode()) for key in keys if key]):
            raise Refused("bad-key", "the key is not this server's; `scorewire token` says which")
        return True

    def follower(self, target: Target, req: int) -> Callable[[Event], None]:
        """Make what sends `target` the events of jobs under `req`; for `Server.listen`."""
        return JobFollower(self, target, req)

    def close(self) -> None:
        """End subscriptions and the socket."""
        self.subscriptions.close()
        for task in self.tasks:
            task.cancel()
        if self._transport is not None:
            self._transport.close()

    def send(
        self,
        target: Target,
        address: str,
        *values: Value,
        facts: Sequence[tuple[str, Value]] = (),
    ) -> None:
        """Send one reply of the table, each value as the type declared there."""
        names = REPLIES[address].split()
        if len(values) != len(names):
            raise ValueError(f"{address} takes {REPLIES[address]}, got {len(values)} values")
        typed = [_WRITE[name[0]](value) for name, value in zip(names, values, strict=True)]
        datagram = osc_wire.encode(address, typed, facts)
        if target[0] in self.peers:
            self.peers[target[0]](datagram)
        elif target[0].startswith(PEER):
            log.debug("%s has gone", target[0])
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, target)

    def fail(
        self, target: Target, req: int, address: str, code: str, text: str, job: str = ""
    ) -> None:
        """Say why not."""
        line = f"refused {address or 'a datagram'} from {target[:2]}: {text}"
        self._refusals.say(str(target[0]), line)
        self.send(target, "/scorewire/fail", req, address, code, text, job)

    def _answer(self, message: Message, sender: Target) -> None:
        if message.address in REPLIES:
            # Another server, or an echo of ours: an answer would be answered for ever.
            line = f"ignored a reply address, {message.address}, from {sender[:2]}"
            self._refusals.say(str(sender[0]), line)
            return
        req = request_id(message.args[0] if message.args else None)
        target = reply_target(message, sender)
        try:
            call = understand(message, target)
            self.trusts(call)  # a wrong key is answered, whatever was asked
            self._answers[call.address](self, call)
        except Refused as error:
            code, text = error.code, str(error)
        except ValidationError as error:
            code, text = "bad-arguments", jobs.sentence(error)
        except ValueError as error:
            code, text = atomic_output.code_of(error, "bad-input"), str(error)
        except Exception as error:  # the client is told, and others are answered
            code, text = (
                atomic_output.code_of(error, "internal"),
                f"the server could not do it: {error}",
            )
            log.log(
                logging.INFO if code == "no-room" else logging.ERROR,
                "answering %s",
                message.address,
                exc_info=True,
            )
        else:
            return
        self.fail(target, req, message.address, code, text)


@dataclass(slots=True)
class JobFollower:
    """Tells one client, under one request id, what happens to a job."""

    endpoint: OscEndpoint
    target: Target
    req: int
    told: float = -math.inf  # when progress was last sent

    def __call__(self, event: Event) -> None:
        """Send what happened, as the table of replies has it."""
        send, req = self.endpoint.send, self.req
        match event:
            case Progress():
                seconds = asyncio.get_running_loop().time()
                if seconds - self.told < PROGRESS_GAP and event.fraction < 1:
                    return
                self.told = seconds
                eta = -1.0 if event.eta is None else event.eta
                figures = [(name, float(value)) for name, value in event.figures.items()]
                values = (req, event.id, event.fraction, event.stage, eta)
                send(self.target, "/scorewire/progress", *values, facts=figures)
            case Best():
                best = (req, event.id, event.score, event.preset, event.wav, event.step)
                facts = [] if event.rating is None else [("rating", event.rating)]
                send(self.target, "/scorewire/best", *best, facts=facts)
            case Done():
                self._done(event)
            case Cancelled():
                send(self.target, "/scorewire/cancelled", req, event.id)
            case Failed():
                entry = self.endpoint.server.store.get(event.id)
                address = "" if entry is None else f"/scorewire/{entry.job.kind}"
                self.endpoint.fail(self.target, req, address, event.code, event.reason, event.id)

    def _done(self, event: Done) -> None:
        """Each stem, clip or suggestion first, for those that read no JSON; then where all is."""
        for index, stem in enumerate(_stems(event.result), start=1):
            named = (self.req, event.id, index, stem["prompt"], stem["wav"])
            self.endpoint.send(self.target, "/scorewire/stem", *named)
        for index, clip in enumerate(event.result.get("clips", ()), start=1):
            values = (self.req, event.id, index, clip["prompt"], clip["wav"])
            facts = [("warning", clip["warning"])] if "warning" in clip else []
            self.endpoint.send(self.target, "/scorewire/clip", *values, facts=facts)
        for index, row in enumerate(event.result.get("suggestions", ()), start=1):
            values = (self.req, event.id, index, row["prompt"], row["score"])
            facts = [("likelihood", row["likelihood"])] if "likelihood" in row else []
            self.endpoint.send(self.target, "/scorewire/suggestion", *values, facts=facts)
        entry = self.endpoint.server.store.get(event.id)
        path = "" if entry is None else result_path(entry.job, event.result)
        facts = _facts(event.result)
        self.endpoint.send(self.target, "/scorewire/done", self.req, event.id, path, facts=facts)


# Answers, one a request.


def _ahead(endpoint: OscEndpoint, entry: Entry) -> list[tuple[str, Value]]:
    """How many jobs end before a queued one begins, as a pair; nothing when none does."""
    count = endpoint.server.store.ahead(entry)
    return [("ahead", count)] if count else []


def _stems(result: dict[str, Any]) -> list[dict[str, str]]:
    stems = result.get("stems", [])
    return [s for s in stems if isinstance(s, dict) and {"prompt", "wav"} <= s.keys()]


def _facts(result: dict[str, Any]) -> list[tuple[str, Value]]:
    """The short scalars of a result, as name and value pairs."""
    return [(k, v) for k, v in result.items() if isinstance(v, int | float | str)]
