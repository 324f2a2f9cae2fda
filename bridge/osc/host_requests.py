"""Answer the OSC requests of a running DAW's own scripts."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge.files.names import slug
from bridge.hosts import ardour
from bridge.hosts.files import one_line
from bridge.hosts.layout import layout
from bridge.osc.addresses import Call, Refused
from bridge.osc.endpoint import OscEndpoint
from bridge.processes.background_threads import beside
from bridge.protocol import jobs, osc_wire
from bridge.protocol.events import Cancelled, Done, Event, Failed, Progress
from bridge.protocol.jobs import Separate
from bridge.service import file_access

log = logging.getLogger(__name__)

PROGRESS_GAP = 1.0  # seconds between two writings of how far a job is
NUDGES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between two calls to import: UDP may lose one


def _ardour_separate(endpoint: OscEndpoint, call: Call) -> None:
    """A region of Ardour: cut it out of its files, separate it, have the stems imported.

    A repeated request is answered by the file that is there already. Ardour sends from the port
    that it listens on, and takes who sends it a word for a control surface, which it then tells
    of every change: so to Ardour itself nothing is said but by files.
    """
    session = ardour.session_folder(call.values["session"])
    folder = session / ardour.FOLDER / str(call.req)
    if folder.exists():
        if not _from_ardour(call):
            endpoint.send(call.target, "/scorewire/ok", call.req)
        return
    try:
        region, job = _region_job(endpoint, call, folder)
        folder.mkdir(parents=True)
    except ValueError as error:
        why = jobs.sentence(error) if isinstance(error, ValidationError) else str(error)
        _refuse(endpoint, call, session, folder, why)
        if _from_ardour(call):
            return
        raise
    ardour.answer(folder, ardour.ANSWER, f"accepted\t{job.id}")
    endpoint.later(_begin(endpoint, call, region, job))


def _port(call: Call) -> int:
    """Where Ardour listens: the sender's port unless another one is named."""
    sender: int = call.target[1]
    return int(call.options.get("port", sender))


def _from_ardour(call: Call) -> bool:
    return bool(_port(call) == call.target[1])


def _region_job(endpoint: OscEndpoint, call: Call, folder: Path) -> tuple[ardour.Region, Separate]:
    """The region and the job, checked: all its files may be read, its folder written."""
    values, options = call.values, dict(call.options)
    action = options.pop("action", "")
    options.pop("port", None)
    if action and not ardour.ACTION.fullmatch(action):
        raise Refused("bad-arguments", f"action must be LuaAction/script-N, got {action!r}")
    if not 0 < _port(call) < 65536:
        raise Refused("bad-arguments", f"port must be 1 .. 65535, got {_port(call)}")
    region = ardour.Region(
        name=values["region"], sources=ardour.sources(values["sources"]), start=values["start"],
        length=values["length"], position=values["position"], rate=values["rate"],
    )  # fmt: skip
    fields: dict[str, Any] = {"id": jobs.new_id(), "out": str(folder), "prompts": values["prompts"]}
    fields |= {"start_samples": region.position, "tempo": ((0.0, values["tempo"]),)}
    options.setdefault("model", endpoint.server.config.model)
    file = folder / f"{slug(region.name, otherwise='region')}.wav"
    config, trusted = endpoint.server.config, endpoint.trusts(call)
    whole = Separate.model_validate({**fields, **options, "file": str(file)})
    job = file_access.bound(whole, config, trusted=trusted)
    for _, path in region.sources:
        copy = job.model_copy(update={"file": str(path)})
        file_access.check(copy, read=config.readable, write=config.writable)
    return region, job


def _refuse(endpoint: OscEndpoint, call: Call, session: Path, folder: Path, why: str) -> None:
    """Write the reason of a refusal where the action looks, in a session that may be written to."""
    config = endpoint.server.config
    writable = config.writable if endpoint.trusts(call) else config.open_writable
    if not writable or any(session.resolve().is_relative_to(w.resolve()) for w in writable):
        folder.mkdir(parents=True)
        ardour.answer(folder, ardour.ANSWER, f"refused\t{one_line(why)}")


async def _begin(endpoint: OscEndpoint, call: Call, region: ardour.Region, job: Separate) -> None:
    """Cut, which may take seconds, then submit; the action is told when the job has ended."""

    def ended(event: Event) -> None:
        match event:
            case Progress():
                left = "" if event.eta is None else f", {event.eta:.0f} s left"
                write_progress(f"{100 * event.fraction:.0f} %, {event.stage}{left}")
            case Done():
                try:
                    tell(ardour.import_list(layout(Path(event.result["manifest"]))))
                except ValueError as error:
                    tell(ardour.error_list(str(error)))
            case Failed():
                tell(ardour.error_list(event.reason))
            case Cancelled():
                tell(ardour.error_list("the job was cancelled"))

    last = -math.inf  # when progress was last written

    def write_progress(text: str) -> None:
        nonlocal last
        seconds = asyncio.get_running_loop().time()
        if seconds - last >= PROGRESS_GAP:
            last = seconds
            with suppress(OSError):  # the session was moved: the end says so
                ardour.answer(Path(job.out), ardour.PROGRESS, text)

    def tell(text: str) -> None:
        try:
            ardour.answer(Path(job.out), ardour.IMPORT, text)
        except OSError as error:  # the session was moved: others still want to hear of the job
            log.warning("Ardour cannot be told in %s: %s", job.out, error.strerror)
            return
        endpoint.later(_nudge(call, Path(job.out)))

    try:
        await beside(ardour.write_region, region, Path(job.file))
        trusted = endpoint.trusts(call)
        endpoint.server.submit(job, client=call.client, req=call.req, trusted=trusted)
    except (ValueError, OSError) as error:
        tell(ardour.error_list(str(error)))
        if not _from_ardour(call):
            endpoint.fail(call.target, call.req, call.address, "bad-input", str(error))
        return
    endpoint.server.listen(job.id, (call.target, call.req), ended)
    entry = endpoint.server.store.get(job.id)
    ahead = None if entry is None else endpoint.server.store.ahead(entry)
    write_progress(f"waits for {ahead} other job(s)" if ahead else "begins")
    if not _from_ardour(call):
        endpoint.send(call.target, "/scorewire/accepted", call.req, job.id)


async def _nudge(call: Call, folder: Path) -> None:
    """Fire the action "import stems" until it has taken the list: a datagram may be lost."""
    action = call.options.get("action", "")
    target = ("127.0.0.1", _port(call))
    for wait in NUDGES if action else ():
        await asyncio.sleep(wait)
        if not (folder / ardour.IMPORT).exists():
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(osc_wire.encode("/access_action", [action]), target)
    if action:
        log.info("Ardour has not imported %s; its action does when it is called", folder)


ANSWERS: dict[str, Callable[[OscEndpoint, Call], None]] = {
    "/scorewire/host/ardour/separate": _ardour_separate,
}
