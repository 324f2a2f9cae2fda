"""SoundFont 2.01: one preset, one instrument, a zone a sample; after the E-mu specification."""

from __future__ import annotations

import array
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from presets.export import laws
from presets.export.audio import chunk
from presets.export.base import Exported, Exporter, Source
from presets.export.samples import Map, Zone, one_line, sample_map
from presets.preset import Preset

# generators: what a record of `pgen` and `igen` sets
PAN, RELEASE, INSTRUMENT, KEYS, VELOCITIES, SAMPLE, LOOPS, ROOT = 17, 38, 41, 43, 44, 53, 54, 58
SHORTEST_RELEASE, LONGEST_RELEASE = -12000, 7973  # timecents above 1 s: 1 ms to 100 s
FALL = 100.0  # dB of a release, in a straight line
MONO = ((1, 0),)  # channels: kind of sample, pan in 0.1 %
STEREO = ((4, -500), (2, 500))
HEAD = 72  # silent samples before every sound: FluidSynth fades its first 64 in
TAIL = 46  # and after it, as demanded


def export(preset: Preset, source: Source, stem: str) -> Exported:
    """One .sf2."""
    plan = sample_map(preset, source)
    lost = (
        *plan.lost,
        "24 bits: samples are 16 bits",
        f"the exact onset: {1000 * HEAD / source.rate:.1f} ms of silence before it, since players"
        " fade their first samples in",
    )
    if plan.release == math.inf:
        lost += ("notes that ring on: a released key falls 1 dB a second faster",)
    return Exported({f"{stem}.sf2": _file(plan, preset, source)}, lost)


@dataclass(frozen=True, slots=True)
class _Part:
    """One channel of a zone's sample: a sample of its own here, and a zone."""

    zone: Zone
    kind: int
    pan: int
    partner: int
    data: bytes


def _file(plan: Map, preset: Preset, source: Source) -> bytes:
    parts = list(_parts(plan, source))
    return chunk(
        b"RIFF",
        b"sfbk"
        + _list(b"INFO", _info(preset))
        + _list(b"sdta", [(b"smpl", b"".join(part.data for part in parts))])
        + _list(b"pdta", _hydra(parts, plan, preset, source.rate)),
    )


def _parts(plan: Map, source: Source) -> Iterator[_Part]:
    kinds = MONO if source.channels == 1 else STEREO
    for number, zone in enumerate(plan.zones):
        data = source.pcm(zone.note, plan.seconds, bits=16, gain=zone.gain, loop=zone.loop)
        frames = array.array("h", data)
        for channel, (kind, pan) in enumerate(kinds):
            partner = number * len(kinds) + (len(kinds) - 1 - channel)
            one = frames[channel :: len(kinds)].tobytes()
            yield _Part(zone, kind, pan, partner, bytes(2 * HEAD) + one + bytes(2 * TAIL))


def _list(name: bytes, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    return chunk(b"LIST", name + b"".join(chunk(*parts) for parts in chunks))


def _info(preset: Preset) -> Iterator[tuple[bytes, bytes]]:
    yield b"ifil", struct.pack("<HH", 2, 1)
    for name, text in ((b"isng", b"EMU8000"), (b"INAM", _text(preset.name, 254))):
        yield name, text + bytes(2 - len(text) % 2)  # an even size with a zero at its end


# The nine tables of `pdta`. Presets and instruments point at zones (bags), zones at generators;
# every table ends with a record that says where the last one stops. Ours have no modulators: the
# default ones make level follow (v / 127)^2.
def _hydra(
    parts: list[_Part], plan: Map, preset: Preset, rate: int
) -> Iterator[tuple[bytes, bytes]]:
    name = _text(preset.name, 19)
    shared = [(RELEASE, _release(plan) & 0xFFFF), (LOOPS, int(plan.zones[0].loop is not None))]
    zones = [shared, *(_generators(part, number) for number, part in enumerate(parts))]
    ends = [sum(len(zone) for zone in zones[:count]) for count in range(len(zones) + 1)]
    preset_row = struct.Struct("<20s3H3I")
    yield (
        b"phdr",
        preset_row.pack(name, 0, 0, 0, 0, 0, 0) + preset_row.pack(b"EOP", 0, 0, 1, 0, 0, 0),
    )
    yield b"pbag", struct.pack("<4H", 0, 0, 1, 0)
    yield b"pmod", bytes(10)
    yield b"pgen", struct.pack("<HHHH", INSTRUMENT, 0, 0, 0)
    yield b"inst", struct.pack("<20sH20sH", name, 0, b"EOI", len(zones))
    yield b"ibag", b"".join(struct.pack("<HH", end, 0) for end in ends)
    yield b"imod", bytes(10)
    yield b"igen", b"".join(struct.pack("<HH", *g) for zone in zones for g in zone) + bytes(4)
    yield b"shdr", b"".join(_headers(parts, rate)) + struct.pack("<46s", b"EOS")


def _generators(part: _Part, number: int) -> list[tuple[int, int]]:
    """One zone: ranges first and the sample last, as demanded."""
    zone = part.zone
    return [
        (KEYS, zone.keys[0] | zone.keys[1] << 8),
        (VELOCITIES, zone.velocities[0] | zone.velocities[1] << 8),
        (PAN, part.pan & 0xFFFF),
        (ROOT, zone.root),
        (SAMPLE, number),
    ]


def _release(plan: Map) -> int:
    """Timecents of a release that falls by 20 dB in the time that ours does; 1 dB a second else."""
    if plan.release == math.inf:
        return LONGEST_RELEASE
    cents = 1200.0 * math.log2(FALL / 20.0 * laws.FALLEN * plan.release)
    return max(SHORTEST_RELEASE, min(LONGEST_RELEASE, round(cents)))


def _headers(parts: list[_Part], rate: int) -> Iterator[bytes]:
    start = 0
    for part in parts:
        after = start + len(part.data) // 2
        end, key, velocity = after - TAIL, part.zone.root, part.zone.note.velocity
        name = f"key {key} velocity {velocity}".encode()
        loop = part.zone.loop
        first, last = (8, end - start - 8) if loop is None else (HEAD + loop[0], HEAD + loop[1])
        # start, end, loop from, to (unused: 8 inside), rate, root, cents, partner, kind
        numbers = (start, end, start + first, start + last, rate, key, 0, part.partner, part.kind)
        yield struct.pack("<20s5IBbHH", name, *numbers)
        start = after


def _text(text: str, size: int) -> bytes:
    return one_line(text).encode("ascii", "replace")[:size]


EXPORTER = Exporter("SoundFont 2", ".sf2", frozenset({"fm", "impact"}), export)
