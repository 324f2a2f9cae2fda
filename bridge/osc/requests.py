"""Turn OSC requests into jobs: the table of handlers, one function an address."""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bridge.osc import datagrams, host_requests, player_requests
from bridge.osc.addresses import Call, Refused
from bridge.osc.endpoint import PORTS_TRIED, JobFollower, OscEndpoint, _ahead
from bridge.osc.subscriptions import Subscriptions
from bridge.protocol import jobs
from bridge.protocol.jobs import Job, Record
from bridge.protocol.kinds import KINDS, result_path
from bridge.protocol.osc_wire import Value
from bridge.protocol.patch_requests import Keep
from bridge.service import choosing, file_access
from bridge.service.job_server import Server
from bridge.service.ledger import Entry
from presets.library import Library

MAX_LISTED = 200


@asynccontextmanager
async def serve_osc(server: Server) -> AsyncIterator[OscEndpoint]:
    """Serve OSC for `server` while inside; yields the face, which knows its port."""
    host, first = server.config.osc_host, server.config.osc_port
    loop = asyncio.get_running_loop()
    for port in [0] if first == 0 else range(first, min(first + PORTS_TRIED, 65536)):
        try:
            own = datagrams.bound(host, port)
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    else:
        raise OSError(
            errno.EADDRINUSE, f"ports {first} to {port} of {host} are all taken; set osc_port"
        )
    _, endpoint = await loop.create_datagram_endpoint(
        lambda: OscEndpoint(server, own, answers=ANSWERS), sock=own
    )
    endpoint.subscriptions = Subscriptions(endpoint)
    try:
        endpoint.port = own.getsockname()[1]
        yield endpoint
    finally:
        endpoint.close()


def _ping(endpoint: OscEndpoint, call: Call) -> None:
    state = "busy" if endpoint.server.busy else "idle"
    version = importlib.metadata.version("scorewire")
    endpoint.send(call.target, "/scorewire/pong", call.req, version, state)


def _job_request(kind: type[Job]) -> Callable[[OscEndpoint, Call], None]:
    """The answer to a request whose arguments and options are the fields of a job."""

    def answer(endpoint: OscEndpoint, call: Call) -> None:
        _accept(endpoint, call, kind.model_validate(_fields(endpoint, call, kind)))

    return answer


def _keep(endpoint: OscEndpoint, call: Call) -> None:
    """Keep a patch of a search, the newest unless one is named."""
    fields = {name: value for name, value in call.values.items() if name != "req"}
    asked = Keep.model_validate(fields | call.options)
    server = endpoint.server
    library = Library(server.config.library, patience=player_requests.PATIENCE)
    kept = choosing.keep(server.store, library, asked)
    told = (call.req, asked.number, kept.name, str(kept.path))
    endpoint.send(call.target, "/scorewire/kept", *told)


def _cancel(endpoint: OscEndpoint, call: Call) -> None:
    entry = _find(endpoint, call)
    if entry.state == "cancelled":
        endpoint.send(call.target, "/scorewire/ok", call.req)
        return
    if not entry.live:
        raise Refused("ended", f"job {entry.job.id} has ended already: {entry.state}")

    async def cancel() -> None:
        if await endpoint.server.cancel(entry.job.id):
            endpoint.send(call.target, "/scorewire/ok", call.req)
        else:
            text = f"job {entry.job.id} does not run in this server, or is just ending"
            endpoint.fail(call.target, call.req, call.address, "ended", text, entry.job.id)

    endpoint.later(cancel())


def _stop(endpoint: OscEndpoint, call: Call) -> None:
    """End a recording and keep it; asked twice it is as good as asked once."""
    entry = _find(endpoint, call)
    if not isinstance(entry.job, Record):
        raise Refused("no-job", f"job {entry.job.id} is no recording but {entry.job.kind}")
    if not endpoint.server.stop(entry.job.id) and entry.state != "done":
        raise Refused("ended", f"recording {entry.job.id} does not run here: {entry.state}")
    endpoint.send(call.target, "/scorewire/ok", call.req)


def _jobs(endpoint: OscEndpoint, call: Call) -> None:
    limit = call.options.get("limit", 20)
    if not 1 <= limit <= MAX_LISTED:
        raise Refused("bad-arguments", f"limit must be 1 .. {MAX_LISTED}, got {limit}")
    entries = endpoint.server.store.list(limit=limit)
    for entry in entries:
        line, facts = _line(entry), _ahead(endpoint, entry)
        endpoint.send(call.target, "/scorewire/jobs/item", call.req, *line, facts=facts)
    endpoint.send(call.target, "/scorewire/jobs/end", call.req, len(entries))


def _job(endpoint: OscEndpoint, call: Call) -> None:
    entry = _find(endpoint, call)
    facts = _ahead(endpoint, entry)
    facts += [("code", entry.code), ("reason", entry.reason)] if entry.code else []
    values = _line(entry)
    endpoint.send(call.target, "/scorewire/job/state", call.req, *values, facts=facts)


def _subscribe(endpoint: OscEndpoint, call: Call) -> None:
    endpoint.subscriptions.take(call)


ANSWERS: dict[str, Callable[[OscEndpoint, Call], None]] = {
    "/scorewire/ping": _ping,
    **{f"/scorewire/{kind.name}": _job_request(kind.model) for kind in KINDS.values() if kind.osc},
    **host_requests.ANSWERS,
    "/scorewire/keep": _keep,
    "/scorewire/record/stop": _stop,
    "/scorewire/cancel": _cancel,
    "/scorewire/jobs": _jobs,
    "/scorewire/job": _job,
    "/scorewire/subscribe": _subscribe,
    **player_requests.ANSWERS,
}


def _accept(endpoint: OscEndpoint, call: Call, job: Job) -> None:
    """Ack; then follow the job, or repeat how it ended when this is a repeated request."""
    try:
        job_id = endpoint.server.submit(
            job, client=call.client, req=call.req, trusted=endpoint.trusts(call)
        )
    except jobs.QueueFull as error:
        raise Refused("queue-full", str(error)) from error
    except file_access.NeedsKey as error:
        raise Refused("needs-key", str(error)) from error
    entry = endpoint.server.store.get(job_id)
    facts = [] if entry is None else _ahead(endpoint, entry)
    endpoint.send(call.target, "/scorewire/accepted", call.req, job_id, facts=facts)
    follower = JobFollower(endpoint, call.target, call.req)
    event = None if entry is None else entry.last_event()
    if event is None:
        endpoint.server.listen(job_id, (call.target, call.req), follower)
    else:
        follower(event)


def _fields(endpoint: OscEndpoint, call: Call, kind: type[Job]) -> dict[str, Any]:
    """The fields of the job asked for: arguments and options by name, and the server's model."""
    fields = {name: value for name, value in call.values.items() if name != "req"}
    options = dict(call.options)
    plugin = options.get("plugin", "")
    if plugin != Path(plugin).name:
        # A path would let whoever can send a datagram load code from anywhere.
        raise Refused("bad-arguments", f"plugin must be an installed file's name, got {plugin!r}")
    if "model" in kind.model_fields:
        options.setdefault("model", endpoint.server.config.model)
    return {"id": jobs.new_id(), **fields, **options}


def _find(endpoint: OscEndpoint, call: Call) -> Entry:
    """The job named, or the newest one for `last`."""
    name = call.values["job"]
    newest = endpoint.server.store.list(limit=1) if name == "last" else ()
    entry = newest[0] if newest else endpoint.server.store.get(name)
    if entry is None:
        raise Refused("no-job", f"there is no job {name!r}")
    return entry


def _line(entry: Entry) -> tuple[Value, ...]:
    """A job in a list: id, kind, state, fraction, stage, path."""
    path = "" if entry.result is None else result_path(entry.job, entry.result)
    return entry.job.id, entry.job.kind, entry.state, entry.fraction, entry.stage, path
