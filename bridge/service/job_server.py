"""Accept jobs, run them on engines, record them in the ledger, pass their events on.

`serve` is a whole process: ledger, worker, OSC and HTTP together, until SIGINT or SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from pathlib import Path

from bridge.execution.base import Engine
from bridge.execution.ray import RayEngine
from bridge.execution.recording import RecordingEngine
from bridge.files import atomic_output
from bridge.files.write_terms import ORDINARY
from bridge.hosts import HOSTS
from bridge.hosts.files import whole
from bridge.processes.background_threads import beside
from bridge.protocol import jobs
from bridge.protocol.base import WritingJob
from bridge.protocol.cluster_lines import Cluster
from bridge.protocol.events import Best, Cancelled, Done, Event, Failed, Progress
from bridge.protocol.jobs import Job, Record
from bridge.protocol.kinds import kind_of, out_folder, result_path
from bridge.protocol.patch_jobs import DesignPatch
from bridge.service import choosing, file_access
from bridge.service.choosing import INBOX
from bridge.service.config import Config
from bridge.service.ledger import Entry, State, Store
from bridge.service.player_process import PlayerProcess
from bridge.service.previews import Previews
from presets import load
from presets.library import Library

log = logging.getLogger(__name__)

Deliver = Callable[[Event], None]

CLIENTS = 8  # that fill their queues at once
LEAVING = 3.0  # seconds for what a server that leaves waits for
SWEEPS, SWEEP_GAP = 6, 5.0  # a worker whose server has died leaves within seconds


class Server:
    """Accepts jobs, runs them on an engine, records them, and passes events to listeners.

        async with Server(config, store, engine) as server:
            job_id = server.submit(job, client="cli", req=1)
            entry = await server.wait(job_id)

    Faces (OSC, HTTP, commands) call `submit`, `cancel`, `listen`; they own no state of a job.
    """

    def __init__(
        self, config: Config, store: Store, engine: Engine, player: PlayerProcess | None = None
    ) -> None:
        self.config = config
        self.player = player  # where patches are played, when this server plays
        self.store = store
        self._engine = engine
        self._recordings = RecordingEngine()
        self.previews = Previews(config.worker, grace=config.grace)
        self._stack = AsyncExitStack()  # holds the engine open
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._unswept: dict[str, tuple[Path, bool]] = {}  # folders by job, and whether all goes
        self._turns: dict[str, str] = {}  # whose jobs they are
        self._untrusted: set[str] = set()  # jobs of OSC without the key
        self._inbox: set[str] = set()  # searches whose patches the library keeps
        self._listeners: dict[str | None, dict[Hashable, Deliver]] = {None: {}}

    async def __aenter__(self) -> Server:
        await self._stack.enter_async_context(self._engine)
        await self._stack.enter_async_context(self._recordings)
        await self._stack.enter_async_context(self.previews)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs."""
        return bool(self._lives)

    @property
    def cluster(self) -> Cluster | None:
        """How the cluster is on which jobs run; None where there is none."""
        return self._engine.cluster if isinstance(self._engine, RayEngine) else None

    # 1. accept

    def submit(
        self, job: Job, *, client: str, req: int, trusted: bool = True, turn: str | None = None
    ) -> str:
        """Take `job` and return its id; it runs when its turn comes.

        Clients have their turns, by the name `turn` (None: `client`). Who is not `trusted` has
        new files written, and only where `paths.bound` allows it.

        A repeated request (same client, same req, same content) returns the id it got before, as
        long as that job lives and for `Config.repeat` seconds after: a client on UDP may ask
        twice. Raises `ValueError` with one sentence when a file is wrong or the queue is full.
        """
        known = self.store.by_request(client, req)
        if known is not None and self._repeats(job, known):
            return known.job.id
        job = choosing.around_candidate(job, self.store)
        inbox = isinstance(job, DesignPatch) and not job.out
        if inbox:
            job = job.model_copy(update={"out": str(self.config.results / job.id)})
        job = file_access.bound(job, self.config, trusted=trusted)
        file_access.check(job, read=self.config.readable, write=self.config.writable)
        turn = client if turn is None else turn
        self._check_queue(turn, trusted)
        self.store.add(job, client=client, request=req)
        if inbox:
            self._inbox.add(job.id)
        engine = self._recordings if isinstance(job, Record) else self._engine
        life = self._live(job, engine.submit(job, client=turn))
        self._turns[job.id] = turn
        if not trusted:
            self._untrusted.add(job.id)
        self._lives[job.id] = asyncio.create_task(life, name=f"job {job.id}")
        return job.id

    def _check_queue(self, turn: str, trusted: bool) -> None:
        """Raise `QueueFull` when this client, or all of them, have as many jobs as they may.

        Who has no key can call himself anything: all such clients count as one.
        """
        own = {name for name in self._lives if (name in self._untrusted) != trusted}
        of_client = sum(self._turns[name] == turn for name in own) if trusted else len(own)
        most = CLIENTS * self.config.queue
        if of_client >= self.config.queue:
            raise jobs.QueueFull(f"the queue is full: {of_client} jobs wait or run already")
        if len(own) >= most:
            raise jobs.QueueFull(f"the queue is full: {most} jobs of all clients wait or run")

    def same_request(self, job: Job, known: Entry) -> bool:
        """Whether `job` asks for what a known one asked for, as that was understood then."""
        with suppress(ValueError):  # no search was done then
            job = choosing.around_candidate(job, self.store, before=known.created)
        return jobs.same_request(job, known.job)

    def _repeats(self, job: Job, known: Entry) -> bool:
        if not self.same_request(job, known):
            return False
        return known.ended is None or time.time() - known.ended < self.config.repeat

    # 2. run, write down, tell

    async def _live(self, job: Job, events: AsyncGenerator[Event, None]) -> None:
        """Run one job from queue to end. The ledger gets each event first, then the listeners."""
        began = False
        try:
            async with aclosing(events):
                async for event in events:
                    began = began or isinstance(event, Progress | Best)
                    slot = job.slot if isinstance(job, DesignPatch) else None
                    if slot and self.player and isinstance(event, Best | Done):
                        preset = event.preset if isinstance(event, Best) else event.result["preset"]
                        self.player.put(slot, preset)
                    if isinstance(event, Done):
                        if slot or job.id in self._inbox:
                            event = await beside(self._shelve, slot, event)
                        host = getattr(job, "host", None)
                        if isinstance(event, Done) and host:
                            event = await beside(place_stems, job, host, event)
                        if isinstance(event, Done):
                            event = _publish(job, event)
                    if isinstance(event, Cancelled | Failed):
                        cancelled = isinstance(event, Cancelled) and kind_of(job).resumes
                        self.left(job, everything=cancelled and began)
                        await self.sweep()
                    self._write_down(event)
                    self._tell(event)
        except asyncio.CancelledError:  # the server leaves, and does not wait any more
            reason = "the server stopped before the job ended"
            lost = Failed(id=job.id, code="interrupted", reason=reason)
            with suppress(sqlite3.Error):  # `recover` finds it all the same
                self._write_down(lost)
            self._tell(lost)
        except sqlite3.Error as error:
            log.exception("the ledger failed under job %s", job.id)
            reason = f"the job ledger could not be written: {error}"
            code = atomic_output.code_of(error, "internal")
            self._tell(Failed(id=job.id, code=code, reason=reason))
        finally:
            self._lives.pop(job.id, None)
            self._turns.pop(job.id, None)
            self._untrusted.discard(job.id)
            self._inbox.discard(job.id)
            self._listeners.pop(job.id, None)

    def left(self, job: Job, *, everything: bool = False) -> None:
        """Have `sweep` look after the folder of a job that did not end by itself.

        Of a search for the inbox nothing stays: who asks once more gets another folder.
        """
        folder = out_folder(job) if kind_of(job).work else None  # a recorder leaves nothing hidden
        if folder is not None:
            everything = everything or folder == self._inbox_folder(job)
            self._unswept[job.id] = folder, everything

    def _inbox_folder(self, job: Job) -> Path | None:
        """Where a search writes whose patches the library keeps."""
        return self.config.results / job.id if isinstance(job, DesignPatch) else None

    async def sweep(self) -> None:
        """Finish or drop what dead workers left in the folders of jobs that have ended.

        What a crashed job that resumes has finished stays for the next one; a cancelled one leaves
        none.
        """
        for job_id, (folder, everything) in list(self._unswept.items()):
            try:
                idle = await beside(atomic_output.sweep, folder, unfinished=everything)
            except OSError as error:
                log.warning("%s cannot be swept: %s", folder, error)
                idle = True
            if idle:
                self._unswept.pop(job_id, None)

    def _shelve(self, slot: int | None, done: Done) -> Done | Failed:
        """Keep finished patches in the library: all of them, tagged `INBOX`, where nobody named a
        folder, else the best; the best goes into its slot.
        """
        patches = list(done.result.get("patches", ()))
        inbox = done.id in self._inbox
        try:
            library = Library(self.config.library)
            kept = []
            for made in patches if inbox else [done.result]:
                preset = load(made["preset"])
                tags = (*preset.tags, INBOX) if inbox else preset.tags
                preset = preset.model_copy(update={"tags": tags})
                kept.append(str(library.add(preset, preview=Path(made["wav"])).path))
            if slot:
                library.assign(slot, Path(kept[0]).name)
        except (ValueError, OSError) as error:
            where = f"in slot {slot}" if slot else "in the library"
            reason = f"the patch is there, but could not be kept {where}: {error}"
            code = atomic_output.code_of(error, "bad-output")
            return Failed(id=done.id, code=code, reason=reason)
        result = done.result | ({"library": kept[0]} if kept else {})
        if inbox:
            patches = [m | {"library": path} for m, path in zip(patches, kept, strict=True)]
            result |= {"patches": patches}
        return done.model_copy(update={"result": result})

    def _write_down(self, event: Event) -> None:
        match event:
            case Progress():
                self.store.progress(event.id, event.fraction, event.stage)
            case Done():
                self.store.finish(event.id, "done", result=event.result)
            case Cancelled():
                self.store.finish(event.id, "cancelled")
            case Failed():
                state: State = "interrupted" if event.code == "interrupted" else "failed"
                self.store.finish(event.id, state, code=event.code, reason=event.reason)
            case Best():
                pass

    def _tell(self, event: Event) -> None:
        everyone = [*self._listeners.get(event.id, {}).values(), *self._listeners[None].values()]
        for deliver in everyone:
            deliver(event)

    # 3. what faces ask

    def listen(self, job_id: str | None, key: Hashable, deliver: Deliver) -> None:
        """Call `deliver` with each event of the job (of every job when None), until it has ended.

        A second `listen` under the same `key` replaces the first: a repeated request is told once.
        """
        if job_id is None or job_id in self._lives:
            self._listeners.setdefault(job_id, {})[key] = deliver

    def ignore(self, job_id: str | None, key: Hashable) -> None:
        """Undo `listen`."""
        self._listeners.get(job_id, {}).pop(key, None)

    async def cancel(self, job_id: str) -> bool:
        """Ask a job to stop; False when it is not running or waiting here."""
        return await self._recordings.cancel(job_id) or await self._engine.cancel(job_id)

    def stop(self, job_id: str) -> bool:
        """End a recording and keep it; False when no such recording runs here."""
        return self._recordings.stop(job_id)

    async def put_in_slots(self, presets: Sequence[str]) -> Mapping[int, Path]:
        """Put presets of the library into its slots 1, 2, ... and into those of the player, which
        is started where this server does not play yet; what the slots of the library then hold.

        Raises `ValueError` for a preset that the library does not have.
        """
        library = Library(self.config.library)
        slots = await beside(_assigned, library, presets)
        if self.player is None:
            self.player = PlayerProcess(self.config.player, library)
            await self._stack.enter_async_context(self.player)  # it loads what is there
        else:
            for slot in range(1, len(presets) + 1):
                self.player.put(slot, slots[slot])
        return slots

    async def wait(self, job_id: str) -> Entry:
        """Wait for the end of a job and return its line in the ledger."""
        if job_id in self._lives:
            await asyncio.wait([self._lives[job_id]])
        entry = self.store.get(job_id)
        if entry is None:
            raise ValueError(f"there is no job {job_id!r}")
        return entry

    async def close(self) -> None:
        """Leave the engine, which ends what still runs there; ledger and listeners are told.

        What then still blocks, a DAW or a library that another process holds, is left behind.
        """
        self.store.hurry(LEAVING)
        await self._stack.aclose()
        if self._lives:
            await asyncio.wait(self._lives.values(), timeout=LEAVING)
        for life in list(self._lives.values()):
            life.cancel()
        if self._lives:
            await asyncio.wait(self._lives.values())
        await self.sweep()  # once more: only now no worker lives


@asynccontextmanager
async def _sweeping(server: Server, lost: Sequence[str]) -> AsyncIterator[None]:
    """Sweep the folders of interrupted jobs, until no worker of an earlier server lives there."""
    for job_id in lost:
        entry = server.store.get(job_id)
        if entry is not None:
            server.left(entry.job)

    async def keep_on() -> None:
        for _ in range(SWEEPS):
            await server.sweep()
            await asyncio.sleep(SWEEP_GAP)

    sweeping = asyncio.create_task(keep_on(), name="sweep") if lost else None
    try:
        yield
    finally:
        if sweeping is not None:
            sweeping.cancel()
            await asyncio.wait([sweeping])


def _assigned(library: Library, presets: Sequence[str]) -> Mapping[int, Path]:
    """The slots of the library, with presets put into 1, 2, ... first: all of them or none."""
    files = [library.get(called).path.name for called in presets]
    for slot, file in enumerate(files, start=1):
        library.assign(slot, file)
    return library.slots()


def place_stems(job: Job, host: str, done: Done) -> Done | Failed:
    """Put finished stems on the tracks of the host that the job names: of each set that it made."""
    terms = job.terms if isinstance(job, WritingJob) else ORDINARY
    manifests = [made["manifest"] for made in done.result.get("sets", [done.result])]
    texts, files = [], []
    for manifest in map(Path, manifests):
        place = Path(getattr(job, "out")) if len(manifests) == 1 else manifest.parent  # noqa: B009
        try:
            placed = HOSTS[host].place_audio(manifest, place, terms)
        except (ValueError, OSError) as error:
            reason = f"the stems are in {place}, but {host} did not take them: {error}"
            code = atomic_output.code_of(error, "not-placed")
            return Failed(id=done.id, code=code, reason=reason)
        texts.append(placed.text)
        files += [str(file) for file in placed.files]
    result = {"placed": {"host": host, "text": "; ".join(texts), "files": files}}
    return done.model_copy(update={"result": done.result | result})


def _publish(job: Job, done: Done) -> Done | Failed:
    """Write the whole result beside the files it names; OSC then carries only its path."""
    if not (isinstance(job, WritingJob) and kind_of(job).result):
        return done
    path = Path(result_path(job, done.result))
    text = json.dumps(done.result, indent=1, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path, job.terms) as partial:
            partial.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        reason = f"the result could not be written to {path}: {why}"
        return Failed(id=job.id, code=atomic_output.code_of(error, "bad-output"), reason=reason)
    return done
