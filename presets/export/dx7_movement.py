"""What moves a whole DX7 voice: pitch envelope and LFO, from ours and back.

Ours starts some semitones off and comes back exponentially; a DX7's goes in straight lines from
level to level, beginning at the fourth. Its LFO is a sine as ours, half a cycle apart, and has one
depth for all operators' levels, which each takes a share of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from presets.dx7 import (
    PITCH_LEVELS,
    PITCH_RATES,
    SINE,
    TREMOLO,
    Voice,
    lfo_hz,
    pitch_semitones,
    pitch_speed,
    tremolo_db,
    vibrato,
)
from presets.export.laws import Movement, filters

NO_PITCH = 50
MOST = 48.0  # semitones of our pitch envelope
BENDS = (0.4, 0.12)  # of the way that is left at two corners of an exponential
DEEPEST_DB = 60.0  # what an LFO may lower a level by
FAINT_DB = 0.5
FAINT_SEMITONES = 0.02
TIMES = tuple(0.005 * 400.0 ** (n / 40.0) for n in range(41))  # of our pitch envelope, 5 ms to 2 s
POINTS, LISTENED = 64, 3.0  # at which two pitch envelopes are compared, and seconds


@dataclass(frozen=True, slots=True)
class Tremolo:
    """The LFO's depth on levels, and the sensitivities of carriers and modulators, 0..3."""

    depth: int
    carriers: int
    modulators: int


def pitch_levels(moving: Movement) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rates and levels of the pitch envelope nearest to ours; a key let go bends it slowest."""
    start = moving.pitch_start
    if abs(start) < FAINT_SEMITONES:
        return (99,) * 4, (NO_PITCH,) * 4
    corners = [start, *(share * start for share in BENDS), 0.0]
    levels = [_nearest(PITCH_LEVELS, x * 32.0 / 12.0) for x in corners]
    shares = (1.0, *BENDS, 0.25 * BENDS[-1])
    rates = []
    for (before, after), (a, b) in zip(pairwise(shares), pairwise(levels), strict=True):
        seconds = moving.pitch_time * math.log(before / after)
        way = abs(pitch_semitones(a) - pitch_semitones(b))
        rates.append(_nearest(PITCH_RATES, way / seconds * 21.3 / 12.0))
    return (*rates, 0), (*levels[1:], levels[0])


def read_pitch(voice: Voice) -> tuple[float, float, float]:
    """Semitones and seconds of our pitch envelope nearest to a voice's, and semitones it is off."""
    rest = pitch_semitones(voice.pitch_levels[2])
    corners = [(0.0, pitch_semitones(voice.pitch_levels[3]))]
    for rate, level in zip(voice.pitch_rates[:3], voice.pitch_levels[:3], strict=True):
        time, at = corners[-1]
        wanted = pitch_semitones(level)
        corners.append((time + abs(wanted - at) / pitch_speed(rate), wanted))
    times = [LISTENED * ((i + 0.5) / POINTS) ** 2 for i in range(POINTS)]
    theirs = [_line(corners, t) for t in times]

    def away(start: float, time: float) -> float:
        total = sum(
            (2 * i + 1) * abs(start * math.exp(-t / time) - x)
            for i, (t, x) in enumerate(zip(times, theirs, strict=True))
        )
        return total / POINTS**2

    starts = {0.0, corners[0][1] - rest, corners[1][1] - rest, corners[2][1] - rest}
    # the fewest semitones of equals, so that a voice without a pitch envelope has none here
    reach = {max(-MOST, min(MOST, start)) for start in starts}
    found = min(((away(s, t), abs(s), s, t) for s in reach for t in TIMES), key=lambda f: f[:3])
    return found[2], found[3], found[0]


def speed(hz: float) -> int:
    """The LFO's speed 0..99 nearest to our frequency."""
    return min(range(100), key=lambda n: abs(math.log(lfo_hz(n) / hz)))


def vibrato_depth(semitones: float) -> tuple[int, int]:
    """Pitch depth 0..99 and sensitivity 0..7 of the LFO nearest to ours."""
    if semitones < FAINT_SEMITONES:
        return 0, 0
    pairs = ((depth, sensitivity) for sensitivity in range(1, 8) for depth in range(1, 100))
    return min(pairs, key=lambda pair: (abs(vibrato(*pair) - semitones), pair[1]))


def tremolo(level: float, index: float) -> Tremolo:
    """The LFO's depth on levels nearest to ours, of 0..1 on what is heard and on what modulates."""
    heard, modulating = dip_db(level), dip_db(index)
    if max(heard, modulating) < FAINT_DB:
        return Tremolo(0, 0, 0)

    def away(depth: int, sensitivity: int, wanted: float) -> float:
        return abs(tremolo_db(depth, sensitivity) - wanted) / (10.0 + wanted)

    best, found = math.inf, Tremolo(0, 0, 0)
    for depth in range(1, 100):
        carriers, modulators = (
            min(range(len(TREMOLO)), key=lambda s: away(depth, s, wanted))
            for wanted in (heard, modulating)
        )
        off = away(depth, carriers, heard) + away(depth, modulators, modulating)
        if off < best:
            best, found = off, Tremolo(depth, carriers, modulators)
    return found


def dip_db(depth: float) -> float:
    """dB by which our LFO of depth 0..1 lowers a level at its lowest."""
    return min(DEEPEST_DB, -20.0 * math.log10(max(1.0 - depth, 1e-6)))


def read_tremolo(voice: Voice, sizes: Sequence[float], slots: Sequence[int]) -> float:
    """Our depth 0..1 of the LFO on the operators in `slots` (1..6), the mean by their sizes."""
    total = sum(sizes[slot - 1] for slot in slots)
    if total <= 0.0:
        return 0.0
    dips = (
        sizes[slot - 1] * tremolo_db(voice.lfo_amp_depth, voice.operators[slot - 1].amp_sensitivity)
        for slot in slots
    )
    return float(1.0 - 10.0 ** (-sum(dips) / total / 20.0))


def losses(moving: Movement) -> list[str]:
    """What of ours a DX7 has not."""
    said = []
    if moving.noise_level > 0.0:
        said.append(f"noise: a DX7 has none, {moving.noise_level:.2f} of it is left out")
    if filters(moving):
        said.append(f"filter: a DX7 has none, at {moving.filter_hz:.0f} Hz it is left out")
    if any((moving.lfo_to_pitch, moving.lfo_to_level, moving.lfo_to_index)):
        said.append("LFO: a sine too, half a cycle apart")
    return said


def unsaid(voice: Voice, off: float) -> list[str]:
    """What of a voice's movement ours is not."""
    said = []
    if off > 0.5:
        said.append(f"pitch envelope: it is {off:.1f} semitones off on average")
    if pitch_semitones(voice.pitch_levels[2]):
        said.append("pitch envelope: where it holds is taken for the key's own pitch")
    moves = voice.lfo_pitch_depth and voice.pitch_sensitivity
    if moves or (voice.lfo_amp_depth and any(op.amp_sensitivity for op in voice.operators)):
        if voice.lfo_wave != SINE:
            said.append("LFO: its wave is a sine here")
        if voice.lfo_delay:
            said.append("LFO: its delay is left out")
    return said


def _nearest(table: Sequence[int], wanted: float) -> int:
    return min(range(len(table)), key=lambda n: abs(table[n] - wanted))


def _line(corners: Sequence[tuple[float, float]], time: float) -> float:
    for (t0, y0), (t1, y1) in pairwise(corners):
        if t0 <= time < t1:
            return y0 + (y1 - y0) * (time - t0) / (t1 - t0) - corners[-1][1]
    return 0.0
