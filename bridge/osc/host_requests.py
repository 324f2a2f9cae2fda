"""Answer the OSC requests of a running DAW's own scripts."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from bridge.protocol.multitrack_jobs import Accompany
from bridge.protocol.stem_classes import given_by_name
from bridge.service import file_access

log = logging.getLogger(__name__)

PROGRESS_GAP = 1.0  # seconds between two writings of how far a job is
NUDGES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between two calls to import: UDP may lose one


@dataclass(frozen=True, slots=True)
class _Cut:
    """A region, the file that its sound goes to, and from when to when in the session."""

    region: ardour.Region
    file: Path
    span: tuple[int, int]


_Prepare = Callable[[OscEndpoint, Call, Path], tuple[list[_Cut], Separate | Accompany]]


def _ardour(prepare: _Prepare) -> Callable[[OscEndpoint, Call], None]:
    """Answer what an action of Ardour asks: cut regions out of their files, do the job, have the
    stems imported. `prepare` says which regions and which job, all checked.

    A repeated request is answered by the file that is there already. Ardour sends from the port
    that it listens on, and takes who sends it a word for a control surface, which it then tells
    of every change: so to Ardour itself nothing is said but by files.
    """

    def answer(endpoint: OscEndpoint, call: Call) -> None:
        session = ardour.session_folder(call.values["session"])
        folder = session / ardour.FOLDER / str(call.req)
        if folder.exists():
            if not _from_ardour(call):
                endpoint.send(call.target, "/scorewire/ok", call.req)
            return
        try:
            cuts, job = prepare(endpoint, call, folder)
            folder.mkdir(parents=True)
        except ValueError as error:
            why = jobs.sentence(error) if isinstance(error, ValidationError) else str(error)
            _refuse(endpoint, call, session, folder, why)
            if _from_ardour(call):
                return
            raise
        ardour.answer(folder, ardour.ANSWER, f"accepted\t{job.id}")
        endpoint.later(_begin(endpoint, call, cuts, job))

    return answer


def _port(call: Call) -> int:
    """Where Ardour listens: the sender's port unless another one is named."""
    sender: int = call.target[1]
    return int(call.options.get("port", sender))


def _from_ardour(call: Call) -> bool:
    return bool(_port(call) == call.target[1])


def _options(call: Call) -> dict[str, Any]:
    """The options that are fields of the job; those for the way back are checked."""
    options = dict(call.options)
    action = options.pop("action", "")
    options.pop("port", None)
    if action and not ardour.ACTION.fullmatch(action):
        raise Refused("bad-arguments", f"action must be LuaAction/script-N, got {action!r}")
    if not 0 < _port(call) < 65536:
        raise Refused("bad-arguments", f"port must be 1 .. 65535, got {_port(call)}")
    return options


def _separation(endpoint: OscEndpoint, call: Call, folder: Path) -> tuple[list[_Cut], Separate]:
    """The region and the job, checked: all its files may be read, its folder written."""
    values, options = call.values, _options(call)
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
    return [_Cut(region, file, region.span)], job


def _accompaniment(endpoint: OscEndpoint, call: Call, folder: Path) -> tuple[list[_Cut], Accompany]:
    """The regions, from the first one's begin to the last one's end, and the job; checked."""
    values, options = call.values, _options(call)
    regions = [ardour.track_region(text, values["rate"]) for text in values["regions"]]
    if not regions:
        raise ValueError("regions must be at least 1, got none")
    given = given_by_name([(region.name, str(at)) for at, region in enumerate(regions)])
    spans = [region.span for region in regions]
    span = min(begin for begin, _ in spans), max(end for _, end in spans)
    cuts = {
        stem: _Cut(regions[int(at)], folder / f"given-{stem}.wav", span)
        for stem, at in given.items()
    }
    fields: dict[str, Any] = {"id": jobs.new_id(), "out": str(folder), **options}
    fields |= {"given": {stem: str(cut.file) for stem, cut in cuts.items()}}
    fields |= {"tempo": ((0.0, values["tempo"]),)}
    config, trusted = endpoint.server.config, endpoint.trusts(call)
    job = file_access.bound(Accompany.model_validate(fields), config, trusted=trusted)
    for stem, cut in cuts.items():
        for _, path in cut.region.sources:
            copy = job.model_copy(update={"given": {stem: str(path)}})
            file_access.check(copy, read=config.readable, write=config.writable)
    return list(cuts.values()), job


def _refuse(endpoint: OscEndpoint, call: Call, session: Path, folder: Path, why: str) -> None:
    """Write the reason of a refusal where the action looks, in a session that may be written to."""
    config = endpoint.server.config
    writable = config.writable if endpoint.trusts(call) else config.open_writable
    if not writable or any(session.resolve().is_relative_to(w.resolve()) for w in writable):
        folder.mkdir(parents=True)
        ardour.answer(folder, ardour.ANSWER, f"refused\t{one_line(why)}")


async def _begin(
    endpoint: OscEndpoint, call: Call, cuts: Sequence[_Cut], job: Separate | Accompany
) -> None:
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
        for cut in cuts:
            await beside(ardour.write_region, cut.region, cut.file, cut.span)
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
    "/scorewire/host/ardour/separate": _ardour(_separation),
    "/scorewire/host/ardour/accompany": _ardour(_accompaniment),
}
