"""Where jobs run: `local` is a supervised worker process on this machine, `ray` the machines of a
cluster, `recording` JACK.

An engine takes a `Job` and yields its `Event`s, the last of which is `Done`, `Failed` or
`Cancelled`. It never raises for what goes wrong in a job: that is what `Failed` is for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from bridge.protocol.events import Event
from bridge.protocol.jobs import Job


class Engine(Protocol):
    """Runs jobs: entered once, left once; what still runs when it is left ends `interrupted`."""

    async def __aenter__(self) -> Engine: ...
    async def __aexit__(self, *_: object) -> None: ...

    def submit(self, job: Job, *, client: str = "") -> AsyncGenerator[Event, None]:
        """Queue `job` now and yield its events; the last one is Done, Failed or Cancelled.

        Jobs of several clients have their turns.
        """
        ...

    async def cancel(self, job_id: str) -> bool:
        """Ask for job `job_id` to stop; False when it is not (or no longer) here."""
        ...
