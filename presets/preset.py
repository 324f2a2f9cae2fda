"""The preset file: JSON, versioned, physical units, with where the sound came from.

A preset is everything needed to play a sound again and to make it again: the renderer and its
version, a value per parameter, the effect chain behind it, and the prompt, seed, model and code
that found it. `save` writes beside the target and renames, so no half-written file is ever seen.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from presets.reading import read_json

FORMAT = 1
VST3 = "VST3"  # the kind of an effect that is a plugin
MAX_STATE = 4 * 2**20  # bytes of a plugin's state
ROUNDING = 1e-9  # relative, of lengths that were computed


class Plugin(BaseModel):
    """A VST3 plugin by the name of its file, never by a path: a preset names code, brings none.

    `name` chooses in a file that holds several plugins. An `instrument` stands first in the chain
    and plays the note in place of the renderer. `state` is a .vstpreset file as base64 text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(max_length=200, pattern=r"^[^/\\:\x00-\x1f]+\.[vV][sS][tT]3$")
    name: str = Field(default="", max_length=200)
    instrument: bool = False
    state: str = ""

    @field_validator("state")
    @classmethod
    def _is_vstpreset(cls, text: str) -> str:
        if len(text) > 4 * MAX_STATE // 3 + 4:
            raise ValueError(f"a plugin's state has at most {MAX_STATE >> 20} MiB")
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"a plugin's state must be base64 text ({error})") from error
        if data and data[:4] != b"VST3":
            raise ValueError(f"a plugin's state must begin as a .vstpreset does, got {data[:4]!r}")
        return text


class Effect(BaseModel):
    """One effect of the chain: pedalboard's class as `kind`, or VST3 with the `plugin` it is.

    `values` are settings in the effect's own units.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    values: dict[str, float] = Field(default_factory=dict)
    plugin: Plugin | None = None

    @model_validator(mode="after")
    def _plugin_and_kind_agree(self) -> Effect:
        if (self.kind == VST3) != (self.plugin is not None):
            rule = "an effect of kind 'VST3' names its plugin, and no other kind has one"
            raise ValueError(f"{rule}, got kind {self.kind!r}")
        return self

    @model_serializer(mode="wrap")
    def _without_none(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Chains without plugins are written as they were before there were any."""
        data: dict[str, Any] = write(self)
        if self.plugin is None:
            data.pop("plugin", None)
        return data


class Provenance(BaseModel):
    """Who made the sound: model and code versions, method, steps, and the scores then measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    code: str = ""
    model: str = ""
    model_hash: str = ""
    method: str = ""
    steps: int = 0
    score_before: float | None = None
    score_after: float | None = None


class Preset(BaseModel):
    """One sound as data. `values` are physical (Hz, seconds, ...), keyed by the renderer's params.

    `note` is the MIDI number the sound was designed at, `seconds` its natural length, and `held`
    how many of them the key is down; None: all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal[1] = 1
    name: str = Field(min_length=1, max_length=200)
    renderer: str
    renderer_version: int = Field(ge=1)
    values: dict[str, float]
    note: float = Field(default=60.0, ge=0, le=127)
    seconds: float = Field(default=3.0, gt=0, le=60)
    held: float | None = Field(default=None, ge=0, le=60)
    effects: tuple[Effect, ...] = ()
    prompt: str = ""
    seed: int | None = None
    provenance: Provenance = Provenance()
    tags: tuple[str, ...] = ()

    @field_validator("held")
    @classmethod
    def _is_within_seconds(cls, held: float | None, info: ValidationInfo) -> float | None:
        seconds = info.data.get("seconds", 60.0)
        if held is not None and held > seconds * (1.0 + ROUNDING):
            raise ValueError(f"must be at most the preset's seconds, {seconds:g}, got {held:g}")
        return held

    def lasting(self, seconds: float) -> Preset:
        """The preset as one of `seconds`, its key down for the same part of them."""
        held = None if self.held is None else self.held * (seconds / self.seconds)
        return self.model_copy(update={"seconds": seconds, "held": held})

    @model_serializer(mode="wrap")
    def _without_none(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Presets that say nothing of `held` are written as they were before it was."""
        data: dict[str, Any] = write(self)
        if self.held is None:
            data.pop("held", None)
        return data


def save(preset: Preset, path: Path | str) -> None:
    """Write `preset` as JSON, atomically. The reverse of `load`."""
    path = Path(path)
    text = json.dumps(preset.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")  # mkstemp's are private
    try:
        with partial.open("x", encoding="utf-8") as file:
            file.write(text)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def load(path: Path | str) -> Preset:
    """Read a preset. The reverse of `save`.

    Raises `FileNotFoundError` when there is no such file, `ValueError` with one sentence when it
    is not a preset this version reads.
    """
    path = Path(path)
    try:
        data = read_json(path, name="it")
    except ValueError as error:
        raise ValueError(f"{path.name} is not a preset: {error}") from error
    if isinstance(data, dict) and data.get("format", FORMAT) != FORMAT:
        raise ValueError(f"{path.name} has format {data['format']!r}; this version reads {FORMAT}")
    try:
        return Preset.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{path.name} is not a preset: {where}: {said}") from error
