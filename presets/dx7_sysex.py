"""DX7 voices as MIDI system-exclusive messages: a bank of 32, or a single voice.

A message is F0 43 0c, format, byte count, data, checksum, F7. The data of a single voice is a byte
a number (VCED, 155 bytes, operator 6 first); a bank packs each voice into 128 bytes (VMEM).
Numbers beyond their range, which old banks contain, are read as the nearest allowed one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

from presets.dx7 import Operator, Voice

VOICES = 32  # of a bank
SINGLE = bytes((0x00, 0x01, 0x1B))  # format 0, 155 bytes
BANK = bytes((0x09, 0x20, 0x00))  # format 9, 4096 bytes
VCED = 155
_OPERATOR = 21
PACKED = 128
NAME = 10

# the largest value of each byte: of an operator, and of what follows the six operators
_OPERATOR_TOP = (*(99,) * 8, 99, 99, 99, 3, 3, 7, 3, 7, 99, 1, 31, 99, 14)
_COMMON_TOP = (*(99,) * 8, 31, 7, 1, 99, 99, 99, 99, 1, 5, 7, 48)
_TOP = _OPERATOR_TOP * 6 + _COMMON_TOP + (127,) * NAME

# How a bank packs bytes of a voice: for each packed byte the (byte, shift) pairs it holds.
_PACKED_OPERATOR = (
    *(((i, 0),) for i in range(11)),
    ((11, 0), (12, 2)),  # scaling curves, left and right
    ((13, 0), (20, 3)),  # rate scaling, detune
    ((14, 0), (15, 2)),  # sensitivities, to the LFO and to velocity
    ((16, 0),),
    ((17, 0), (18, 1)),  # fixed, coarse
    ((19, 0),),
)
_PACKED_COMMON = (
    *(((i, 0),) for i in range(9)),
    ((9, 0), (10, 3)),  # feedback, key sync
    *(((i, 0),) for i in range(11, 15)),
    ((15, 0), (16, 1), (17, 4)),  # LFO sync and wave, pitch sensitivity
    *(((i, 0),) for i in range(18, 19 + NAME)),
)
_LAYOUT = tuple(
    tuple((start + byte, shift) for byte, shift in packed)
    for start, rows in (
        *((_OPERATOR * n, _PACKED_OPERATOR) for n in range(6)),
        (_OPERATOR * 6, _PACKED_COMMON),
    )
    for packed in rows
)


def write_single(voice: Voice, *, channel: int = 1) -> bytes:
    """The 163-byte message of one voice, as hardware receives it into its edit buffer."""
    return _message(SINGLE, _numbers(voice), channel)


def write_bank(voices: Sequence[Voice], *, channel: int = 1) -> bytes:
    """The 4104-byte message of 32 voices. The inverse of `dx7_file.read`."""
    if len(voices) != VOICES:
        raise ValueError(f"a DX7 bank has {VOICES} voices, got {len(voices)}")
    return _message(BANK, b"".join(_pack(_numbers(voice)) for voice in voices), channel)


def voice_of(numbers: bytes) -> Voice:
    """The voice of 155 bytes (VCED) or 128 (VMEM), all below 80."""
    return _voice(_unpack(numbers) if len(numbers) == PACKED else numbers)


def is_likely(numbers: bytes) -> bool:
    """Whether 155 or 128 bytes without a message round them look like a voice.

    All are below 80, and of those that have a range of 0 .. 99 one in twenty is beyond it at most:
    of letters it is every other one.
    """
    if any(byte > 0x7F for byte in numbers):
        return False
    unpacked = _unpack(numbers) if len(numbers) == PACKED else numbers
    beyond = [n > top for n, top in zip(unpacked, _TOP, strict=True) if top == 99]
    return 20 * sum(beyond) <= len(beyond)


def _message(form: bytes, body: bytes, channel: int) -> bytes:
    if not 1 <= channel <= 16:
        raise ValueError(f"a MIDI channel must be in 1..16, got {channel}")
    return bytes((0xF0, 0x43, channel - 1, *form, *body, checksum(body), 0xF7))


def checksum(body: bytes) -> int:
    """What makes the sum of the data and it end in seven zero bits."""
    return -sum(body) & 0x7F


def _numbers(voice: Voice) -> bytes:
    """A voice as VCED, checked. The inverse of `_voice`."""
    common = [v for field in astuple(voice)[1:-1] for v in _flat(field)]
    common[8] -= 1  # the panel counts algorithms from 1, the bytes from 0
    numbers = [
        *(n for op in reversed(voice.operators) for field in astuple(op) for n in _flat(field)),
        *common,
        *voice.name.encode("ascii", "replace")[:NAME].ljust(NAME),
    ]
    for place, (number, top) in enumerate(zip(numbers, _TOP, strict=True)):
        if not 0 <= number <= top:
            raise ValueError(f"byte {place} of a DX7 voice must be in 0..{top}, got {number}")
    return bytes(numbers)


def _flat(field: int | tuple[int, ...]) -> tuple[int, ...]:
    return field if isinstance(field, tuple) else (field,)


def _voice(numbers: bytes) -> Voice:
    """VCED as a voice. The inverse of `_numbers`."""
    n = [min(number, top) for number, top in zip(numbers, _TOP, strict=True)]
    operators = tuple(
        Operator(tuple(n[i : i + 4]), tuple(n[i + 4 : i + 8]), *n[i + 8 : i + _OPERATOR])
        for i in range(5 * _OPERATOR, -1, -_OPERATOR)
    )
    common = n[6 * _OPERATOR : -NAME]
    algorithm, feedback, key_sync, speed, delay, pitch_depth, amp_depth, sync = common[8:16]
    wave, sensitivity, transpose = common[16:]
    name = "".join(chr(c) if 32 <= c < 127 else " " for c in n[-NAME:])
    return Voice(
        operators,
        tuple(common[:4]),
        tuple(common[4:8]),
        algorithm + 1,
        feedback,
        key_sync,
        speed,
        delay,
        pitch_depth,
        amp_depth,
        sync,
        wave,
        sensitivity,
        transpose,
        name.rstrip(),
    )


def _pack(numbers: bytes) -> bytes:
    """VCED to VMEM. The inverse of `_unpack`."""
    return bytes(sum(numbers[byte] << shift for byte, shift in packed) for packed in _LAYOUT)


def _unpack(packed: bytes) -> bytes:
    """VMEM to VCED. The inverse of `_pack`: a field has as many bits as its largest value."""
    numbers = bytearray(VCED)
    for value, fields in zip(packed, _LAYOUT, strict=True):
        for byte, shift in fields:
            numbers[byte] = value >> shift & (1 << _TOP[byte].bit_length()) - 1
    return bytes(numbers)
