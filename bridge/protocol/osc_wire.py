"""OSC 1.0 datagrams to messages and back: python-osc's readers, without its traps.

Measured on python-osc 1.10.2, and why we read messages ourselves: an unknown type tag is skipped
but its bytes are not, so every later argument is read wrong; a float cut short is padded with
zeros; text that is not UTF-8 raises out of the parser; bundles nested 1200 deep overflow the
stack; its servers sleep on time tags. Here a message is understood whole or refused whole.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.parsing import osc_types

Value = int | float | str | bool | None
T = TypeVar("T", bound=Value)

MAX_IN = 8192  # bytes of a datagram read
MAX_OUT = 1400  # bytes of a datagram sent: one Ethernet frame, whatever lies between
PATHS = 1000  # bytes of it that paths may fill; longer ones make it longer, up to MAX_IN
MAX_DEPTH = 4  # bundles within bundles
MAX_MESSAGES = 64  # in one datagram
MAX_ARGS = 64

_BUNDLE = b"#bundle\0"
_FLOAT_MAX = 3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class Message:
    """One OSC message: an address and its arguments."""

    address: str
    args: tuple[Value, ...] = ()


class Malformed(ValueError):
    """A datagram that is no OSC; `address` and `first` argument as far as they could be read."""

    def __init__(self, sentence: str, *, address: str = "", first: Value = None) -> None:
        super().__init__(sentence)
        self.address = address
        self.first = first


class TooMuch(Malformed):
    """A datagram beyond a limit, of which nothing is done."""


def decode(datagram: bytes) -> tuple[Message, ...]:
    """Read one datagram, a message or a bundle, whole; the reverse of `encode`.

    Raises `Malformed`.
    """
    messages: list[Message] = []
    for part in decode_each(datagram):
        if isinstance(part, Malformed):
            raise part
        messages.append(part)
    return tuple(messages)


def decode_each(datagram: bytes) -> tuple[Message | Malformed, ...]:
    """Read one datagram, a message or a bundle; what of it is no OSC stands there as `Malformed`.

    Time tags are read over: what is in a bundle counts as meant for now. Nothing ever waits.
    Raises `Malformed` when there is nothing else, and `TooMuch` beyond the limits.
    """
    if len(datagram) > MAX_IN:
        raise TooMuch(f"a datagram may have {MAX_IN} bytes, this one has {len(datagram)}")
    parts: list[Message | Malformed] = []
    _element(datagram, 0, parts)
    return tuple(parts)


def encode(address: str, args: Sequence[Value], facts: Sequence[tuple[str, Value]] = ()) -> bytes:
    """Write one message of at most `MAX_OUT` bytes, or what its paths need; undone by `decode`.

    `facts` are (name, value) pairs that follow the arguments as long as there is room. When the
    arguments alone are too long, the longest text is cut and ends in an ellipsis: a path last of
    all, as half of one leads nowhere.
    """
    sendable = [(name, _sendable(value)) for name, value in facts]
    plain = [_sendable(value) for value in args]
    named = [value for value in plain if isinstance(value, str) and os.path.isabs(value)]
    room = min(MAX_IN, MAX_OUT + max(0, sum(len(path.encode()) for path in named) - PATHS))
    while True:
        datagram = _build(address, [*plain, *(part for fact in sendable for part in fact)])
        excess = len(datagram) - room
        if excess <= 0:
            return datagram
        if sendable:
            sendable.pop()
            continue
        texts = [
            (value not in named, len(value), at)
            for at, value in enumerate(plain)
            if isinstance(value, str) and len(value) > 1
        ]
        if not texts:
            raise ValueError(f"{address} needs {len(datagram)} bytes, the limit is {room}")
        at = max(texts)[2]
        text = str(plain[at]).encode()
        plain[at] = text[: max(0, len(text) - excess - 4)].decode("utf-8", "ignore") + "…"


def _build(address: str, values: Sequence[Value]) -> bytes:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return bytes(builder.build().dgram)


def _sendable(value: Value) -> Value:
    """Every client reads i, f, s: true is 1, and a number fits into 32 bits."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        value = float(max(-(2**64), min(2**64, value)))
    if isinstance(value, float) and not math.isnan(value):
        return max(-_FLOAT_MAX, min(_FLOAT_MAX, value))
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    return value


def _element(data: bytes, depth: int, parts: list[Message | Malformed]) -> None:
    """Read a message, or a bundle and what is in it, into `parts`."""
    if len(parts) >= MAX_MESSAGES:
        raise TooMuch(f"a datagram may hold {MAX_MESSAGES} messages, this one holds more")
    if not data.startswith(_BUNDLE):
        parts.append(_message(data))
        return
    if depth == MAX_DEPTH:
        raise TooMuch(f"bundles may be nested {MAX_DEPTH} deep, this one is deeper")
    before = len(parts)
    try:
        for element in _elements(data):
            try:
                _element(element, depth + 1, parts)
            except TooMuch:
                raise
            except Malformed as error:
                parts.append(error)
    except TooMuch:
        raise
    except Malformed as error:  # where the next element begins is not known
        if len(parts) == before:
            raise
        parts.append(error)


def _elements(data: bytes) -> Iterator[bytes]:
    """The elements of a bundle; those of size 0 are none."""
    at = len(_BUNDLE) + 8  # the time tag
    if len(data) < at:
        raise Malformed("the bundle ends before its time tag does")
    while at < len(data):
        if len(data) < at + 4:
            raise Malformed("the bundle ends inside the size of an element")
        (size,) = struct.unpack_from(">i", data, at)
        at += 4
        if size < 0 or size % 4 or at + size > len(data):
            raise Malformed(f"a bundle element says it has {size} bytes; {len(data) - at} are left")
        if size:
            yield data[at : at + size]
        at += size


def _message(data: bytes) -> Message:
    if not data.startswith(b"/"):
        raise Malformed("this is not OSC: a message starts with '/', a bundle with '#bundle'")
    address, at = _read(osc_types.get_string, data, 0, "the address", Malformed)
    if not address.isascii() or not address.isprintable():
        raise Malformed("the address must be printable ASCII")
    if at >= len(data):
        return Message(address)  # older clients leave out an empty type tag string

    def malformed(sentence: str) -> Malformed:
        return Malformed(sentence, address=address, first=args[0] if args else None)

    args: list[Value] = []
    tags, at = _read(osc_types.get_string, data, at, "the type tags", malformed)
    if not tags.startswith(","):
        raise malformed("the type tags must start with a comma")
    if len(tags) > MAX_ARGS + 1:
        raise malformed(f"a message may have {MAX_ARGS} arguments, this one has {len(tags) - 1}")
    depth = 0  # of arrays, whose values count one by one
    for number, tag in enumerate(tags[1:], start=1):
        if tag in "[]":
            depth += 1 if tag == "[" else -1
            if depth < 0:
                raise malformed("the type tags close an array that was not opened")
            continue
        if tag in _CONSTANTS:
            args.append(_CONSTANTS[tag])
            continue
        if tag not in _READERS:
            known = ", ".join([*_READERS, *_CONSTANTS, "[", "]"])
            raise malformed(f"argument {number} has type {tag!r}; the types read are {known}")
        size, read = _READERS[tag]
        if at + size > len(data):
            raise malformed(f"the message ends inside argument {number} (type {tag!r})")
        value, at = _read(read, data, at, f"argument {number} (type {tag!r})", malformed)
        args.append(value)
    if depth:
        raise malformed("the type tags open an array that is not closed")
    return Message(address, tuple(args))


def _read(
    read: Callable[[bytes, int], tuple[T, int]],
    data: bytes,
    at: int,
    what: str,
    malformed: Callable[[str], Malformed],
) -> tuple[T, int]:
    try:
        return read(data, at)
    except UnicodeDecodeError as error:
        raise malformed(f"{what} is not UTF-8 text") from error
    except osc_types.ParseError as error:
        raise malformed(f"the datagram ends inside {what}") from error


_READERS: dict[str, tuple[int, Callable[[bytes, int], tuple[Value, int]]]] = {
    "i": (4, osc_types.get_int),
    "f": (4, osc_types.get_float),
    "s": (4, osc_types.get_string),
    "S": (4, osc_types.get_string),
    "h": (8, osc_types.get_int64),
    "d": (8, osc_types.get_double),
}
_CONSTANTS: dict[str, Value] = {"T": True, "F": False, "N": None}
