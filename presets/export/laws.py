"""The laws of our FM voice in plain Python, for formats that need its numbers and not its sound.

They repeat the limits of `renderers.fm.graph` and the envelope of `renderers.kernels`, without an
array library; tests hold both to the same numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from presets.params import Note

FEEDBACK = 0.9  # the spectral radius that a matrix with loops is held below
ATTACK_FLOOR = 1e-5  # seconds
GRID = 512  # points of a quadrature over a decay
TUNED = 0.002  # relative: 3.5 cents off a whole number is taken for it
MOST_CYCLES = 4
SAME_CENTS = 0.1
SETTLED_CENTS = 1.0  # of a pitch envelope: no longer heard


CONTROL = 64  # samples between two values of what moves: pitch, LFO, filter
NOISE_LEVEL = 0.35  # rms of the noise at level 1
LOWEST_HZ, HIGHEST_SHARE = 20.0, 0.45  # where the filter is held: Hz, and a share of the rate


@dataclass(frozen=True, slots=True)
class Movement:
    """What a full voice has beside its operators, by the names and in the units of its knobs.

    `noise_level` has the patch's level in it, as `mix` of a `Voice` has.
    """

    pitch_start: float
    pitch_time: float
    lfo_hz: float
    lfo_to_pitch: float
    lfo_to_level: float
    lfo_to_index: float
    lfo_to_filter: float
    noise_level: float
    noise_hz: float
    noise_width: float
    noise_attack: float
    noise_decay: float
    noise_sustain: float
    noise_release: float
    filter_hz: float
    filter_resonance: float
    filter_mode: float
    filter_key: float
    filter_env: float
    filter_attack: float
    filter_decay: float


@dataclass(frozen=True, slots=True)
class Voice:
    """What an FM preset plays at velocity 100, limits applied, fade near Nyquist not.

    One entry an operator: `ratio` times the note's frequency, of which `detune` cents are detune,
    `attack`, `decay` and `release` in seconds, `sustain` 0..1, `mix` with level; `matrix[v][w]` in
    radians, by which operator w moves the phase of v. A voice of the paper has no `movement` and
    no release (infinity): its notes ring to their end.
    """

    ratio: tuple[float, ...]
    attack: tuple[float, ...]
    decay: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    mix: tuple[float, ...]
    sustain: tuple[float, ...]
    release: tuple[float, ...]
    detune: tuple[float, ...]
    movement: Movement | None = None


def voice(values: Mapping[str, float]) -> Voice:
    """The voice of an FM preset's `values`. A mix or an edge without a value is 0."""
    operators = range(1, 1 + sum(re.fullmatch(r"op\d_ratio", name) is not None for name in values))

    def knob(kind: str, otherwise: float = 0.0) -> tuple[float, ...]:
        return tuple(values.get(f"op{v}_{kind}", otherwise) for v in operators)

    edges = {
        (int(m[1]) - 1, int(m[2]) - 1): value
        for name, value in values.items()
        if (m := re.fullmatch(r"op(\d)_from_op(\d)", name))
    }
    loops = order(len(operators), edges) is None
    if all(w >= v for v, w in edges):
        edges = _shared(edges)
    count = range(len(operators))
    matrix = [[edges.get((v, w), 0.0) for w in count] for v in count]
    tame = at_most(radius(matrix), FEEDBACK) if loops else 1.0
    mix = knob("mix")
    level = at_most(sum(mix), 1.0) * values["level"]
    detune = knob("detune")
    return Voice(
        tuple(r * 2.0 ** (c / 1200.0) for r, c in zip(knob("ratio"), detune, strict=True)),
        knob("attack"),
        knob("decay"),
        tuple(tuple(tame * a for a in row) for row in matrix),
        tuple(level * m for m in mix),
        knob("sustain"),
        knob("release", math.inf),
        detune,
        movement(values),
    )


def movement(values: Mapping[str, float]) -> Movement | None:
    """What moves in a full voice's `values`; None for a voice of the paper."""
    if "pitch_start" not in values:
        return None
    moving = {field.name: values[field.name] for field in fields(Movement)}
    return Movement(**moving | {"noise_level": values["noise_level"] * values["level"]})


def _shared(edges: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    """The edges of a DX7 algorithm, where a modulator has one level: its knobs at their mean."""
    result = {}
    for v, w in edges:
        same = [depth for (u, x), depth in edges.items() if x == w and (u == x) == (v == w)]
        result[v, w] = sum(same) / len(same)
    return result


def at_most(x: float, limit: float) -> float:
    """A factor in (0, 1] with x * factor < limit: (1 + (x / limit)^8)^(-1/8)."""
    return float((1.0 + (x / limit) ** 8) ** -0.125)


def radius(matrix: Sequence[Sequence[float]]) -> float:
    """The spectral radius of a matrix >= 0, from above: |A^64|^(1/64) in the Frobenius norm."""
    power = matrix
    for _ in range(6):
        columns = list(zip(*power, strict=True))
        power = [
            [sum(a * b for a, b in zip(row, column, strict=True)) for column in columns]
            for row in power
        ]
    return float((sum(a * a for row in power for a in row) + 1e-60) ** (1.0 / 128.0))


def order(operators: int, edges: Iterable[tuple[int, int]]) -> tuple[int, ...] | None:
    """Operators, each after all that modulate it, or None where they go round in a loop.

    `edges` are (modulated, modulator), counted from 0; self-feedback is not a loop.

    >>> order(3, [(0, 2), (2, 1), (1, 1)])
    (1, 2, 0)
    """
    waiting: dict[int, set[int]] = {v: set() for v in range(operators)}
    for v, w in edges:
        if v != w:
            waiting[v].add(w)
    done: list[int] = []
    while waiting:
        ready = [v for v in waiting if waiting[v].issubset(done)]
        if not ready:
            return None
        done += ready[:1]
        del waiting[ready[0]]
    return tuple(done)


def fade(hz: float, rate: float) -> float:
    """Gain of an operator near Nyquist: 1 to 0.45 rate, 0 from 0.5 rate on, smoothstep between."""
    x = min(1.0, max(0.0, (0.5 * rate - hz) / (0.05 * rate)))
    return x * x * (3.0 - 2.0 * x)


def fade_losses(ratios: Sequence[float], note: Note, rate: int) -> list[str]:
    """What a synth without that fade is told of operators that are in it at this note."""
    return [
        f"op{v + 1}: at note {note.number:g} it is near half the sample rate, where ours fade out;"
        " its levels are those of this note, so it is too quiet below"
        for v, ratio in enumerate(ratios)
        if fade(ratio * note.hz, rate) < 1.0
    ]


def envelope(
    t: float,
    attack: float,
    decay: float,
    sustain: float = 0.0,
    release: float = math.inf,
    held: float = math.inf,
) -> float:
    """Amplitude at `t` seconds of our envelope, its key down for `held`; all but sustain seconds.

    f = max(0, min(t / (attack + 1e-5), sustain + (1 - sustain) D)) R, where with r = t - attack
    D = exp(-r / decay^2) (1 - r / decay), 1 before and 0 after it, and R = `let_go`(t - held).
    """
    r = t - attack
    falling = 1.0
    if r > 0.0:
        falling = math.exp(-r / decay**2) * (1.0 - r / decay) if r < decay else 0.0
    level = min(t / (attack + ATTACK_FLOOR), sustain + (1.0 - sustain) * falling)
    return max(0.0, level) * let_go(t - held, release)


def let_go(t: float, release: float) -> float:
    """What is left `t` seconds after the key: exp(-5 t / release) (1 - t / release), then 0."""
    if t <= 0.0 or release == math.inf:
        return 1.0
    x = t / release
    return math.exp(-5.0 * x) * (1.0 - x) if x < 1.0 else 0.0


FALLEN = 0.36856  # of a release: let_go is a tenth there, 20 dB down


def pitch(t: float, moving: Movement) -> float:
    """Semitones by which the pitch envelope moves all operators `t` seconds after the start."""
    return moving.pitch_start * math.exp(-t / moving.pitch_time)


def dip(depth: float, wave: float) -> float:
    """The factor 1 - depth .. 1 on level or index where the LFO stands at `wave`, -1 .. 1."""
    return 1.0 - depth * (1.0 - wave) / 2.0


def resonance(filter_resonance: float) -> float:
    """k = 1 / Q of the filter: 2 (no resonance) down to 0.05."""
    return 2.0 - 1.95 * filter_resonance


def filters(moving: Movement) -> bool:
    """Whether the filter takes anything away that is heard."""
    rests = moving.filter_mode > 0.0 or moving.filter_hz < 16000.0 or moving.filter_resonance > 0.5
    closes = moving.filter_env < 0.0 or moving.lfo_to_filter > 0.0 or moving.filter_key > 0.0
    return rests or closes


def holds(voice: Voice) -> bool:
    """Whether it sounds for as long as the key is down: anything heard has sustain."""
    moving = voice.movement
    noise = moving is not None and moving.noise_level > 0.0 and moving.noise_sustain > 0.0
    return noise or any(
        mix > 0.0 and sustain > 0.0 for mix, sustain in zip(voice.mix, voice.sustain, strict=True)
    )


def lfo_cycle(voice: Voice) -> float:
    """Seconds of the LFO's cycle where it moves anything; else 0."""
    moving = voice.movement
    if moving is None:
        return 0.0
    depths = (moving.lfo_to_pitch, moving.lfo_to_level, moving.lfo_to_index, moving.lfo_to_filter)
    return 1.0 / moving.lfo_hz if any(depths) else 0.0


def settled(voice: Voice) -> float:
    """Seconds from which a held key changes no more, but for beating, LFO and noise."""
    weight = importance(voice)
    ends = [a + d for a, d, w in zip(voice.attack, voice.decay, weight, strict=True) if w > 0.0]
    moving = voice.movement
    if moving is not None:
        if moving.noise_level > 0.0:
            ends.append(moving.noise_attack + moving.noise_decay)
        if moving.filter_env != 0.0:
            ends.append(moving.filter_attack + moving.filter_decay)
        if (cents := 100.0 * abs(moving.pitch_start)) > SETTLED_CENTS:
            ends.append(moving.pitch_time * math.log(cents / SETTLED_CENTS))
    return max(ends, default=0.0)


def release_of(voice: Voice) -> float:
    """One release in seconds for the whole: the mean over what is heard, by its power."""
    heard = [(m * m, r) for m, r in zip(voice.mix, voice.release, strict=True)]
    moving = voice.movement
    if moving is not None:
        heard.append(((NOISE_LEVEL * moving.noise_level) ** 2, moving.noise_release))
    total = sum(power for power, _ in heard)
    if total <= 0.0 or moving is None:
        return math.inf
    return math.exp(sum(power * math.log(r) for power, r in heard if power > 0.0) / total)


# With f the decay from 1 to 0 over d seconds, minimise the integral of f (ln f + k r)^2: relative
# errors, weighted by how loud the moment is. Then k = -(integral of f r ln f) / (of f r^2). In
# x = r / d, with f = exp(-x / d) (1 - x), k = K(d) / d. The grid is fine where f is: x = y^2.
@lru_cache(maxsize=64)
def decay_rate(decay: float) -> float:
    """k in 1/s of the exponential exp(-k r) that is nearest to our decay of `decay` seconds."""
    above = below = 0.0
    for i in range(GRID):
        y = (i + 0.5) / GRID
        x = y * y
        log = -x / decay + math.log1p(-x)
        weight = math.exp(log) * y
        above -= weight * x * log
        below += weight * x * x
    return above / below / decay


# Synths bend a straight decay of T seconds by c: (exp(-c x) - exp(-c)) / (1 - exp(-c)), x = t / T,
# with c at most `limit`, and may raise it to a power. Ours, exp(-x / d) (1 - x), is nearly one of
# them with T = d; where it is too steep for that, c = limit and T is shorter. So one number, the
# steepness y |y| = c d / T, is searched, by golden section.
@lru_cache(maxsize=64)
def bent(decay: float, *, limit: float, power: int = 1) -> tuple[float, float]:
    """(T, c) of the bent decay nearest in dB, down to -60 dB, to ours of `decay` seconds."""
    times = [(i + 0.5) / GRID * decay for i in range(GRID)]
    ours = [_db(envelope(r, 0.0, decay)) for r in times]

    def shape(y: float) -> tuple[float, float]:
        steep = y * abs(y)
        return (decay, steep) if steep <= limit else (decay * limit / steep, limit)

    def distance(y: float) -> float:
        T, c = shape(y)
        theirs = (_db(bend(r / T, c) ** power) for r in times)
        return sum((a - b) ** 2 for a, b in zip(ours, theirs, strict=True))

    low, high = -math.sqrt(limit), math.sqrt(2.0 / decay + 3.0)
    golden = (math.sqrt(5.0) - 1.0) / 2.0
    while high - low > 1e-3:
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if distance(a) < distance(b) else (a, high)
    return shape(0.5 * (low + high))


def bend(x: float, c: float) -> float:
    """A decay from 1 to 0 over x in 0..1: straight for c = 0, exponential for a large c."""
    if x >= 1.0:
        return 0.0
    if abs(c) < 1e-6:
        return 1.0 - x
    return math.expm1(c * (1.0 - x)) / math.expm1(c)


# An operator is as important as what it adds to the mix, itself and through those it modulates,
# where an index of 1 radian passes on half of the importance.
def importance(voice: Voice) -> tuple[float, ...]:
    """How much each operator has to do with the sound, >= 0: who goes first where room is short."""
    operators = range(len(voice.mix))
    weight = voice.mix
    for _ in operators:
        weight = tuple(
            voice.mix[w]
            + sum(weight[v] * (a := voice.matrix[v][w]) / (1.0 + a) for v in operators if v != w)
            for w in operators
        )
    return weight


def part(voice: Voice, kept: Sequence[int]) -> Voice:
    """The voice of only the operators `kept`, in that order."""

    def of(column: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(column[v] for v in kept)

    return Voice(
        of(voice.ratio),
        of(voice.attack),
        of(voice.decay),
        tuple(of(voice.matrix[v]) for v in kept),
        of(voice.mix),
        of(voice.sustain),
        of(voice.release),
        of(voice.detune),
        voice.movement,
    )


def cycles(voice: Voice) -> int | None:
    """How many cycles of the note a period takes, 1 to 4; None when the sound has no period.

    The smallest number times which every ratio that is heard, but for its detune, is whole, within
    3.5 cents.
    """
    rows = zip(voice.ratio, voice.detune, importance(voice), strict=True)
    ratios = [r * 2.0 ** (-cents / 1200.0) for r, cents, weight in rows if weight > 0.0]
    for d in range(1, MOST_CYCLES + 1):
        if all(abs(round(r * d) / (r * d) - 1.0) <= TUNED for r in ratios):
            return d
    return None


def whole_ratio_losses(voice: Voice, cycles: int) -> tuple[str, ...]:
    """What is lost when the ratios that are heard become whole numbers of times 1 / `cycles`."""
    rows = zip(voice.ratio, voice.detune, importance(voice), strict=True)
    off = max(
        abs(1200.0 * math.log2(round(r * 2.0 ** (-cents / 1200.0) * cycles) / (r * cycles)))
        for r, cents, weight in rows
        if weight > 0.0
    )
    if off < SAME_CENTS:
        return ()
    return (f"tuning: ratios up to {off:.1f} cents off whole ones became whole: no slow beating",)


def _db(amplitude: float) -> float:
    return max(-60.0, 20.0 * math.log10(max(amplitude, 1e-3)))
