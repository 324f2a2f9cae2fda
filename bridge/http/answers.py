"""What the addresses of /v1 answer, field by field, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from bridge.protocol.base import Frozen
from bridge.protocol.cluster_lines import Cluster
from bridge.protocol.events import Done
from bridge.service.ledger import State
from presets import Preset


class Pong(Frozen):
    """Version, and `idle` or `busy`."""

    version: str
    state: str


class JobFile(Frozen):
    """A file of a job's result, and its address."""

    name: str
    bytes: int
    url: str


class JobEntry(Frozen):
    """All that is known of a job; times in seconds since 1970."""

    id: str
    kind: str
    state: State
    ahead: int | None
    fraction: float
    stage: str
    created: float
    started: float | None
    ended: float | None
    code: str
    reason: str
    job: dict[str, Any]
    result: dict[str, Any] | None
    files: list[JobFile]


class JobList(Frozen):
    """Jobs, newest first."""

    jobs: list[JobEntry]


class StreamedDone(Done):
    """`done` as the stream of events says it: with the files of the result."""

    files: list[JobFile]


class HostEntry(Frozen):
    """A host, and the suffix of its files, empty where there is none."""

    name: str
    suffix: str


class HostList(Frozen):
    """The hosts that take stems."""

    hosts: list[HostEntry]


class Placed(Frozen):
    """What a host said, and the files it was given."""

    host: str
    text: str
    files: list[str]


class Kept(Frozen):
    """A patch that was kept: its file in the library."""

    number: int
    name: str
    preset: str
    tags: list[str]


class ParamEntry(Frozen):
    """What one value may be."""

    name: str
    low: float
    high: float
    unit: str
    scale: str


class KnobTable(Frozen):
    """The values of a preset, and the settings of each kind of effect."""

    params: list[ParamEntry]
    effects: dict[str, list[ParamEntry]]


class Played(Frozen):
    """The files in all slots, and whether a player was started."""

    slots: dict[str, str]
    started: bool


class PresetEntry(Frozen):
    """What a list says of a preset; `distance` 0..1 where likeness was asked for."""

    file: str
    name: str
    renderer: str
    prompt: str
    tags: list[str]
    preview: bool
    distance: float | None


class WholePreset(PresetEntry):
    """A preset with all that its file holds."""

    preset: Preset


class PresetList(Frozen):
    """Presets that were found, how many the library has, and all tags in use."""

    presets: list[PresetEntry]
    count: int
    tags: list[str]


class FactoryList(Frozen):
    """The presets that come with Scorewire."""

    presets: list[PresetEntry]


class Trashed(Frozen):
    """What a deleted preset is called in the trash."""

    trashed: str


class Trash(Frozen):
    """The files in the trash."""

    presets: list[str]


class FormatEntry(Frozen):
    """A format of export, and whose presets it takes."""

    name: str
    suffix: str
    text: str
    renderers: list[str]


class FormatList(Frozen):
    """The formats of export."""

    formats: list[FormatEntry]


class SlotEntry(Frozen):
    """The preset in a slot."""

    file: str
    name: str


class Slots(Frozen):
    """The slots that are filled, by number, and whether this server plays them."""

    slots: dict[str, SlotEntry]
    playing: bool


class FilledSlot(Frozen):
    """A slot that was filled."""

    slot: int
    file: str
    name: str


class ModelEntry(Frozen):
    """A model that comes with Scorewire, and its bytes on disk."""

    name: str
    bytes: int


class ProcessEntry(Frozen):
    """A process of the server, and its bytes of memory."""

    pid: int
    name: str
    bytes: int


class PlayerState(Frozen):
    """The player's device, or why there is none, and the files in its slots."""

    device: dict[str, Any] | None
    reason: str
    slots: dict[str, str]


class Health(Frozen):
    """How the server is; `seconds` since it began."""

    version: str
    state: str
    seconds: float
    data: str
    model: str
    models: list[ModelEntry]
    processes: list[ProcessEntry]
    cluster: Cluster | None
    player: PlayerState | None


class CheckEntry(Frozen):
    """A line of the examination: what was seen, and what to do where it is not `ok`."""

    name: str
    ok: bool
    text: str
    fix: str
    optional: bool


class DoctorReport(Frozen):
    """What `scorewire doctor --json` prints."""

    ok: bool
    version: str
    checks: list[CheckEntry]


class Examined(Frozen):
    """Whether an examination runs, and what the newest said and when."""

    running: bool
    ended: float | None
    report: DoctorReport | None


class LogLine(Frozen):
    """A line of the log."""

    number: int
    time: float
    level: str
    name: str
    text: str


class Log(Frozen):
    """The newest lines of the log."""

    lines: list[LogLine]


class PanelLink(Frozen):
    """A link that lets one browser in, and for how many seconds."""

    url: str
    seconds: float


class UploadEntry(Frozen):
    """An upload, and the names that jobs called it by."""

    id: str
    names: list[str]
    bytes: int
    used: float


class UploadList(Frozen):
    """The uploads, the last used first."""

    blobs: list[UploadEntry]


ANSWERS: dict[tuple[str, str], type[BaseModel]] = {
    ("GET", "/v1/ping"): Pong,
    ("POST", "/v1/jobs"): JobEntry,
    ("POST", "/v1/suggest"): JobEntry,
    ("GET", "/v1/jobs"): JobList,
    ("GET", "/v1/jobs/{id}"): JobEntry,
    ("DELETE", "/v1/jobs/{id}"): JobEntry,
    ("POST", "/v1/jobs/{id}/stop"): JobEntry,
    ("POST", "/v1/jobs/{id}/again"): JobEntry,
    ("POST", "/v1/jobs/{id}/place"): Placed,
    ("GET", "/v1/hosts"): HostList,
    ("POST", "/v1/keep"): Kept,
    ("POST", "/v1/knobs"): KnobTable,
    ("POST", "/v1/play"): Played,
    ("GET", "/v1/library"): PresetList,
    ("POST", "/v1/library"): WholePreset,
    ("GET", "/v1/library/{file}"): WholePreset,
    ("PATCH", "/v1/library/{file}"): WholePreset,
    ("DELETE", "/v1/library/{file}"): Trashed,
    ("GET", "/v1/trash"): Trash,
    ("POST", "/v1/trash/{file}/restore"): WholePreset,
    ("GET", "/v1/factory"): FactoryList,
    ("GET", "/v1/factory/{file}"): WholePreset,
    ("GET", "/v1/formats"): FormatList,
    ("GET", "/v1/slots"): Slots,
    ("PUT", "/v1/slots/{number}"): FilledSlot,
    ("GET", "/v1/health"): Health,
    ("GET", "/v1/doctor"): Examined,
    ("POST", "/v1/doctor"): Examined,
    ("GET", "/v1/log"): Log,
    ("POST", "/v1/panel/link"): PanelLink,
    ("GET", "/v1/blobs"): UploadList,
}  # of the others, files and streams aside, nothing (204)
