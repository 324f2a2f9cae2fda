"""What jobs, events and cancellations have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from bridge.files.write_terms import WriteRules
from bridge.protocol.host_names import HOST_NAMES

MAX_PROMPT = 300
SHIPPED_MODELS = ("default", "edm")

Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT, pattern=r"\S")]
Listed = BeforeValidator(
    lambda given: [part.strip() for part in given.split(",")] if isinstance(given, str) else given
)
SEEDS = 2**31
Seed = Annotated[int, Field(ge=0, lt=SEEDS)]


def _host(name: str) -> str:
    if name not in HOST_NAMES:
        raise ValueError(f"must be one of {', '.join(HOST_NAMES)}")
    return name


HostName = Annotated[str, AfterValidator(_host)]


class Frozen(BaseModel):
    """A message of the protocol: immutable, and no field that the model does not have."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WritingJob(Frozen):
    """Fields of every job that writes files; `terms` is what they allow.

    - `id`: the job's id, unlike those of all other jobs
    - `out`: path of what is written: a folder or a file, as the kind says
    - `replace`: whether files that Scorewire did not make, or that were changed since, may be
      replaced; default False
    - `new`: whether nothing that exists may be replaced; default False
    - `within`: folders in which all files must lie, at most 64; default (): anywhere
    """

    id: str
    out: str
    replace: bool = False
    new: bool = False
    within: tuple[str, ...] = Field(default=(), max_length=64)

    @property
    def terms(self) -> WriteRules:
        """Under which terms its files are written."""
        return WriteRules(self.replace, self.new, self.within)
