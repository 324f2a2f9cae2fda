"""DX7 files as they are met: every voice is found, and what is passed over is said."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from dataclasses import replace

import pytest

from presets.dx7 import Operator, Voice
from presets.dx7_file import MAX_BYTES, MAX_TOLD, read
from presets.dx7_sysex import write_bank, write_single

HEARD = Operator(output=99)
VOICES = [Voice((HEARD, *(Operator(),) * 5), algorithm=1 + n, name=f"V {n:02d}") for n in range(32)]
OTHERS = [replace(voice, name=f"W {n:02d}") for n, voice in enumerate(VOICES)]
BANK, SECOND = write_bank(VOICES), write_bank(OTHERS, channel=16)
SINGLE = write_single(VOICES[3])
SUPPLEMENT = b"\xf0\x43\x00\x06\x08\x60" + bytes(1120) + b"\x00\xf7"
SWITCH = b"\xf0\x43\x10\x19\x4d\x00\xf7"  # what a DX7II says before its dump
KORG = b"\xf0\x42\x30\x03\x40\x01\xf7"


def names(data: bytes) -> list[str]:
    return [voice.name for voice in read(data).voices]


BOTH = [voice.name for voice in (*VOICES, *OTHERS)]
ONE = BOTH[:32]


def track(*events: bytes) -> bytes:
    """A Standard MIDI File of one track."""
    body = b"".join(events) + b"\x00\xff\x2f\x00"
    head = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, 96)
    return head + struct.pack(">4sI", b"MTrk", len(body)) + body


# 4103 and 99 bytes follow F0; as MIDI numbers of seven bits these are A0 07 and 63
WHOLE = b"\x00\xf0\xa0\x07" + BANK[1:]
TORN = b"\x00\xf0\x63" + SINGLE[1:100] + b"\x05\xf7\x3f" + SINGLE[100:]
NOTES = b"\x00\x90\x3c\x40" + b"\x60\x3c\x00" + b"\x00\xc0\x05" + b"\x00\xff\x03\x02hi"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (BANK, ONE),
        (SINGLE, ["V 03"]),
        (BANK + SECOND, BOTH),
        (SINGLE * 3, ["V 03"] * 3),
        (SINGLE + BANK + SINGLE, ["V 03", *ONE, "V 03"]),
        (BANK[6:-2], ONE),
        (BANK[6:-2] + SECOND[6:-2], BOTH),
        (SINGLE[6:-2], ["V 03"]),
        (track(WHOLE), ONE),
        (track(NOTES, WHOLE, NOTES, TORN), [*ONE, "V 03"]),
    ],
    ids=str,
)
def test_every_voice_in_order(data: bytes, expected: list[str]) -> None:
    found = read(data)
    assert [voice.name for voice in found.voices] == expected
    assert found.doubts == ((),) * len(expected)
    assert found.passed_over == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (SWITCH + SUPPLEMENT + BANK, ("a parameter change", "a DX7II supplement of 32 voices")),
        (BANK + SUPPLEMENT, ("a DX7II supplement of 32 voices (1128 bytes)",)),
        (KORG + BANK + KORG, ("2 x another maker's message (Korg, 7 bytes)",)),
        (b"\xf0\x00\x20\x29\x01\xf7" + BANK, ("another maker's message (maker 00, 6 bytes)",)),
        (bytes(128) + BANK, ("128 bytes outside of any message",)),
        (BANK + b"\r\n", ("2 bytes outside of any message",)),
        (BANK[:5] + BANK, ("a DX7 dump cut before its first voice ended (5 bytes)",)),
    ],
)
def test_what_is_passed_over_is_said(data: bytes, said: tuple[str, ...]) -> None:
    found = read(data)
    assert [voice.name for voice in found.voices] == ONE
    assert len(found.passed_over) == len(said)
    assert all(part in whole for part, whole in zip(said, found.passed_over, strict=True))


def changed(data: bytes, place: int, byte: int) -> bytes:
    return data[:place] + bytes((byte,)) + data[place + 1 :]


@pytest.mark.parametrize(
    ("data", "count", "said"),
    [
        (BANK[:-1], 32, "its end (F7) is missing: the file may be cut"),
        (BANK[: 6 + 5 * 128 + 100], 5, "the file is cut: 740 of 4096 bytes are here"),
        (changed(BANK, -2 + 4104, BANK[-2] ^ 1), 32, "its checksum is wrong: it may be damaged"),
        (changed(BANK, 4, 0x10), 32, "its byte count is wrong: 2048 instead of 4096"),
        (changed(BANK, 124, BANK[124] | 0x80), 32, "bytes above 7F are in it"),
        (changed(SINGLE, -2 + 163, SINGLE[-2] ^ 1), 1, "its checksum is wrong"),
    ],
)
def test_what_is_doubtful_is_said_and_the_voices_read(data: bytes, count: int, said: str) -> None:
    found = read(data)
    assert found.voices == read(BANK if count > 1 else SINGLE).voices[:count]
    assert all(len(doubts) == 1 and said in doubts[0] for doubts in found.doubts)


def test_clock_within_a_message_is_no_part_of_it() -> None:
    """Recorders write F8 (clock) and FE (active sensing) where they came in."""
    found = read(BANK[:1000] + b"\xfe" + BANK[1000:2000] + b"\xf8" + BANK[2000:] + SINGLE)
    assert [voice.name for voice in found.voices] == [*ONE, "V 03"]
    assert set(found.doubts) == {()}


def test_a_cut_message_ends_where_the_next_begins() -> None:
    found = read(BANK[: 6 + 2 * 128] + SECOND)
    assert [voice.name for voice in found.voices] == [*ONE[:2], *BOTH[32:]]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no system-exclusive message .* it has 0 bytes$"),
        (b"RIFF" + bytes(4092), "it has 4096 bytes, begins with 52 49 46 46"),
        (b"Dear diary, nothing was played. " * 128, "begins with 44 65 61 72"),
        (bytes((200,)) * 4096, "begins with C8 C8 C8 C8"),
        (b"\xf0\x43\x00\x04\x20\x00" + bytes(4096) + b"\x00\xf7", "32 voices of a 4-operator"),
        (SUPPLEMENT, "a DX7II supplement of 32 voices"),
        (KORG, "it holds another maker's message .Korg"),
        (b"\xf0", "it holds another maker's message .cut, 1 byte"),
        (b"\xf0\x43\x00\x09\x20\x00" + bytes(100), "cut before its first voice ended"),
        (b"MThd", "a MIDI file without any"),
        (track(NOTES), "a MIDI file without any"),
        (track(WHOLE)[:60], "damaged or cut"),
    ],
)
def test_what_holds_no_voice_is_refused_with_what_it_holds(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        read(data)
    assert "\n" not in str(error.value)


def test_a_size_is_enough_to_refuse() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_BYTES} bytes"):
        read(bytes(MAX_BYTES + 1))


@pytest.mark.parametrize("seed", range(20))
def test_any_bytes_are_read_or_refused(seed: int) -> None:
    """Noise, noise round a bank, and a bank with noise in it: no exception but `ValueError`."""
    random.seed(seed)
    noise = random.randbytes(3000)
    found = read(noise.replace(b"\xf0\x43", b"") + BANK)
    assert len(found.passed_over) <= MAX_TOLD + 1
    assert [voice.name for voice in found.voices][-32:] == ONE
    holes = bytearray(track(WHOLE) if seed % 2 else BANK)
    for _ in range(30):
        holes[random.randrange(len(holes))] = random.randrange(256)
    for data in (noise, b"MThd" + noise, bytes(holes)):
        with suppress(ValueError):
            assert read(data).voices
