"""The DX7 voices of a file as it is met in the wild: `read` walks from message to message.

A .syx file may hold banks (F0 43 0n 09, 4096 bytes), single voices (F0 43 0n 00, 155 bytes) and any
other messages, in any order, with bytes before, between and behind them; it may lack its frame
altogether, have been cut short, or be a Standard MIDI File. What is no DX7 voice is passed over and
said. `dx7_sysex` knows the bytes of one message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from presets.dx7 import Voice
from presets.dx7_sysex import (
    BANK,
    NAME,
    PACKED,
    SINGLE,
    VCED,
    VOICES,
    checksum,
    is_likely,
    voice_of,
)

MAX_BYTES = 16 * 2**20  # of a file: 4000 banks
MAX_TOLD = 8  # sentences on what was passed over
START, END = 0xF0, 0xF7
CLOCK = 0xF8  # from here on a byte may stand inside any message: clock, active sensing
YAMAHA = 0x43
WHOLE = PACKED * VOICES

MAKERS = {
    0x40: "Kawai", 0x41: "Roland", 0x42: "Korg", 0x44: "Casio", 0x47: "Akai",
    0x7E: "universal", 0x7F: "universal",
}  # fmt: skip
FORMATS = {
    0x01: "a performance", 0x02: "64 performances",
    0x03: "a voice of a 4-operator synth, as DX21 and TX81Z",
    0x04: "32 voices of a 4-operator synth, as DX21 and TX81Z",
    0x05: "a DX7II supplement", 0x06: "a DX7II supplement of 32 voices",
    0x7E: "other data by name (DX7II performances, tunings and the like)",
}  # fmt: skip
"""The formats of Yamaha's bulk dumps that hold no DX7 voice."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds.

    `voices` in the order of the file; `doubts` has for each voice the sentences on the message it
    came in (a wrong checksum, say), mostly none; `passed_over` says what else was in the file.
    """

    voices: tuple[Voice, ...]
    doubts: tuple[tuple[str, ...], ...]
    passed_over: tuple[str, ...]


def read(data: bytes) -> Contents:
    """Read all DX7 voices of a file.

    Raises `ValueError` with one sentence that says what the file holds when no voice is in it.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"a file of DX7 voices has at most {MAX_BYTES} bytes, got more")
    damage, form = "", data[:4]
    if form == b"MThd":
        data, damage = _from_midi(data)
    voices: list[Voice] = []
    doubts: list[tuple[str, ...]] = []
    other: Counter[str] = Counter()
    for part in _parts(data):
        got, said = _voices(part)
        voices += got
        doubts += [said] * len(got)
        if not got:
            other[_named(part)] += 1
    passed_over = (*_listed(other), *([damage] if damage else []))
    if not voices:
        if form == b"MThd" and not passed_over:
            passed_over = ("a MIDI file without any system-exclusive message",)
        raise ValueError(f"there is no DX7 voice in it: {_instead(data, passed_over)}")
    return Contents(tuple(voices), tuple(doubts), passed_over)


def _listed(other: Counter[str]) -> list[str]:
    """Each kind of part once, the first few."""
    lines = [f"{count} x {what}" if count > 1 else what for what, count in other.items()]
    more = sum(other.values()) - sum([*other.values()][:MAX_TOLD])
    return [*lines[:MAX_TOLD], *([f"{more} other parts"] if more else [])]


def _instead(data: bytes, passed_over: tuple[str, ...]) -> str:
    if START in data or (passed_over and not data):
        return f"it holds {', '.join(passed_over)}"
    begins = f", begins with {data[:4].hex(' ').upper()}" if data else ""
    return (
        f"it holds no system-exclusive message (F0 ... F7), and without one it must be {VCED} bytes"
        f" (one voice) or a multiple of {WHOLE} (banks of {VOICES}), all voices; it has"
        f" {len(data)} bytes{begins}"
    )


def _parts(data: bytes) -> Iterator[bytes]:
    """Cut a file into its messages and what lies between them; joined they are the file."""
    place = 0
    while place < len(data):
        if data[place] == START:
            size = _size(data, place)
        else:
            following = data.find(START, place)
            size = (len(data) if following < 0 else following) - place
        yield data[place : place + size]
        place += size


def _size(data: bytes, place: int) -> int:
    """Bytes of the message at `place`.

    A DX7 dump that has its F7 where it should is taken whole, whatever is in between (high bits
    are found set); else a message ends behind the next F7, or before the next F0.
    """
    for form, size in ((BANK, WHOLE), (SINGLE, VCED)):
        whole = size + 8
        at_end = data[place + whole - 1 : place + whole]
        if _is_dump(data[place : place + 4], form[0]) and at_end == bytes((END,)):
            return whole
    following = data.find(START, place + 1)
    limit = len(data) if following < 0 else following
    end = data.find(END, place, limit)
    return (limit if end < 0 else end + 1) - place


def _is_dump(message: bytes, form: int) -> bool:
    """Whether it is a bulk dump of Yamaha's (F0 43 0n) in this format."""
    begins = message[:2] == bytes((START, YAMAHA)) and message[3:4] == bytes((form,))
    return begins and message[2] < 0x10


def _voices(part: bytes) -> tuple[list[Voice], tuple[str, ...]]:
    """The voices of one part of a file, and what is doubtful about them."""
    if part[0] != START:
        return _frameless(part), ()
    form = BANK if _is_dump(part, BANK[0]) else SINGLE
    if not _is_dump(part, form[0]):
        return [], ()
    size = WHOLE if form == BANK else VCED
    if len(part) != size + 8:
        part = bytes(byte for byte in part if byte < CLOCK)
    body = part[6:].removesuffix(bytes((END,)))
    said = []
    if part[4:6] != form[1:]:
        count = part[4] << 7 | part[5] & 0x7F if len(part) > 5 else 0
        said.append(f"its byte count is wrong: {count} instead of {size}")
    if len(body) < size:
        said.append(f"the file is cut: {len(body)} of {size} bytes are here")
    elif part[-1] != END:
        said.append("its end (F7) is missing: the file may be cut")
    if any(byte > 0x7F for byte in body[:size]):
        said.append("bytes above 7F are in it, read without their high bit: it may be damaged")
    if len(body) > size and body[size] & 0x7F != checksum(body[:size]):
        said.append("its checksum is wrong: it may be damaged")
    body = bytes(byte & 0x7F for byte in body[:size])
    step = PACKED if form == BANK else VCED
    pieces = [body[at : at + step] for at in range(0, len(body) - step + 1, step)]
    if len(body) < size:  # a whole one is read however odd its numbers are, as hardware does
        pieces = [piece for piece in pieces if is_likely(piece)]
    return [voice_of(piece) for piece in pieces], tuple(said)


def _frameless(data: bytes) -> list[Voice]:
    """The voices of a dump whose F0 ... F7 was taken off, if it looks like one."""
    step = VCED if len(data) == VCED else PACKED
    if step == PACKED and len(data) % WHOLE:
        return []
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    likely = all(is_likely(piece) and min(piece[-NAME:]) >= ord(" ") for piece in pieces)
    return [voice_of(piece) for piece in pieces] if likely else []


def _named(part: bytes) -> str:
    """What a part without a DX7 voice is, for people."""
    size = f"{len(part)} bytes" if len(part) > 1 else "1 byte"
    if part[0] != START:
        return f"{size} outside of any message"
    if len(part) < 4 or part[1] != YAMAHA:
        maker = MAKERS.get(part[1], f"maker {part[1]:02X}") if len(part) > 1 else "cut"
        return f"another maker's message ({maker}, {size})"
    if part[2] >> 4 == 1:
        return f"a parameter change ({size})"
    if part[2] < 0x10 and part[3] in (BANK[0], SINGLE[0]):
        return f"a DX7 dump cut before its first voice ended ({size})"
    what = FORMATS.get(part[3], f"format {part[3]:02X}") if part[2] < 0x10 else "no dump"
    return f"another message of Yamaha's: {what} ({size})"


def _from_midi(data: bytes) -> tuple[bytes, str]:
    """The system-exclusive messages of a Standard MIDI File, and a sentence if it is damaged."""
    found = bytearray()
    place = 8 + int.from_bytes(data[4:8], "big")
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "big")
        track = data[place + 8 : place + 8 + size]
        if data[place : place + 4] == b"MTrk":
            try:
                found += b"".join(_exclusives(track))
            except IndexError:
                return bytes(found), f"the rest of a MIDI file that is damaged or cut, at {place}"
        place += 8 + size
    return bytes(found), ""


def _exclusives(track: bytes) -> Iterator[bytes]:
    """The system-exclusive bytes of a track, in order; `IndexError` within an event cut short."""
    place, status = 0, 0
    while place < len(track):
        _, place = _number(track, place)  # the time since the event before
        if track[place] >= 0x80:
            status = track[place]
            place += 1
        if status in (START, END):  # END here: more of a message, or bytes as they are
            size, place = _number(track, place)
            yield (b"\xf0" if status == START else b"") + track[place : place + size]
        elif status == 0xFF:
            size, place = _number(track, place + 1)
        else:
            size = 1 if status >> 4 in (0xC, 0xD) else 2
        place += size
        if place > len(track):
            raise IndexError("the event is longer than its track")


def _number(track: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place behind it."""
    value = 0
    for _ in range(4):
        byte = track[place]
        value, place = value << 7 | byte & 0x7F, place + 1
        if byte < 0x80:
            break
    return value, place
