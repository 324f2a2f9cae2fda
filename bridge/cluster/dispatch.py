"""Hand jobs to workers, whole or in parts, and once more when a machine dies.

Where workers run, and where again when one has died, is Ray's business, as are memory and moving
files. Ours is which job comes next, that clients have their turns, and what a job goes on from.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from bridge.cluster.landing import Landing
from bridge.cluster.parcels import Parcel, Piece, pack
from bridge.cluster.worker_host import WorkerHost
from bridge.execution.fair_queue import FairQueue
from bridge.files import atomic_output
from bridge.protocol.cluster_lines import Cluster, Submit
from bridge.protocol.events import Cancelled, Done, Event, Failed, Progress, event_adapter
from bridge.protocol.jobs import Evaluate, Job, Part, Separate
from bridge.protocol.kinds import files_read, kind_of
from bridge.protocol.patch_jobs import DesignPatch

log = logging.getLogger(__name__)

LOOK = 2.0  # seconds between two looks at the machines
ANSWER = 20.0  # seconds in which the cluster answers, or is taken to be gone
LEAVING = 3.0  # seconds for workers to leave
DEATHS = 5  # machines that may die under one job
WORTH = 2 * 2**20  # bytes of a recording that is worth a second machine
MOST_PARTS = 1000
DONE_IN_PARTS = 0.94  # of a job, when its parts have ended


class ClusterGone(Exception):
    """The cluster does not answer any more."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an engine asks of its workers: how many (0: one a GPU, and one on each machine without),
    seconds of grace and stall, threads of each (0: a core each), the command that starts one (():
    the machine's own Python).
    """

    workers: int = 0
    grace: float = 10.0
    stall: float = 0.0
    threads: int = 0
    command: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class _Submitted:
    """A job: where its files come to lie, what waits or runs of it, how far its parts are."""

    job: Job
    client: str
    landing: Landing
    inputs: list[Parcel]
    runs: list[_Run] = field(default_factory=list)
    fraction: float = 0.0  # as last said
    fractions: dict[str, float] = field(default_factory=dict)  # of its parts
    cancelled: bool = False
    ended: bool = False


@dataclass(slots=True, eq=False)
class _Run:
    """What one worker does: a job, or a part of it."""

    line: Job
    of: _Submitted
    host: Any = None  # the actor that is at it
    deaths: int = 0


class Dispatcher:
    """Runs jobs on the workers of the cluster that Ray is connected to.

    `emit` is told every event, in the order of each job.
    """

    def __init__(self, settings: Settings, emit: Callable[[Event | Cluster], None]) -> None:
        self._settings, self._emit = settings, emit
        self._queue: FairQueue[_Run] = FairQueue()
        self._waiting = asyncio.Semaphore(0)  # as many as runs were queued
        self._jobs: dict[str, _Submitted] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._begun = {True: 0, False: 0}  # workers with a GPU, and without
        self._hosts: dict[int, Any] = {}
        self._ready = 0
        self._machines = 0
        self._problems: dict[int, str] = {}
        self._said: Cluster | None = None

    # 1. jobs

    async def submit(self, asked: Submit) -> None:
        """Queue a job, in parts where that makes it faster. Told twice, it is done once."""
        job = asked.job
        if job.id in self._jobs:
            return
        landing = Landing(job)
        try:
            landing.__enter__()
            files = _inputs(job)
            inputs = await asyncio.to_thread(_packed, files, keep=True) if files else []
        except (ValueError, OSError) as error:
            landing.__exit__(type(error), error, error.__traceback__)
            code = atomic_output.code_of(error, "bad-input")
            self._emit(Failed(id=job.id, code=code, reason=str(error)))
            return
        here = self._jobs[job.id] = _Submitted(job, asked.client, landing, inputs)
        count = min(self._ready, _most_parts(job))
        if count > 1:
            for index in range(count):
                part = Part(id=f"{job.id}.{index}", job=job, index=index, of=count)
                self._put(_Run(part, here))
        else:
            self._put(_Run(job, here))
        if not self._ready:
            self._emit(Progress(id=job.id, fraction=0, stage="waiting for a machine"))

    async def cancel(self, job_id: str) -> None:
        """Stop a job: at once what waits, at its next step what runs."""
        here = self._jobs.get(job_id)
        if here is None or here.cancelled:
            return
        here.cancelled = True
        await self._stop(here)

    async def _stop(self, here: _Submitted) -> None:
        """Stop all runs of a job; the last of them ends it."""
        for run in list(here.runs):
            if self._queue.remove(run):
                here.runs.remove(run)
            elif run.host is not None:
                run.host.cancel.remote(run.line.id)
        if not here.runs:
            self._end(here, Cancelled(id=here.job.id))

    def _put(self, run: _Run, *, first: bool = False) -> None:
        if run not in run.of.runs:
            run.of.runs.append(run)
        self._queue.put(run.of.client, run, first=first)
        self._waiting.release()

    def _end(self, here: _Submitted, event: Done | Failed | Cancelled) -> None:
        """Publish what a job has made, or drop it, and say how it ended."""
        if here.ended:
            return
        here.ended = True
        self._jobs.pop(here.job.id, None)
        crashed = isinstance(event, Failed) and event.code in ("crashed", "stalled", "interrupted")
        here.landing.kept = crashed
        error = None if isinstance(event, Done) else RuntimeError(event.kind)
        try:
            here.landing.__exit__(None if error is None else type(error), error, None)
        except (ValueError, OSError) as problem:
            code = atomic_output.code_of(problem, "bad-output")
            event = Failed(id=here.job.id, code=code, reason=str(problem))
        self._emit(event)

    # 2. workers

    async def watch(self) -> None:
        """Have as many workers as there is room for, and tell how it stands.

        Raises `ClusterGone`.
        """
        try:
            while True:
                async with asyncio.timeout(ANSWER):
                    nodes = await asyncio.to_thread(ray.nodes)
                alive = [node["Resources"] for node in nodes if node["Alive"]]
                self._machines = len(alive)
                gpus = sum(int(resources.get("GPU", 0)) for resources in alive)
                others = sum(not resources.get("GPU") for resources in alive)
                self._have_workers(gpus, others)
                self._tell()
                for task in self._workers:
                    if task.done():
                        task.result()  # raises what ended it
                await asyncio.sleep(LOOK)
        except (TimeoutError, RayError, ConnectionError) as error:
            raise ClusterGone(str(error) or "it does not answer") from error

    def _have_workers(self, gpus: int, others: int) -> None:
        """Begin the workers that are missing: one a GPU, and one on each of the `others`, or as
        many as the settings say.
        """
        if most := self._settings.workers:
            gpus = min(gpus, most)
            others = most - gpus
        for gpu, wanted in ((True, gpus), (False, others)):
            while self._begun[gpu] < wanted and len(self._workers) < (most or gpus + others):
                number = len(self._workers)
                self._begun[gpu] += 1
                worker = self._serve(number, gpu=gpu)
                self._workers.add(asyncio.create_task(worker, name=f"worker {number}"))

    async def close(self) -> None:
        """Stop what runs, and have the workers leave their machines as they were."""
        for task in self._workers:
            task.cancel()
        leaving = [asyncio.ensure_future(host.close.remote()) for host in self._hosts.values()]
        if leaving:
            await asyncio.wait(leaving, timeout=LEAVING)

    def _tell(self) -> None:
        problem = next(iter(self._problems.values()), "")
        state = Cluster(
            machines=self._machines,
            workers=self._ready,
            waiting=len(self._queue),
            problem=problem,
        )
        if state != self._said:
            self._said = state
            self._emit(state)

    async def _serve(self, number: int, *, gpu: bool) -> None:
        """One worker: where Ray places it, and again where it places it when that machine dies."""
        while True:
            host = self._host(gpu=gpu)
            self._hosts[number] = host
            try:
                while True:
                    await self._until_ready(number, host)
                    await self._work(host)
            except RayError as error:  # it could not begin: another one may
                log.warning("a worker could not begin: %s", str(error).strip().rpartition("\n")[2])
                await asyncio.sleep(LOOK)

    def _host(self, *, gpu: bool) -> Any:
        """A new actor; Ray chooses its machine."""
        settings = self._settings
        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1 if gpu else 0, "max_restarts": -1}
        options |= {"max_concurrency": 8, "scheduling_strategy": "SPREAD"}
        return (
            ray.remote(WorkerHost)
            .options(**options)
            .remote(settings.grace, settings.stall, settings.threads, settings.command)
        )

    async def _work(self, host: Any) -> None:
        """Have a worker do one run after the other, until it dies."""
        self._ready += 1
        self._tell()
        try:
            while await self._run(host, await self._next()):
                pass
        finally:
            self._ready -= 1
            self._tell()

    async def _until_ready(self, number: int, host: Any) -> None:
        """Wait until Ray has (again) a place for a worker, and its code is ours."""
        own = metadata.version("scorewire")
        while True:
            there = await host.ready.options(max_task_retries=-1).remote()
            if there["version"] == own:
                self._problems.pop(number, None)
                return
            self._problems[number] = (
                f"{there['machine']} has Scorewire {there['version']}, the server {own}: "
                "install the same one, and restart the machine's Ray"
            )
            self._tell()
            await asyncio.sleep(ANSWER)

    async def _next(self) -> _Run:
        while True:
            await self._waiting.acquire()
            run = self._queue.take()
            if run is not None:
                return run

    async def _run(self, host: Any, run: _Run) -> bool:
        """Have a worker do a run; False when it died of it, or before: another one does it then."""
        here, begun = run.of, False
        if here.ended:
            return True
        run.host = host
        try:
            known = await asyncio.to_thread(_packed, here.landing.known(), keep=False)
            stream = host.run.options(num_returns="streaming").remote(
                run.line.model_dump_json(), [*here.inputs, *known]
            )
            if here.cancelled:
                host.cancel.remote(run.line.id)
            async for reference in stream:
                message = await reference
                begun = True
                if here.ended:  # another part of it failed: nothing of this one counts
                    continue
                if isinstance(message, Piece):
                    await asyncio.to_thread(here.landing.receive, message, run.line.id)
                else:
                    await self._hear(
                        run, event_adapter.validate_json(here.landing.renamed(message))
                    )
        except RayTaskError as error:  # of our code there
            await self._fail(run, "crashed", f"a machine failed: {error.cause}")
        except RayError as error:
            log.warning("a machine died under %s: %s", run.line.id, str(error).partition("\n")[0])
            self._again(run, begun=begun)
            return False
        except (ValueError, OSError) as error:  # of a file here
            host.cancel.remote(run.line.id)
            await self._fail(run, atomic_output.code_of(error, "bad-output"), str(error))
        finally:
            run.host = None
        return True

    def _again(self, run: _Run, *, begun: bool) -> None:
        here, run.host = run.of, None
        run.deaths += begun
        if here.cancelled or here.ended:
            here.runs.remove(run)
            if not here.runs:
                self._end(here, Cancelled(id=here.job.id))
        elif run.deaths >= DEATHS:
            here.runs.remove(run)
            reason = f"{run.deaths} machines died while they did it"
            self._end(here, Failed(id=here.job.id, code="crashed", reason=reason))
        else:
            self._put(run, first=True)

    async def _fail(self, run: _Run, code: str, reason: str) -> None:
        await self._hear(run, Failed(id=run.line.id, code=code, reason=reason))

    # 3. events

    async def _hear(self, run: _Run, event: Event) -> None:
        """Pass on an event of a run; the last one of the last run ends its job."""
        here = run.of
        if here.ended:
            return
        if not isinstance(event, Done | Failed | Cancelled):
            if isinstance(event, Progress):
                event = _of_job(here, run, event)
            self._emit(event.model_copy(update={"id": here.job.id}))
            return
        here.runs.remove(run)
        if isinstance(event, Failed) and isinstance(run.line, Part):
            self._end(here, event.model_copy(update={"id": here.job.id}))
            await self._stop(here)
        elif not isinstance(run.line, Part):
            self._end(here, event)
        elif here.cancelled:
            if not here.runs:
                self._end(here, Cancelled(id=here.job.id))
        elif not here.runs:  # all parts are there: the job finds them and does the rest
            self._put(_Run(here.job, here), first=True)


def _of_job(here: _Submitted, run: _Run, event: Progress) -> Progress:
    """The progress of a job as one of its runs goes on: what is begun again does not count back."""
    fraction, stage = event.fraction, event.stage
    if isinstance(run.line, Part):
        known = here.fractions.get(run.line.id, 0.0)
        here.fractions[run.line.id] = max(known, fraction)
        fraction = DONE_IN_PARTS * sum(here.fractions.values()) / run.line.of
        stage = f"{stage}, on {run.line.of} machines"
    here.fraction = max(here.fraction, fraction)
    return event.model_copy(update={"fraction": here.fraction, "stage": stage})


def _packed(files: Iterable[Path], *, keep: bool) -> list[Parcel]:
    """The files in the object store."""
    return [pack(file, ray.put, keep=keep) for file in files]


def _inputs(job: Job) -> list[Path]:
    """The files that a job reads, each once: one may be two inputs."""
    files = [Path(path) for _, path in files_read(job)]
    for name in kind_of(job).reads_folder:
        files += [path for path in sorted(Path(getattr(job, name)).rglob("*")) if path.is_file()]
    return list(dict.fromkeys(files))


def _most_parts(job: Job) -> int:
    """In how many parts a job is worth being done: one does not go."""
    if isinstance(job, Separate) and job.excerpt is None:
        return max(1, os.stat(job.file).st_size // WORTH)
    if isinstance(job, Evaluate) and not job.measured:
        return MOST_PARTS
    return job.searches if isinstance(job, DesignPatch) else 1
