"""The events of a job: progress, the best result so far, and how it ended."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from bridge.protocol.base import Frozen


class Progress(Frozen):
    """How far: `fraction` 0..1 of the whole job, `eta` seconds left, `stage` in words.

    `figures` are numbers of the moment by name: loss, score (the search scorer's) and rating
    (0..100, of the newest preview, else of the first patch).
    """

    kind: Literal["progress"] = "progress"
    id: str
    fraction: float = Field(ge=0, le=1)
    stage: str
    eta: float | None = None
    figures: dict[str, float] = Field(default_factory=dict)


class Best(Frozen):
    """The best so far, playable now: a preset file and a WAV of it.

    `score` is the search scorer's; `rating` 0..100, None where nothing is rated. `initial` is a WAV
    of what the search began with.
    """

    kind: Literal["best"] = "best"
    id: str
    step: int
    score: float
    rating: float | None = None
    preset: str
    wav: str
    initial: str | None = None


class Done(Frozen):
    """The job's result; keys as in the docstring of its kind."""

    kind: Literal["done"] = "done"
    id: str
    result: dict[str, Any]


class Failed(Frozen):
    """Why not: a stable short `code` (bad-input, no-model, crashed, ...) and a sentence."""

    kind: Literal["failed"] = "failed"
    id: str
    code: str
    reason: str


class Cancelled(Frozen):
    """Stopped on request; nothing half-written stays."""

    kind: Literal["cancelled"] = "cancelled"
    id: str


Event: TypeAlias = Progress | Best | Done | Failed | Cancelled
event_adapter: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
