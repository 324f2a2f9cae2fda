"""Our envelope as the segments of a DX7's, and back.

A DX7 envelope is straight lines over time in octaves of amplitude: a fall has one slope, a rise
slows down at every octave. Ours rises as t / a and falls as exp(-r / d^2) (1 - r / d), which in
dB is a line that bends down. So either one segment rises and two fall, or two rise and one falls.
Both are searched; the nearer one is taken. The last segment ends where the key is held: at our
sustain, or at zero. The fourth segment is the release, exponential too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from presets.dx7 import OCTAVE_DB, Operator, level_db, octaves_per_second, steps
from presets.export.laws import FALLEN, envelope

FLOOR_DB = -60.0  # below its loudest an operator is not heard
ATTACK_SHARE = 0.1  # of the error, at least: an attack is short, and heard
AFTER = 0.3  # how long a tail after our end counts, as a share of our decay
RISE, FALL = 16, 64  # points at which both are compared
LISTENED = 3.0  # seconds of a held key that our decay is fitted to
SPEEDS = tuple(min(r for r in range(100) if r * 41 >> 6 == q) for q in range(64))  # as rates
# Faster rises arrive within one step of 64 samples, nearly all of it in the last few: a click.
SHARPEST = 53  # place in `SPEEDS`, rate 83: about 3 ms

# octaves above what the envelope calls zero: output level 99 sounds at 15, a rise begins at 6.7
_TOP = 15.0
_JUMP = 1716.0 / 256.0
_BOTTOM = 16.0 / 256.0
_BENDS = (-3.0, -6.0, -10.0, -16.0, -24.0)  # first guesses of where a fall bends, in dB
_BLENDS = ((75, 0.06), (83, 0.12), (91, 0.25))  # and of a rise: level, share of the attack before

_RISES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)  # our attack, as a share of the time to their peak
_FALLS = 48  # decays tried, from the shortest to the longest of our knob

Curve = list[tuple[float, float]]  # corners (seconds, dB)
_Grid = tuple[float, tuple[tuple[float, float, float], ...]]  # floor dB; (seconds, our dB, weight)
_Shape = tuple[float, float, float]  # our attack, decay, sustain
# What is searched: place of the first rate in `SPEEDS`, the level between two rises or two falls,
# places of the second and third rate, and 1 if two segments fall, 0 if two rise.
_State = tuple[int, int, int, int, int]


def curve(rates: Sequence[int], levels: Sequence[int], output: int) -> Curve:
    """The corners of a held envelope: seconds, and dB below the operator's output level."""
    top = _top(output)
    time, at = 0.0, 0.0
    corners: Curve = []
    for rate, level in zip(rates[:3], levels[:3], strict=True):
        target = max(_BOTTOM, top + level_db(level) / OCTAVE_DB)
        speed = octaves_per_second(rate)
        if target > at:
            at = max(at, min(_JUMP, target))
            corners.append((time, (at - top) * OCTAVE_DB))
        while at < target:
            up = min(math.floor(at) + 1.0, target)
            time += _rise(at, up) / speed
            at = up
            corners.append((time, (at - top) * OCTAVE_DB))
        if at > target:
            time += (at - target) / speed
            at = target
        corners.append((time, (at - top) * OCTAVE_DB))
    return corners


@lru_cache(maxsize=1024)
def fit(
    attack: float,
    decay: float,
    output: int,
    floor: float = FLOOR_DB,
    sustain: float = 0.0,
    release: float = math.inf,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rates and levels nearest to our envelope, in seconds, at an output level.

    Below `floor` dB the operator is not heard, nor what it modulates. With an infinite release a
    released key goes on falling as a held one: such sounds of ours do not hear a release.
    """
    grid = _grid((attack, decay, sustain), floor)
    held = held_level(sustain, floor)
    found = [_descend(start, grid, output, held) for start in _starts(attack, _top(output), grid)]
    best = min(found, key=lambda state: _cost(state, grid, output, held))
    rates, levels = _segments(best, held)
    last = rates[2] if release == math.inf else release_rate(release)
    return (*rates, last), (*levels, 0)


def held_level(sustain: float, floor: float = FLOOR_DB) -> int:
    """The level 0..99 nearest to our sustain of 0..1; 0 where that is not heard."""
    wanted = 20.0 * math.log10(max(sustain, 1e-6))
    if wanted <= floor:
        return 0
    return min(range(100), key=lambda level: (abs(level_db(level) - wanted), -level))


def release_rate(release: float) -> int:
    """The rate 0..99 that falls by 20 dB in the time that our `release` in seconds does."""
    return SPEEDS[_fall(-20.0, FALLEN * release)]


def release_seconds(rate: int) -> float:
    """Our release in seconds that is nearest to a fall of this rate. Inverse: `release_rate`."""
    return 20.0 / (FALLEN * OCTAVE_DB * octaves_per_second(rate))


def error(
    operator: Operator,
    attack: float,
    decay: float,
    floor: float = FLOOR_DB,
    sustain: float = 0.0,
) -> float:
    """Mean distance in dB of an operator's envelope from our decay, once the attack is over."""
    corners = curve(operator.rates, operator.levels, operator.output)
    grid = _grid((attack, decay, sustain), floor)
    points = tuple(point for point in grid[1] if point[0] > attack)
    return _distance(corners, (floor, points))


def read(
    rates: Sequence[int], levels: Sequence[int], output: int
) -> tuple[float, float, float, float]:
    """Attack, decay and sustain nearest to a held envelope, and how many dB away they are.

    What `fit` undoes: levels are taken against the loudest moment.
    """
    corners = curve(rates, levels, output)
    peak = max(level for _, level in corners)
    reached = min(time for time, level in corners if level == peak)
    silent = min((t for t, y in corners if t > reached and y < peak + FLOOR_DB), default=math.inf)
    span = min(LISTENED, 1.2 * silent)
    times = [span * ((i + 0.5) / FALL) ** 2 for i in range(FALL)]
    theirs = [max(FLOOR_DB, level - peak) for level in _levels(corners, times)]
    held = corners[-1][1] - peak
    sustain = 10.0 ** (held / 20.0) if held > FLOOR_DB else 0.0

    def away(attack: float, decay: float) -> float:
        # points lie as i^2, so one counts for as much time as 2 i
        total = 0.0
        for i, (time, wanted) in enumerate(zip(times, theirs, strict=True)):
            amplitude = max(envelope(time, attack, decay, sustain), 1e-3)
            ours = 20.0 * math.log10(amplitude)
            total += (2 * i + 1) * abs(ours - wanted) * (1.0 - max(ours, wanted) / FLOOR_DB)
        return total / FALL**2

    rise = [reached * (i + 0.5) / RISE for i in range(RISE)]
    risen: list[float] = [10.0 ** ((level - peak) / 20.0) for level in _levels(corners, rise)]

    def rise_away(attack: float) -> float:
        ramp = (min(1.0, time / attack) for time in rise)
        return sum(abs(a - b) for a, b in zip(ramp, risen, strict=True))

    attack = min((min(2.0, max(0.001, reached * share)) for share in _RISES), key=rise_away)
    decays = (0.02 * 500.0 ** (n / _FALLS) for n in range(_FALLS + 1))
    decay = min(decays, key=lambda d: away(attack, d))
    return attack, decay, sustain, away(attack, decay)


def fall_time(corners: Curve, db: float) -> float:
    """Seconds from the last peak of a curve until it lies `db` below it; infinity if it never."""
    peak = max(level for _, level in corners)
    start = max(time for time, level in corners if level == peak)
    for (t0, y0), (t1, y1) in pairwise(corners):
        if t1 > start and y1 <= peak - db < y0:
            return t0 + (t1 - t0) * (y0 - peak + db) / (y0 - y1) - start
    return math.inf


def _top(output: int) -> float:
    return _TOP - (127 - steps(output)) / 8.0


def _rise(low: float, high: float) -> float:
    """Seconds times speed from one octave to another: each is slower than the one below it."""
    total = 0.0
    while low < high:
        octave = math.floor(low)
        up = min(octave + 1.0, high)
        total += (up - low) / max(1, 16 - octave)
        low = up
    return total


@lru_cache(maxsize=64)
def _grid(shape: _Shape, floor: float) -> _Grid:
    """Points of an attack, a decay until it is not heard or holds, and a while after it."""
    attack, decay, sustain = shape
    quiet = 10.0 ** (floor / 20.0)
    heard = [
        n
        for n in range(201)
        if envelope(attack + decay * n / 200.0, *shape) > max(quiet, 1.01 * sustain)
    ] or [0]
    end = attack + (1.0 + AFTER) * decay * (heard[-1] + 1) / 200.0
    share = max(ATTACK_SHARE, attack / end)
    points = [(attack * (i + 0.5) / RISE, share / RISE) for i in range(RISE)]
    fall = (attack + (end - attack) * (i + 0.5) / FALL for i in range(FALL))
    points += [(t, (1.0 - share) / FALL) for t in fall]
    heights = (20.0 * math.log10(max(envelope(t, *shape), quiet)) for t, _ in points)
    return floor, tuple((t, y, w) for (t, w), y in zip(points, heights, strict=True))


def _distance(corners: Curve, grid: _Grid) -> float:
    """Mean |dB| apart. The softer both are, the less of a spectrum is heard: the less it counts."""
    floor, points = grid
    total = heard = 0.0
    levels = _levels(corners, [time for time, _, _ in points])
    for level, (_, wanted, weight) in zip(levels, points, strict=True):
        level = max(level, floor)
        weight *= 1.0 - max(level, wanted) / floor
        heard += weight
        total += weight * abs(level - wanted)
    return total / heard


def _levels(corners: Curve, times: Sequence[float]) -> list[float]:
    """A curve in dB at rising `times`, straight between its corners."""
    levels, i = [], 0
    for time in times:
        while i < len(corners) and corners[i][0] <= time:
            i += 1
        (t0, y0), (t1, y1) = corners[max(0, i - 1)], corners[min(i, len(corners) - 1)]
        levels.append(y0 + (y1 - y0) * (time - t0) / (t1 - t0) if t0 < time < t1 else y0)
    return levels


def _segments(state: _State, held: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    first, between, second, third, falls = state
    rates = (SPEEDS[first], SPEEDS[second], SPEEDS[third])
    return rates, (99, between, held) if falls else (between, 99, held)


def _cost(state: _State, grid: _Grid, output: int, held: int) -> float:
    rates, levels = _segments(state, held)
    return _distance(curve(rates, levels, output), grid)


def _starts(attack: float, top: float, grid: _Grid) -> list[_State]:
    """First guesses: one rise and a fall with a bend, or a rise with a bend and one fall."""
    attack = max(attack, 1e-4)
    floor, points = grid
    falling = [(t - attack, level) for t, level, _ in points if t > attack and level > floor]
    end = falling[-1][0]
    lowest = max(floor, falling[-1][1])
    states: list[_State] = []
    # where it holds high there is no room for a bend but half-way
    for bend in [b for b in _BENDS if b > lowest] or [lowest / 2]:
        time = next((t for t, level in falling if level <= bend), end / 2)
        level = min(range(100), key=lambda n: abs(level_db(n) - bend))
        first = _speed(_rise(_JUMP, top) / (0.8 * attack))
        later = _fall(lowest - bend, end - time)
        states.append((min(first, SHARPEST), level, _fall(bend, time), later, 1))
    middle, low = falling[len(falling) // 2]
    for level, share in _BLENDS:
        between = max(_JUMP, top + level_db(level) / OCTAVE_DB)
        first = _speed(_rise(_JUMP, between) / (share * attack))
        second = _speed(_rise(between, top) / ((1.0 - share) * attack))
        states.append((min(first, SHARPEST), level, min(second, SHARPEST), _fall(low, middle), 0))
    return states


def _fall(db: float, seconds: float) -> int:
    return _speed(-db / OCTAVE_DB / max(seconds, 1e-4))


def _speed(octaves: float) -> int:
    """The place in `SPEEDS` nearest to octaves a second."""
    wanted = math.log(max(octaves, 1e-9))
    return min(range(64), key=lambda q: abs(wanted - math.log(octaves_per_second(SPEEDS[q]))))


def _descend(state: _State, grid: _Grid, output: int, held: int) -> _State:
    """One coordinate at a time, in ever smaller steps, until none of them helps."""
    best = _cost(state, grid, output, held)
    for step in (8, 4, 2, 1, 1):
        for place, top in enumerate((SHARPEST, 99, 63 if state[4] else SHARPEST, 63)):
            for sign in (-1, 1):
                while 0 <= state[place] + sign * step <= top:
                    moved = list(state)
                    moved[place] += sign * step
                    first, between, second, third, falls = moved
                    cost = _cost((first, between, second, third, falls), grid, output, held)
                    if cost >= best:
                        break
                    state, best = (first, between, second, third, falls), cost
    return state
