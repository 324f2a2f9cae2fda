"""Jobs on the machines of a Ray cluster, by a driver process that speaks JSON lines.

Ray ends the process that lost its cluster, and is large: the light process never loads it. The
driver (`bridge.cluster`) is started again until it finds a cluster, and is told the jobs that have
not ended: they go on from what they had finished.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import AsyncGenerator, Sequence

from bridge.execution.child_process import Child
from bridge.execution.local import COMMAND, LocalEngine
from bridge.execution.ticket import Ticket
from bridge.processes import parent_watch
from bridge.protocol.cluster_lines import Cluster, Submit, said_adapter
from bridge.protocol.events import Cancelled, Done, Event, Failed, Progress
from bridge.protocol.jobs import Cancel, Job
from bridge.protocol.kinds import kind_of
from presets.reading import read_text

log = logging.getLogger(__name__)

CLOSING = 5.0  # seconds for a driver to stop what runs on the machines
AGAIN = 1.0  # seconds between the end of a driver and the next one
DEATHS = 5  # of drivers or clusters, under one job
WAITING = "waiting for the cluster"


def driver_command(
    address: str, workers: int, grace: float, stall: float, worker: Sequence[str] = COMMAND
) -> tuple[str, ...]:
    """The command of a driver for the cluster at `address`.

    `worker` starts a worker on each machine; by default each has its own Python.
    """
    options = ["--address", address, "--workers", str(workers)]
    options += ["--grace", str(grace), "--stall", str(stall)]
    options += ["--worker", shlex.join(worker)] if tuple(worker) != COMMAND else []
    return parent_watch.command("bridge.cluster", *options)


class RayEngine:
    """Runs jobs on a cluster, as many at once as it has workers.

    `command` starts the driver. Jobs that need no model run `here`, on this machine: they take
    less time than their way. A job fails when no cluster has been found for `patience` seconds.
    """

    def __init__(
        self, command: Sequence[str], *, here: LocalEngine, patience: float = 120.0
    ) -> None:
        self._command = tuple(command)
        self._here = here
        self._patience = patience
        self._tickets: dict[str, Ticket] = {}
        self._driver: Child | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._lost: float | None = None  # of the loop's clock, when there was a cluster last
        self.cluster: Cluster | None = None  # as last heard, None while there is none

    @property
    def driver_pid(self) -> int | None:
        """The driver's process id, None when none runs."""
        return self._driver.pid if self._driver is not None and self._driver.alive else None

    async def __aenter__(self) -> RayEngine:
        await self._here.__aenter__()
        if self._supervisor is None:  # commands enter it, and their server once more
            self._lost = asyncio.get_running_loop().time()
            self._supervisor = asyncio.create_task(self._supervise(), name="ray-engine")
        return self

    async def __aexit__(self, *_: object) -> None:
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait([supervisor])
        for ticket in list(self._tickets.values()):
            ticket.interrupt()
        self._tickets.clear()
        if self._driver is not None:
            await self._driver.close(CLOSING)
            self._driver = None
        await self._here.__aexit__()

    def submit(self, job: Job, *, client: str = "") -> AsyncGenerator[Event, None]:
        """Send `job` to the cluster and yield its events; the last is Done, Failed or Cancelled.

        Leaving the generator before its end cancels the job.
        """
        if not kind_of(job).models:
            return self._here.submit(job, client=client)
        ticket = Ticket(job, client)
        if self._supervisor is None or self._supervisor.done():
            ticket.interrupt()
        else:
            self._tickets[job.id] = ticket
            if self.cluster is None:
                ticket.events.put_nowait(Progress(id=job.id, fraction=0, stage=WAITING))
            self._tell(ticket)
        return ticket.read(self.cancel)

    async def cancel(self, job_id: str) -> bool:
        """Ask for job `job_id` to stop; False when it is not (or no longer) here.

        It stops at its next step, or when its machine's grace is over; at once when no cluster
        is there.
        """
        ticket = self._tickets.get(job_id)
        if ticket is None:
            return await self._here.cancel(job_id)
        ticket.deadline = asyncio.get_running_loop().time()
        if self.cluster is None:
            self._end(Cancelled(id=job_id))
        if self._driver is not None:
            self._driver.send(Cancel(id=job_id).model_dump_json())
        return True

    def _tell(self, ticket: Ticket) -> None:
        if self._driver is not None:
            line = Submit(client=ticket.client, job=ticket.job)
            self._driver.send(line.model_dump_json())

    def _end(self, event: Event) -> None:
        """End a job with its last event, if it is (still) here."""
        ticket = self._tickets.pop(event.id, None)
        if ticket is not None:
            ticket.end(event)

    async def _supervise(self) -> None:
        """Keep a driver running; tell a new one all jobs that have not ended."""
        while True:
            try:
                driver = self._driver = await Child.start(self._command)
            except OSError as error:
                self._give_up(f"the driver of the cluster could not be started: {error}")
                await asyncio.sleep(AGAIN)
                continue
            for ticket in self._tickets.values():
                self._tell(ticket)
            await self._listen(driver)
            had_cluster = self.cluster is not None
            self._driver, self.cluster = None, None
            await driver.close(0.0)
            words = f"; its last words: {driver.tail[-1][:300]}" if driver.tail else ""
            log.warning("the driver of the cluster ended (%s)%s", driver.ending, words)
            for ticket in list(self._tickets.values()):
                ticket.deaths += had_cluster
                if ticket.deadline is not None:
                    self._end(Cancelled(id=ticket.job.id))
                elif ticket.deaths >= DEATHS:
                    reason = f"the cluster was lost {DEATHS} times under this job{words}"
                    self._end(Failed(id=ticket.job.id, code="crashed", reason=reason))
            self._give_up(f"no Ray cluster has answered for {self._patience:g} s{words}")
            await asyncio.sleep(AGAIN)

    async def _listen(self, driver: Child) -> None:
        """Pass on what a driver says, until it ends."""
        while True:
            try:
                async with asyncio.timeout(AGAIN if self._lost is not None else None):
                    line = await driver.lines.get()
            except TimeoutError:
                self._give_up(f"no Ray cluster has answered for {self._patience:g} s")
                continue
            if line is None:
                self._lost = self._lost or asyncio.get_running_loop().time()
                return
            if line.strip():
                self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            said = said_adapter.validate_json(read_text(line))
        except ValueError:
            log.warning("the driver's stdout, not an event: %r", line[:200])
            return
        if isinstance(said, Cluster):
            if said.problem and (self.cluster is None or said.problem != self.cluster.problem):
                log.warning("%s", said.problem)
            self.cluster, self._lost = said, None
        elif isinstance(said, Done | Failed | Cancelled):
            self._end(said)
        elif (ticket := self._tickets.get(said.id)) is not None:
            ticket.events.put_nowait(said)

    def _give_up(self, reason: str) -> None:
        """Fail all jobs when there has been no cluster for too long."""
        if self._lost is None or not self._tickets:
            return
        if asyncio.get_running_loop().time() - self._lost < self._patience:
            return
        fix = "start one (`ray start --head`), or serve without --engine ray"
        for ticket in list(self._tickets.values()):
            self._end(Failed(id=ticket.job.id, code="no-cluster", reason=f"{reason}: {fix}"))
        self._lost = asyncio.get_running_loop().time()
