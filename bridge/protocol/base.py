"""What jobs, events and cancellations have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A message of the protocol: immutable, and no field that the model does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
