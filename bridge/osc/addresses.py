"""Every OSC address with its arguments, in two tables, and how a message is read by them.

An argument is declared as `type:name`, with the OSC type tags i, f, s. docs/osc.md explains the
tables and a test keeps it and them the same. What asks for a job names its arguments and options as
the fields of the job's model in `bridge.protocol.jobs` are named: HTTP and the terminal say the
same. Numbers are taken in any type a client can send.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from bridge.protocol.kinds import KINDS
from bridge.protocol.osc_wire import Message, Value

UNKNOWN = -1  # the req of a reply to a message that had none
ALIKE = 0.75  # so much alike, a text before "=" is an option written wrong

Target = tuple[Any, ...]  # a socket address: (host, port) or its IPv6 form


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of an address in order (`...` repeats the last), and its options.

    `alone` is what a single number means, as a fader or a pad sends it, without `req`.
    """

    args: str
    options: str = ""
    alone: str = ""


REQUESTS = {
    "/scorewire/ping": Request("i:req"),
    **{f"/scorewire/{kind.name}": Request(*kind.osc) for kind in KINDS.values() if kind.osc},
    "/scorewire/host/ardour/separate": Request(
        "i:req s:session s:region i:position i:start i:length i:rate f:tempo "
        "s:sources s:prompts...",
        "i:port s:action s:method i:steps i:seed s:model",
    ),
    "/scorewire/host/ardour/accompany": Request(
        "i:req s:session i:rate f:tempo s:regions...",
        "i:port s:action s:prompt s:add i:steps f:guidance i:seed s:stem_model",
    ),
    "/scorewire/keep": Request("i:req i:number", "i:star s:job"),
    "/scorewire/record/stop": Request("i:req s:job"),
    "/scorewire/cancel": Request("i:req s:job"),
    "/scorewire/jobs": Request("i:req", "i:limit"),
    "/scorewire/job": Request("i:req s:job"),
    "/scorewire/subscribe": Request("i:req f:seconds", "s:topics"),
    "/scorewire/slot/N/load": Request("i:req s:preset"),
    "/scorewire/slot/N/unload": Request("i:req"),
    "/scorewire/slot/N/trigger": Request("i:req", "i:note i:velocity f:seconds", "f:strength"),
    "/scorewire/slot/N/on": Request("i:req i:note", "i:velocity", "i:note"),
    "/scorewire/slot/N/off": Request("i:req i:note", "", "i:note"),
    "/scorewire/slot/N/param/NAME": Request("i:req f:position", "", "f:position"),
    "/scorewire/slot/N/sysex": Request("i:req"),
    "/scorewire/play/learn": Request("i:req", "s:name"),
    "/scorewire/play/assign": Request("i:req i:channel i:slot"),
    "/scorewire/play/panic": Request("i:req", "i:slot"),
    "/scorewire/play/sysex": Request("i:req s:data"),
    "/scorewire/play/status": Request("i:req"),
}
"""What the server understands; the jobs are those of `bridge.protocol.kinds`.

Every request also takes the options of `EVERYWHERE`.

A part of an address in capitals is an argument (`PLACES`): `/scorewire/slot/5/trigger`.
"""

EVERYWHERE = "i:reply s:key"
PLACES = {"N": "i:slot", "NAME": "s:name"}


REPLIES = {
    "/scorewire/pong": "i:req s:version s:state",
    "/scorewire/ok": "i:req",
    "/scorewire/lapsed": "i:req",
    "/scorewire/accepted": "i:req s:job",
    "/scorewire/progress": "i:req s:job f:fraction s:stage f:eta",
    "/scorewire/best": "i:req s:job f:score s:preset s:wav i:step",
    "/scorewire/stem": "i:req s:job i:index s:prompt s:wav",
    "/scorewire/clip": "i:req s:job i:index s:prompt s:wav",
    "/scorewire/suggestion": "i:req s:job i:index s:prompt f:score",
    "/scorewire/done": "i:req s:job s:path",
    "/scorewire/cancelled": "i:req s:job",
    "/scorewire/fail": "i:req s:address s:code s:reason s:job",
    "/scorewire/kept": "i:req i:number s:name s:preset",
    "/scorewire/jobs/item": "i:req s:job s:kind s:state f:fraction s:stage s:path",
    "/scorewire/jobs/end": "i:req i:count",
    "/scorewire/job/state": "i:req s:job s:kind s:state f:fraction s:stage s:path",
    "/scorewire/play/state": "i:req i:voices i:xruns f:block_us f:budget_us",
    "/scorewire/play/slot": "i:req i:slot s:name",
    "/scorewire/play/ready": "i:req s:output s:name i:rate i:frames",
    "/scorewire/play/gone": "i:req s:name s:reason",
    "/scorewire/play/xrun": "i:req i:count",
    "/scorewire/play/loaded": "i:req i:slot s:name f:note",
    "/scorewire/play/unloaded": "i:req i:slot",
    "/scorewire/play/turned": "i:req i:slot s:name f:position",
    "/scorewire/play/program": "i:req i:channel i:slot",
    "/scorewire/play/learned": "i:req i:controller s:name",
}
"""What the server says, and with which arguments. Name and value pairs may follow them."""

_OPTION = re.compile(r"([a-z_]+)=(.*)", re.DOTALL)
_PATTERN = re.compile(r"[*?\[\]{}]")


class Refused(ValueError):
    """A request that is answered with `/scorewire/fail`: a stable short code and a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """A request understood: who asked, under which id, with which values.

    `address` is the table's, `said` is what was sent, `key` what the sender gave to be trusted.
    """

    address: str
    said: str
    target: Target
    req: int
    values: dict[str, Any]
    options: dict[str, Any]
    key: str = ""

    @property
    def client(self) -> str:
        """The name in the ledger: where replies go, which is the same when a client asks twice."""
        return f"{self.target[0]}:{self.target[1]}"


def reply_target(message: Message, sender: Target) -> Target:
    """Where to answer: the sender's port, or the one its option `reply` names, on its own host."""
    for at, value in enumerate(message.args):
        if isinstance(value, str) and value.startswith("reply="):
            port = value.removeprefix("reply=") or (*message.args, None)[at + 1]
            try:
                number = _convert("i:reply", port)
            except Refused:
                return sender
            return (sender[0], number, *sender[2:]) if 0 < number < 65536 else sender
    return sender


def understand(message: Message, target: Target) -> Call:
    """Match a message against its line in the table; raises `Refused`."""
    address, placed = _match_address(message.address)
    request = REQUESTS.get(address)
    if request is None:
        if _PATTERN.search(message.address):
            raise Refused("unknown-address", "address patterns are not understood here")
        known = ", ".join(REQUESTS)
        raise Refused("unknown-address", f"there is no such address; there are {known}")
    args = _without_nil(message.args)
    values = _alone(request, args)
    if values is not None:
        return Call(address, message.address, target, UNKNOWN, values | placed, {})
    names = request.args.split()
    repeated = names.pop() if names[-1].endswith("...") else ""
    if len(args) < len(names):
        missing = names[len(args)]
        raise Refused("bad-arguments", f"{missing} is missing; {_usage(address)}")
    values = {name[2:]: _convert(name, v) for name, v in zip(names, args, strict=False)}
    values |= placed
    req = values["req"]
    if not 0 <= req < 2**31:
        raise Refused("bad-arguments", f"req must be 0 .. {2**31 - 1}, got {req}")
    rest, options = _split_options(address, args[len(names) :])
    if repeated:
        values[repeated[2:-3]] = [_convert(repeated.rstrip("."), value) for value in rest]
    elif rest:
        raise Refused("bad-arguments", f"{rest[0]!r} is too much; {_usage(address)}")
    reply = options.pop("reply", 0)
    if not 0 <= reply < 65536:
        raise Refused("bad-arguments", f"reply must be a port, 0 .. 65535, got {reply}")
    key = options.pop("key", "")
    return Call(address, message.address, target, req, values, options, key)


def _without_nil(args: tuple[Value, ...]) -> tuple[Value, ...]:
    """Arguments without the nils behind them, which some clients fill up with."""
    count = len(args)
    while count and args[count - 1] is None:
        count -= 1
    return args[:count]


def _alone(request: Request, args: tuple[Value, ...]) -> dict[str, Any] | None:
    """What a lone number means where no `req` can be meant; None for every other message.

    At a trigger it is a `req` from 1 on: below, a pad says how hard it was hit, and a button that
    goes up says 0.
    """
    if not request.alone or len(args) != 1 or isinstance(args[0], str):
        return None
    if request.args == "i:req" and not (isinstance(args[0], bool | float) and 0 <= args[0] < 1):
        return None
    return {request.alone[2:]: _convert(request.alone, args[0])}


def _match_address(address: str) -> tuple[str, dict[str, Any]]:
    """The address as the table has it, and the arguments in it."""
    parts = address.split("/")
    for known in REQUESTS:
        names = known.split("/")
        if len(names) == len(parts) and all(
            name == part or name in PLACES for name, part in zip(names, parts, strict=True)
        ):
            pairs = [(PLACES[n], p) for n, p in zip(names, parts, strict=True) if n in PLACES]
            return known, {name[2:]: _convert(name, part) for name, part in pairs}
    return address, {}


def _split_options(address: str, args: Sequence[Value]) -> tuple[list[Value], dict[str, Any]]:
    """Part what follows the fixed arguments: options are `name=value`, or `name=` then a value.

    Where texts are repeated, one with a "=" in it is one of them, unless its name is an option's or
    nearly so.
    """
    repeats = REQUESTS[address].args.endswith("...")
    allowed = {n[2:]: n for n in f"{REQUESTS[address].options} {EVERYWHERE}".split()}
    rest: list[Value] = []
    options: dict[str, Any] = {}
    left = list(args)
    while left:
        value = left.pop(0)
        match = _OPTION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            rest.append(value)
            continue
        name, text = match.groups()
        if repeats and not get_close_matches(name, allowed, n=1, cutoff=ALIKE):
            rest.append(value)
            continue
        if name not in allowed:
            names = ", ".join(allowed)
            raise Refused("bad-arguments", f"there is no option {name!r}; there are {names}")
        if not text and not left:
            raise Refused("bad-arguments", f"option {name!r} has no value")
        options[name] = _convert(allowed[name], text or left.pop(0))
    return rest, options


def _convert(declared: str, value: Value) -> Any:
    """A value as the type declared: tablets and Pure Data say every number as a float."""
    kind, name = declared.split(":", 1)
    try:
        if kind == "s":
            if isinstance(value, str):
                return value
        elif value is not None:
            number = float(value)
            if kind == "f" and math.isfinite(number):
                return number
            if kind == "i" and number.is_integer():
                return int(number)
    except (ValueError, OverflowError):
        pass
    raise Refused("bad-arguments", f"{name} must be {_MEANING[kind]}, got {value!r:.80}")


def request_id(value: Value) -> int:
    """The req to answer under, as far as one can be seen."""
    try:
        req = _convert("i:req", value)
    except Refused:
        return UNKNOWN
    return int(req) if 0 <= req < 2**31 else UNKNOWN


def _usage(address: str) -> str:
    return f"{address} takes {REQUESTS[address].args}"


_MEANING = {"i": "a whole number", "f": "a finite number", "s": "text"}
