"""The OSC face: UDP on loopback, replies to whoever asked, the request id echoed first.

Every request of `bridge.addresses` is answered, with its reply or with `/scorewire/fail`, also the
second time. Nothing here waits, and nothing that arrives can end it.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import logging
import math
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from bridge import jobs, osc_hosts, osc_play, wire
from bridge.addresses import REPLIES, Call, Refused, Target, reply_target, request_id, understand
from bridge.jobs import (
    Best,
    Cancelled,
    DesignPatch,
    Done,
    EditPreset,
    Event,
    Export,
    Failed,
    Job,
    Morph,
    Progress,
    Record,
    RenderPreset,
    Separate,
    Suggest,
    Vary,
)
from bridge.osc_leases import Leases
from bridge.wire import Message, Value

if TYPE_CHECKING:
    from bridge.server import Server
    from bridge.store import Entry

log = logging.getLogger(__name__)

PORTS_TRIED = 11  # the port asked for and ten above it
PEER = "peer:"  # what the host of a client without an address begins with
MAX_LISTED = 200
PROGRESS_GAP = 0.05  # seconds between two progress messages to one client

_WRITE: dict[str, Callable[[Any], Value]] = {"i": int, "f": float, "s": str}

# Options a musician says -> the field of the job it sets.
_FIELDS = {"seconds": "duration", "preset": "recipe"}
_SAID = {field: name for name, field in _FIELDS.items()} | {"formats": "format"}


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[Face]:
    """Serve OSC for `server` while inside; yields the face, which knows its port."""
    host, first = server.config.osc_host, server.config.osc_port
    loop = asyncio.get_running_loop()
    for port in [0] if first == 0 else range(first, min(first + PORTS_TRIED, 65536)):
        try:
            transport, face = await loop.create_datagram_endpoint(
                lambda: Face(server), local_addr=(host, port)
            )
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    else:
        raise OSError(
            errno.EADDRINUSE, f"ports {first} to {port} of {host} are all taken; set osc_port"
        )
    try:
        face.port = transport.get_extra_info("sockname")[1]
        yield face
    finally:
        face.close()


class Face(asyncio.DatagramProtocol):
    """The socket: datagrams in, answers and pushed events out."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = 0
        self.leases = Leases(self)
        self.peers: dict[str, Callable[[bytes], None]] = {}  # hosts without UDP: websockets
        self.tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport (asyncio)."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def error_received(self, exc: Exception) -> None:
        """A client went away (asyncio): nothing to do, it may come back and ask again."""
        log.debug("OSC socket: %s", exc)

    def datagram_received(self, data: bytes, addr: Target) -> None:
        """Understand a datagram and answer it (asyncio)."""
        try:
            messages = wire.decode(data)
        except wire.Malformed as error:
            req = request_id(error.first)
            self.fail(addr, req, error.address, "malformed", str(error))
            return
        for message in messages:
            self._answer(message, addr)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Let an answer that has to wait go on by itself."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def follower(self, target: Target, req: int) -> Callable[[Event], None]:
        """What tells `target` the events of jobs under `req`; for `Server.listen`."""
        return _Follower(self, target, req)

    def close(self) -> None:
        """End leases and the socket."""
        self.leases.close()
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
        datagram = wire.encode(address, typed, facts)
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
        log.info("refused %s from %s: %s", address or "a datagram", target[:2], text)
        self.send(target, "/scorewire/fail", req, address, code, text, job)

    def _answer(self, message: Message, sender: Target) -> None:
        if message.address in REPLIES:
            # Another server, or an echo of ours: an answer would be answered for ever.
            log.info("ignored a reply address, %s, from %s", message.address, sender[:2])
            return
        req = request_id(message.args[0] if message.args else None)
        target = reply_target(message, sender)
        try:
            call = understand(message, target)
            ANSWERS[call.address](self, call)
        except Refused as error:
            code, text = error.code, str(error)
        except ValidationError as error:
            code, text = "bad-arguments", jobs.sentence(error, _SAID)
        except ValueError as error:
            code, text = "bad-input", str(error)
        except (OSError, sqlite3.Error) as error:
            log.exception("answering %s", message.address)
            code, text = "internal", f"the server could not do it: {error}"
        else:
            return
        self.fail(target, req, message.address, code, text)


@dataclass(slots=True)
class _Follower:
    """Tells one client, under one request id, what happens to a job."""

    face: Face
    target: Target
    req: int
    told: float = -math.inf  # when progress was last sent

    def __call__(self, event: Event) -> None:
        send, req = self.face.send, self.req
        match event:
            case Progress():
                now = asyncio.get_running_loop().time()
                if now - self.told < PROGRESS_GAP and event.fraction < 1:
                    return
                self.told = now
                eta = -1.0 if event.eta is None else event.eta
                figures = [(name, float(value)) for name, value in event.figures.items()]
                said = (req, event.id, event.fraction, event.stage, eta)
                send(self.target, "/scorewire/progress", *said, facts=figures)
            case Best():
                best = (req, event.id, event.score, event.preset, event.wav, event.step)
                send(self.target, "/scorewire/best", *best)
            case Done():
                self._done(event)
            case Cancelled():
                send(self.target, "/scorewire/cancelled", req, event.id)
            case Failed():
                entry = self.face.server.store.get(event.id)
                address = "" if entry is None else f"/scorewire/{entry.job.kind}"
                self.face.fail(self.target, req, address, event.code, event.reason, event.id)

    def _done(self, event: Done) -> None:
        """Each stem or suggestion first, for those that read no JSON; then where all is."""
        for index, stem in enumerate(_stems(event.result), start=1):
            named = (self.req, event.id, index, stem["prompt"], stem["wav"])
            self.face.send(self.target, "/scorewire/stem", *named)
        for index, one in enumerate(event.result.get("suggestions", ()), start=1):
            said = (self.req, event.id, index, one["prompt"], one["score"])
            self.face.send(self.target, "/scorewire/suggestion", *said)
        entry = self.face.server.store.get(event.id)
        path = "" if entry is None else jobs.result_path(entry.job, event.result)
        facts = _facts(event.result)
        self.face.send(self.target, "/scorewire/done", self.req, event.id, path, facts=facts)


# Answers, one a request.


def _ping(face: Face, call: Call) -> None:
    state = "busy" if face.server.busy else "idle"
    version = importlib.metadata.version("scorewire")
    face.send(call.target, "/scorewire/pong", call.req, version, state)


def _asks(kind: type[Job]) -> Callable[[Face, Call], None]:
    """The answer to a request whose arguments and options are the fields of a job."""

    def answer(face: Face, call: Call) -> None:
        _accept(face, call, kind.model_validate(_fields(face, call)))

    return answer


def _export(face: Face, call: Call) -> None:
    fields = _fields(face, call)
    formats = fields.pop("format").split(",")
    _accept(face, call, Export.model_validate(fields | {"formats": formats}))


def _cancel(face: Face, call: Call) -> None:
    entry = _find(face, call)
    if entry.state == "cancelled":
        face.send(call.target, "/scorewire/ok", call.req)
        return
    if not entry.live:
        raise Refused("ended", f"job {entry.job.id} has ended already: {entry.state}")

    async def cancel() -> None:
        if await face.server.cancel(entry.job.id):
            face.send(call.target, "/scorewire/ok", call.req)
        else:
            text = f"job {entry.job.id} does not run in this server, or is just ending"
            face.fail(call.target, call.req, call.address, "ended", text, entry.job.id)

    face.later(cancel())


def _stop(face: Face, call: Call) -> None:
    """End a recording and keep it; asked twice it is as good as asked once."""
    entry = _find(face, call)
    if not isinstance(entry.job, Record):
        raise Refused("no-job", f"job {entry.job.id} is no recording but {entry.job.kind}")
    if not face.server.stop(entry.job.id) and entry.state != "done":
        raise Refused("ended", f"recording {entry.job.id} does not run here: {entry.state}")
    face.send(call.target, "/scorewire/ok", call.req)


def _jobs(face: Face, call: Call) -> None:
    limit = call.options.get("limit", 20)
    if not 1 <= limit <= MAX_LISTED:
        raise Refused("bad-arguments", f"limit must be 1 .. {MAX_LISTED}, got {limit}")
    entries = face.server.store.list(limit=limit)
    for entry in entries:
        face.send(call.target, "/scorewire/jobs/item", call.req, *_line(entry))
    face.send(call.target, "/scorewire/jobs/end", call.req, len(entries))


def _job(face: Face, call: Call) -> None:
    entry = _find(face, call)
    facts = [("code", entry.code), ("reason", entry.reason)] if entry.code else []
    values = _line(entry)
    face.send(call.target, "/scorewire/job/state", call.req, *values, facts=facts)


def _subscribe(face: Face, call: Call) -> None:
    face.leases.take(call)


ANSWERS: dict[str, Callable[[Face, Call], None]] = {
    "/scorewire/ping": _ping,
    "/scorewire/patch": _asks(DesignPatch),
    "/scorewire/separate": _asks(Separate),
    **osc_hosts.ANSWERS,
    "/scorewire/suggest": _asks(Suggest),
    "/scorewire/render": _asks(RenderPreset),
    "/scorewire/export": _export,
    "/scorewire/vary": _asks(Vary),
    "/scorewire/morph": _asks(Morph),
    "/scorewire/edit": _asks(EditPreset),
    "/scorewire/record": _asks(Record),
    "/scorewire/record/stop": _stop,
    "/scorewire/cancel": _cancel,
    "/scorewire/jobs": _jobs,
    "/scorewire/job": _job,
    "/scorewire/subscribe": _subscribe,
    **osc_play.ANSWERS,
}


def _accept(face: Face, call: Call, job: Job) -> None:
    """Ack; then follow the job, or repeat how it ended when this is a repeated request."""
    try:
        job_id = face.server.submit(job, client=call.client, req=call.req)
    except jobs.QueueFull as error:
        raise Refused("queue-full", str(error)) from error
    face.send(call.target, "/scorewire/accepted", call.req, job_id)
    follower = _Follower(face, call.target, call.req)
    entry = face.server.store.get(job_id)
    event = None if entry is None else entry.last_event()
    if event is None:
        face.server.listen(job_id, (call.target, call.req), follower)
    else:
        follower(event)


def _fields(face: Face, call: Call) -> dict[str, Any]:
    """The fields of the job asked for: arguments by name, options by the field they set."""
    fields = {name: value for name, value in call.values.items() if name != "req"}
    options = {_FIELDS.get(name, name): value for name, value in call.options.items()}
    plugin = options.get("plugin", "")
    if plugin != Path(plugin).name:
        # A path would let whoever can send a datagram load code from anywhere.
        raise Refused("bad-arguments", f"plugin must be an installed file's name, got {plugin!r}")
    if call.address in ("/scorewire/patch", "/scorewire/separate", "/scorewire/edit"):
        options.setdefault("model", face.server.config.model)
    return {"id": jobs.new_id(), **fields, **options}


def _find(face: Face, call: Call) -> Entry:
    """The job named, or the newest one for `last`."""
    name = call.values["job"]
    newest = face.server.store.list(limit=1) if name == "last" else ()
    entry = newest[0] if newest else face.server.store.get(name)
    if entry is None:
        raise Refused("no-job", f"there is no job {name!r}")
    return entry


def _line(entry: Entry) -> tuple[Value, ...]:
    """A job in a list: id, kind, state, fraction, stage, path."""
    path = "" if entry.result is None else jobs.result_path(entry.job, entry.result)
    return entry.job.id, entry.job.kind, entry.state, entry.fraction, entry.stage, path


def _stems(result: dict[str, Any]) -> list[dict[str, str]]:
    stems = result.get("stems", [])
    return [s for s in stems if isinstance(s, dict) and {"prompt", "wav"} <= s.keys()]


def _facts(result: dict[str, Any]) -> list[tuple[str, Value]]:
    """The short scalars of a result, as name and value pairs."""
    return [(k, v) for k, v in result.items() if isinstance(v, int | float | str)]
