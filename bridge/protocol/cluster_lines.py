"""What an engine and the process that drives its cluster say to each other, a JSON line each."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from bridge.protocol.base import Frozen
from bridge.protocol.events import Event
from bridge.protocol.jobs import Cancel, Job


class Submit(Frozen):
    """To the driver: do `job`, in the turn of `client`."""

    kind: Literal["submit"] = "submit"
    client: str
    job: Annotated[Job, Field(discriminator="kind")]


class Cluster(Frozen):
    """From the driver, when it has changed: machines, workers that are ready, runs that wait.

    A job that is done in parts waits as several runs. `problem` is a sentence where a worker
    cannot be used.
    """

    kind: Literal["cluster"] = "cluster"
    machines: int
    workers: int
    waiting: int
    problem: str = ""


Asked: TypeAlias = Submit | Cancel
asked_adapter: TypeAdapter[Asked] = TypeAdapter(Annotated[Asked, Field(discriminator="kind")])
said_adapter: TypeAdapter[Event | Cluster] = TypeAdapter(
    Annotated[Event | Cluster, Field(discriminator="kind")]
)
