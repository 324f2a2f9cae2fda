"""The OSC addresses as an OSCQuery namespace (Vidvox proposal), made from the two tables.

A request is written, a reply is listened to, a knob is both. Jobs come and go, so they are no
nodes. Ranges are those of the models that check the arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, get_args

from pydantic import BaseModel

from bridge.osc.addresses import REPLIES, REQUESTS
from bridge.player import macros, protocol
from bridge.protocol import jobs
from bridge.protocol.osc_wire import Value
from bridge.protocol.patch_requests import Keep

Node = dict[str, Any]

READ, WRITE, BOTH = 1, 2, 3
KNOB = "/scorewire/slot/N/param/NAME"
LOAD = "/scorewire/slot/N/load"
ATTRIBUTES = frozenset(
    "FULL_PATH CONTENTS TYPE EXTENDED_TYPE ACCESS VALUE RANGE DESCRIPTION TAGS UNIT CRITICAL "
    "CLIPMODE OVERLOADS HTML".split()
)
EXTENSIONS = {
    **dict.fromkeys(("ACCESS", "VALUE", "RANGE", "DESCRIPTION", "TAGS", "CRITICAL"), True),
    **dict.fromkeys(("LISTEN", "PATH_CHANGED", "OSC_STREAMING", "OVERLOADS"), True),
    **dict.fromkeys(("CLIPMODE", "UNIT", "EXTENDED_TYPE", "HTML"), False),
}
_KINDS: dict[str, type[BaseModel]] = {
    kind.model_fields["kind"].default: kind
    for kind in (*get_args(jobs.Job), *get_args(protocol.Command))
}
_OTHERWISE = {
    "/scorewire/slot/N/on": protocol.NoteOn,
    "/scorewire/slot/N/off": protocol.NoteOff,
    "/scorewire/slot/N/sysex": None,
    KNOB: protocol.Knob,
    "/scorewire/keep": Keep,
}
_JOBS = frozenset(kind.model_fields["kind"].default for kind in get_args(jobs.Job))
_REQ = {"MIN": 0, "MAX": 2**31 - 1}


@lru_cache(maxsize=4)
def namespace(*, plays: bool, loaded: frozenset[int]) -> Node:
    """The root node, without values; not to be changed.

    Without a player there are no slots. Only `loaded` ones have more than the way to load them.
    """
    root: Node = {"FULL_PATH": "/", "DESCRIPTION": "Scorewire", "CONTENTS": {}}
    for address in REQUESTS:
        for path, slot in _places(address) if plays or "/slot/" not in address else ():
            if slot is None or slot in loaded or address == LOAD:
                _add(root, path, _request(address))
    for address in REPLIES:
        _add(root, address, _reply(address))
    return root


def with_values(node: Node, values: Mapping[str, tuple[Value, ...]]) -> Node:
    """The node and those below it, with what was last said there; knobs are where they began."""
    whole = dict(node)
    path = node["FULL_PATH"]
    if node.get("ACCESS") == BOTH:
        neutral = macros.MACROS[path.rpartition("/")[2]].neutral
        whole["VALUE"] = [None, values.get(path, (None, neutral))[1]]
    elif path in values and node.get("ACCESS") == READ:
        whole["VALUE"] = list(values[path][: len(node["TYPE"])])
    if "CONTENTS" in node:
        whole["CONTENTS"] = {
            key: with_values(part, values) for key, part in node["CONTENTS"].items()
        }
    return whole


def find(root: Node, path: str) -> Node | None:
    """The node of a path, None when there is none."""
    node = root
    for part in path.strip("/").split("/") if path.strip("/") else ():
        node = node.get("CONTENTS", {}).get(part)
        if node is None:
            return None
    return node


def _places(address: str) -> Iterator[tuple[str, int | None]]:
    """An address with its places filled in: each slot, each knob."""
    if "/N" not in address:
        yield address, None
        return
    for slot in range(1, protocol.SLOTS + 1):
        path = address.replace("/N/", f"/{slot}/")
        for name in macros.MACROS if "NAME" in address else [""]:
            yield path.replace("NAME", name), slot


@cache
def _request(address: str) -> Node:
    """What the table and the models say of a request."""
    request = REQUESTS[address]
    last = address.rpartition("/")[2]
    model = _OTHERWISE.get(address, _KINDS.get(last))
    args = request.args.replace("...", "").split()
    names = ", ".join(name[2:] for name in request.args.split())
    options = "".join(f" {name[2:]}=" for name in request.options.split())
    about = ((model and model.__doc__) or "").partition("\n")[0].partition(". ")[0].rstrip(".")
    text = f"Takes {names}{'; options' if options else ''}{options}."
    node: Node = {
        "TYPE": "".join(name[0] for name in args),
        "ACCESS": BOTH if address == KNOB else WRITE,
        "RANGE": [_range(model, name[2:]) for name in args],
        "DESCRIPTION": f"{about}. {text}" if about else text,
        "TAGS": ["request"],
    }
    if request.alone:
        name = request.alone[2:]
        limits = {"MIN": 0, "MAX": 1} if name == "strength" else _range(model, name)
        text = f"{name} alone, answered by fail only."
        overload = {"TYPE": request.alone[0], "RANGE": [limits], "DESCRIPTION": text}
        node["OVERLOADS"] = [overload]
    return node | ({"CRITICAL": True} if last in _JOBS else {})


@cache
def _reply(address: str) -> Node:
    args = REPLIES[address].split()
    return {
        "TYPE": "".join(name[0] for name in args),
        "ACCESS": READ,
        "DESCRIPTION": f"Says {', '.join(name[2:] for name in args)}.",
        "TAGS": ["reply"],
    }


def _range(model: type[BaseModel] | None, name: str) -> Node | None:
    """The limits of an argument, None when it has none."""
    if name == "req":
        return _REQ
    schema = {} if model is None else model.model_json_schema()
    field = schema.get("properties", {}).get(name, {})
    choices = field.get("enum")
    if choices:
        return {"VALS": choices}
    low, high = field.get("minimum"), field.get("maximum")
    if high is None and "exclusiveMaximum" in field and field.get("type") == "integer":
        high = field["exclusiveMaximum"] - 1
    limits = {"MIN": low, "MAX": high}
    return {key: limit for key, limit in limits.items() if limit is not None} or None


def _add(root: Node, path: str, attributes: Node) -> None:
    """Put a node in its place; what is there already keeps its own."""
    node = root
    walked = ""
    for part in path.strip("/").split("/"):
        walked += f"/{part}"
        contents = node.setdefault("CONTENTS", {})
        node = contents.setdefault(part, {"FULL_PATH": walked})
    for key, value in attributes.items():
        node.setdefault(key, value)
