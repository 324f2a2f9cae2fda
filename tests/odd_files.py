"""Sound files as they are found: formats, sizes, chunks; legal ones, or wrong in a usual way."""

import struct
from pathlib import Path

import numpy as np

RATE, FRAMES, START = 48000, 4801, 172_800_123
MODES = {  # kind, bits said, bytes a sample takes, and how a float becomes one
    "unsigned8": (1, 8, 1),
    "pcm16": (1, 16, 2),
    "plain20": (1, 20, 3),
    "pcm24": (1, 24, 3),
    "20in24": (0xFFFE, 24, 3),
    "24in32": (1, 24, 4),
    "pcm32": (1, 32, 4),
    "float32": (3, 32, 4),
    "float64": (3, 64, 8),
}


def sound(channels: int = 2, frames: int = FRAMES) -> np.ndarray:
    """Noise [T, C] in steps that every format holds, of 8 bits."""
    steps = np.random.default_rng(5).integers(-100, 100, (frames, channels))
    return steps / 128


def chunk(name: bytes, body: bytes, *, size: int | None = None, order: str = "<") -> bytes:
    told = len(body) if size is None else size
    return name + struct.pack(f"{order}I", told) + body + b"\0" * (len(body) % 2)


def bext(start: int = START, order: str = "<") -> bytes:
    body = bytes(338) + struct.pack(f"{order}IIH", start % 2**32, start >> 32, 1) + bytes(254)
    return chunk(b"bext", body, order=order)


def ixml(start: int = START, rate: int = RATE) -> bytes:
    stamp = "TIMESTAMP_SAMPLE"
    text = (
        f"<BWFXML><SPEED><{stamp}S_SINCE_MIDNIGHT_HI>{start >> 32}</{stamp}S_SINCE_MIDNIGHT_HI>"
        f"<{stamp}S_SINCE_MIDNIGHT_LO>{start % 2**32}</{stamp}S_SINCE_MIDNIGHT_LO>"
        f"<{stamp}_RATE>{rate}</{stamp}_RATE></SPEED></BWFXML>"
    )
    return chunk(b"iXML", text.encode())


def fmt(mode: str, channels: int = 2, order: str = "<") -> bytes:
    kind, bits, width = MODES[mode]
    frame = channels * width
    body = struct.pack(f"{order}HHIIHH", kind, channels, RATE, RATE * frame, frame, bits)
    if kind == 0xFFFE:
        guid = bytes.fromhex("0100000000001000800000aa00389b71")
        body += struct.pack("<HHI", 22, 20, 3) + guid
    return chunk(b"fmt ", body, order=order)


def samples(mode: str, audio: np.ndarray, order: str = "<") -> bytes:
    kind, _, width = MODES[mode]
    if kind == 3:
        return audio.astype(f"{order}f{width}").tobytes()
    if width == 1:
        return (audio * 128 + 128).astype(np.uint8).tobytes()
    whole = (audio * 2.0**31).astype(f"{order}i4").tobytes()
    if order == ">":
        return np.frombuffer(whole, np.uint8).reshape(-1, 4)[:, :width].tobytes()
    return np.frombuffer(whole, np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes()


def riff(*chunks: bytes, name: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    order = ">" if name == b"RIFX" else "<"
    return name + struct.pack(f"{order}I", len(body) if size is None else size) + body


def plain(mode: str = "pcm16", *before: bytes, size: int | None = None) -> bytes:
    """A WAV of `sound()`, with chunks before its samples."""
    data = chunk(b"data", samples(mode, sound()), size=size)
    return riff(*(before or (bext(),)), fmt(mode), data)


def id3(size: int = 300) -> bytes:
    return b"ID3\x04\0\0" + bytes((0, 0, size >> 7, size & 127)) + bytes(size)


def flac_block(body: bytes, kind: int = 2, *, last: bool = False) -> bytes:
    return bytes([kind | 128 * last]) + len(body).to_bytes(3, "big") + body


def with_foreign_metadata(flac: bytes, *chunks: bytes) -> bytes:
    """A FLAC with blocks behind its STREAMINFO as `flac --keep-foreign-metadata` writes them."""
    begin = 4 + 4 + 34
    head = bytearray(flac[:begin])
    last, head[4] = head[4] & 128, head[4] & 127
    parts = [b"RIFF\0\0\0\0WAVE", *chunks, b"data\0\0\0\0"]
    blocks = [flac_block(b"riff" + part) for part in parts]
    if last:
        blocks[-1] = bytes([blocks[-1][0] | 128]) + blocks[-1][1:]
    return bytes(head) + b"".join(blocks) + flac[begin:]


HALF = FRAMES // 2
CASES = {  # bytes and the right (frames, start)
    **{mode: (plain(mode), FRAMES, START) for mode in MODES},
    "behind an ID3 tag": (id3() + plain(), FRAMES, START),
    "bext behind data": (
        riff(fmt("pcm16"), chunk(b"data", samples("pcm16", sound())), bext()), FRAMES, START,
    ),
    "iXML only": (plain("pcm16", ixml()), FRAMES, START),
    "iXML at twice the rate": (plain("pcm16", ixml(2 * START, 2 * RATE)), FRAMES, START),
    "bext before iXML": (plain("pcm16", ixml(7), bext()), FRAMES, START),
    "an iXML bomb": (plain("pcm16", chunk(b"iXML", b"<!DOCTYPE a><BWFXML/>")), FRAMES, 0),
    "size 0": (plain(size=0), FRAMES, START),
    "size -1": (plain(size=0xFFFFFFFF), FRAMES, START),
    "size too large": (plain(size=0x7FFFFFFF), FRAMES, START),
    "cut off": (plain()[:-5], FRAMES - 2, START),
    "two chunks of samples": (
        riff(
            bext(), fmt("pcm16"), chunk(b"data", samples("pcm16", sound(frames=FRAMES)[:HALF])),
            chunk(b"data", samples("pcm16", sound())),
        ), HALF, START,
    ),
    "no padding": (
        riff(bext(), chunk(b"LIST", b"INFOISFT\5\0\0\0abcd\0")[:-1], fmt("pcm16"),
             chunk(b"data", samples("pcm16", sound()))), FRAMES, START,
    ),
    "above 32 bits": (plain("pcm16", bext(2**32 + 5)), FRAMES, 2**32 + 5),
    "big-endian": (
        riff(bext(order=">"), fmt("pcm16", order=">"),
             chunk(b"data", samples("pcm16", sound(), ">"), order=">"), name=b"RIFX"),
        FRAMES, START,
    ),
}  # fmt: skip


def write(folder: Path, case: str) -> Path:
    path = folder / f"{case}.wav"
    path.write_bytes(CASES[case][0])
    return path
