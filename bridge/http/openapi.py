"""The OpenAPI document of /v1, made from the table of addresses, the models of
`bridge.protocol.jobs` and those of `bridge.http.answers`.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bridge.http.answers import ANSWERS, StreamedDone
from bridge.protocol.events import Best, Cancelled, Failed, Progress
from bridge.protocol.kinds import KINDS
from bridge.protocol.patch_requests import (
    AddPreset,
    ChangePreset,
    FillSlot,
    Keep,
    Knobs,
    Play,
    Sound,
    Strike,
)
from bridge.protocol.stem_requests import Place

Table = tuple[tuple[str, str, str], ...]  # method, path, summary

_REF = "#/components/schemas/{model}"
_JOBS = [kind.model for kind in KINDS.values()]
_EVENTS = (Progress, Best, StreamedDone, Failed, Cancelled)
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "reason"],
            "properties": {"code": {"type": "string"}, "reason": {"type": "string"}},
        }
    },
}
_HEADERS = {
    ("POST", "/v1/jobs"): ("Idempotency-Key",),
    ("POST", "/v1/suggest"): ("Idempotency-Key",),
    ("GET", "/v1/jobs/{id}/events"): ("Last-Event-ID",),
    ("GET", "/v1/jobs/{id}/files/{name}"): ("Range",),
    ("GET", "/v1/jobs/{id}/source"): ("Range",),
    ("GET", "/v1/blobs/sha256/{hash}"): ("Range",),
    ("PUT", "/v1/blobs/sha256/{hash}"): ("Content-Range", "Upload-Offset", "Upload-Length"),
}
_ASKING = (("POST", "/v1/jobs"), ("POST", "/v1/suggest"))  # with a job as the body
_BODIES: dict[tuple[str, str], type[BaseModel]] = {
    ("POST", "/v1/keep"): Keep,
    ("POST", "/v1/play"): Play,
    ("POST", "/v1/jobs/{id}/place"): Place,
    ("POST", "/v1/preview"): Sound,
    ("POST", "/v1/knobs"): Knobs,
    ("POST", "/v1/library"): AddPreset,
    ("PATCH", "/v1/library/{file}"): ChangePreset,
    ("PUT", "/v1/slots/{number}"): FillSlot,
    ("POST", "/v1/slots/{number}/trigger"): Strike,
}
_QUERIES = {
    ("GET", "/v1/jobs"): ("limit", "state"),
    ("GET", "/v1/library"): ("words", "tags", "renderer", "like", "limit"),
    ("GET", "/v1/log"): ("after",),
}
_OTHER: dict[str, dict[str, Any]] = {"/v1/ping": {"security": []}}


def document(endpoints: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    """The whole document; `endpoints` are (method, path, summary)."""
    return _document(tuple(endpoints))


@cache
def _document(endpoints: Table) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for method, path, summary in endpoints:
        plain = path.replace(":path", "")
        paths.setdefault(plain, {})[method.lower()] = _operation(method, plain, summary)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Scorewire", "version": importlib.metadata.version("scorewire")},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas() | {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(method: str, path: str, summary: str) -> dict[str, Any]:
    key = (method, path)
    names = [(name, "path", True) for name in re.findall(r"{(\w+)}", path)]
    names += [(name, "query", False) for name in _QUERIES.get(key, ())]
    names += [(name, "header", False) for name in _HEADERS.get(key, ())]
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": [
            {"name": name, "in": where, "required": must, "schema": {"type": "string"}}
            for name, where, must in names
        ],
        "responses": {
            "2XX": {"description": summary} | _content(key),
            "default": {"description": "Why not.", "content": _json({"$ref": _ref("Error")})},
        },
    }
    if key in _ASKING:
        kinds = [kind for kind in _JOBS if path == "/v1/jobs" or path.endswith(_kind(kind))]
        choice: dict[str, Any] = {"oneOf": [{"$ref": _ref(kind.__name__)} for kind in kinds]}
        operation["requestBody"] = {"required": True, "content": _json(choice)}
    if key in _BODIES:
        model: dict[str, Any] = {"$ref": _ref(_BODIES[key].__name__)}
        operation["requestBody"] = {"required": True, "content": _json(model)}
    if method == "PUT" and path.startswith("/v1/blobs"):
        data = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"required": True, "content": data}
    return operation | _OTHER.get(path, {})


def _content(key: tuple[str, str]) -> dict[str, Any]:
    """What an address answers: JSON, a job's events, a sound."""
    if key in ANSWERS:
        return {"content": _json({"$ref": _ref(ANSWERS[key].__name__)})}
    if key == ("GET", "/v1/jobs/{id}/events"):
        choice = {"oneOf": [{"$ref": _ref(event.__name__)} for event in _EVENTS]}
        return {"content": {"text/event-stream": {"schema": choice}}}
    if key == ("POST", "/v1/preview"):
        return {"content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}}
    return {}


def _schemas() -> dict[str, Any]:
    """All models by name; the id and the place of a job are chosen by the server."""
    asked = (*_JOBS, *_BODIES.values(), *ANSWERS.values(), *_EVENTS)
    models = [(model, "validation") for model in asked]
    _, whole = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]
    schemas: dict[str, Any] = whole["$defs"]
    for event in _EVENTS:
        schemas[event.__name__]["required"] = list(event.model_fields)  # defaults are said, too
    for kind in _JOBS:
        schema = schemas[kind.__name__]
        del schema["properties"]["id"]
        required = [name for name in schema["required"] if name not in ("id", "out")]
        schema["required"] = ["kind", *required]
    return schemas


def _kind(model: type[BaseModel]) -> str:
    return str(model.model_fields["kind"].default)


def _ref(name: str) -> str:
    return _REF.format(model=name)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
