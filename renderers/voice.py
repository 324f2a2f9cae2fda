"""Notes in real time: FM by the renderer's own recursion, and samples; one compiled call a block.

A voice is a row of `Voices`. FM goes on block after block from the last u and its age; without
bend and at depths as designed it is the renderer's sound. What costs time (a patch's limits, a
sample's rendering) is done before `start`; `start` and `advance` allocate nothing and hold no GIL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import NDArray

from presets.export import laws
from renderers.kernels import ROUND, compile_kernel, end, envelope, fm_block, powers

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

OPERATORS = 8
CHUNK = 64  # samples between two looks at bend and depth when they rest
MOVING = 2  # and while they move: with 8, steps of depth were heard as clicks
RELEASE = 0.12  # seconds from note-off to silence
STEAL = 0.005  # seconds in which a voice makes room: short, and still no click
GLIDE = 0.006  # seconds, time constant of bend and depth
LOUDEST = 64.0  # +36 dB, sixteen voices whose peaks meet; more is a fault, not music
QUIETEST = 1e-25  # below this a float32 comes near its denormals
FREE, TRIANGLE, LOOPS, SAMPLE = 0, 1, 2, 3  # what a row is
DEEPEST = 2.0  # x modulation as designed: what a knob does at its end, a touch does not exceed
ANY = -1  # every slot, key or note
KEYS = 17  # who can hold a key: 16 MIDI channels, and the lines

_heard = compile_kernel(laws.fade)


class Patch(NamedTuple):
    """An FM patch, limits applied, for `start`: columns padded to `OPERATORS`."""

    operators: int  # 4 or 8: what is computed
    loops: bool
    ratio: Array  # [8] x note
    attack: Array  # [8] seconds
    decay: Array  # [8] seconds
    matrix: Array  # [8, 8] turns
    mix: Array  # [8] at velocity 100


class Voices(NamedTuple):
    """The state of N voices; a row with kind `FREE` is silent."""

    kind: Ints  # [N]
    operators: Ints  # [N]
    bus: Ints  # [N] row of the output
    slot: Ints  # [N]
    key: Ints  # [N] who pressed it
    note: Ints  # [N]
    held: Ints  # [N] 1: released, but a pedal holds it
    caught: Ints  # [N] 1: sostenuto holds it, whatever sustain does
    wait: Ints  # [N] samples before it starts
    leave: Ints  # [N] samples before its fade begins, -1: not released
    age: Ints  # [N] samples since its start
    last: Ints  # [N] age at which it ends
    fade: Array  # [N] 1 until it is released, then falling to 0
    fall: Array  # [N] by this much a sample
    loud: Array  # [N] peak of its last block
    gain: Array  # [N] of a sample's velocity
    rise: Array  # [N] samples in which a sample fades in
    place: Array  # [N] position in a sample, relative to its start
    step: Array  # [N] samples of it a sample of ours
    first: Ints  # [N] where a sample begins in the store
    bend: Array  # [N] frequency factor now
    depth: Array  # [N] modulation factor now
    u: Array  # [N, 8]
    phase: Array  # [N, 8] turns
    cycles: Array  # [N, 8] turns a sample
    attack: Array  # [N, 8]
    decay: Array  # [N, 8]
    mix: Array  # [N, 8]
    matrix: Array  # [N, 8, 8] turns
    table: Array  # [N, 8, CHUNK] powers of the decay


class Hands(NamedTuple):
    """What moves while notes sound."""

    bend: Array  # [KEYS] frequency factor
    depth: Array  # [slots] factor on modulation; self-feedback only follows it in loops
    touch: Array  # [KEYS] factor on that depth: a finger's pressure and place


def voices(count: int) -> Voices:
    """`count` free voices."""
    shapes = {"matrix": (8, 8), "table": (8, CHUNK)}
    operators = {"u", "phase", "cycles", "attack", "decay", "mix"}
    columns = {}
    for name, kind in get_type_hints(Voices).items():
        shape = (8,) if name in operators else shapes.get(name, ())
        columns[name] = np.zeros((count, *shape), np.int64 if kind == Ints else np.float64)
    return Voices(**columns)


def hands(slots: int) -> Hands:
    """Nothing bent, every depth as designed."""
    return Hands(np.ones(KEYS), np.ones(slots), np.ones(KEYS))


def patch(
    values: Mapping[str, float], *, attack: float = 1.0, decay: float = 1.0, damping: float = 1.0
) -> Patch:
    """The FM patch of a preset's `values`: `presets.export.laws`, operators put in their order.

    Factors: on attacks, on decays, and on decays of operators that are not heard themselves.
    Raises `ValueError` when it is not a patch of 1..8 operators.
    """
    try:
        voice = laws.voice(values)
    except KeyError as missing:
        raise ValueError(f"an fm preset needs a value {missing}") from None
    V = len(voice.ratio)
    if not 1 <= V <= OPERATORS:
        raise ValueError(f"an fm preset has op1_ratio up to op8_ratio, got {V} operators")
    if min(voice.attack) < 0.0 or min(voice.decay) <= 0.0 or min(voice.ratio) <= 0.0:
        raise ValueError("an fm preset needs ratios and decays above 0 and attacks from 0")
    edges = [(v, w) for v in range(V) for w in range(V) if voice.matrix[v][w] != 0.0]
    order = laws.order(V, edges)
    at = list(order or range(V))
    ratio, rise, mix = np.zeros((3, OPERATORS))
    ratio[:V] = np.array(voice.ratio)[at]
    rise[:V] = np.array(voice.attack)[at] * attack
    mix[:V] = np.array(voice.mix)[at]
    fall = np.array(voice.decay)[at] * decay * np.where(mix[:V] == 0.0, damping, 1.0)
    fall = np.concatenate([fall, np.full(OPERATORS - V, fall[0])])  # padding ends nothing later
    matrix = np.zeros((OPERATORS, OPERATORS))
    matrix[:V, :V] = np.array(voice.matrix)[np.ix_(at, at)] / (2.0 * np.pi)
    return Patch(4 if V <= 4 else 8, order is None, ratio, rise, fall, matrix, mix)


def depth(values: Mapping[str, float], factor: float) -> float:
    """What scales modulation (`Hands.depth`) when all depths are `factor` times as designed.

    Self-feedback of an acyclic patch stays: it is near its limit, and a matrix with loops is tamed
    again, so that no brightness leads to chaos.
    """
    before, after = (
        laws.voice({n: v * k if "_from_" in n else v for n, v in values.items()}).matrix
        for k in (1.0, factor)
    )
    V = len(before)
    edges = [(v, w) for v in range(V) for w in range(V) if before[v][w] != 0.0]
    if laws.order(V, edges) is not None:
        return factor
    total = sum(map(sum, before))
    return sum(map(sum, after)) / total if total else 1.0


@compile_kernel
def _claim(V: Voices, limit: int, fall: float) -> int:
    """A free row; where `limit` rows sound already, the quietest of them starts to make room."""
    sounding, victim, row, faintest = 0, -1, 0, 2.0
    for i in range(V.kind.size):
        if V.kind[i] == FREE:
            if faintest > 0.0:
                row, faintest = i, 0.0
            continue
        if V.fade[i] < faintest:
            row, faintest = i, V.fade[i]
        if V.leave[i] == 0 and V.fall[i] == fall:
            continue
        sounding += 1
        level = V.loud[i] * V.fade[i]
        if victim < 0 or level < V.loud[victim] * V.fade[victim]:
            victim = i
    if sounding >= limit:
        V.leave[victim] = 0
        V.fall[victim] = fall
    return row


@compile_kernel
def _begin(
    V: Voices, i: int, kind: int, bus: int, slot: int, key: int, note: int, wait: int, rate: float
) -> None:
    """What FM and samples have in common at their start."""
    V.kind[i], V.bus[i], V.slot[i], V.key[i], V.note[i] = kind, bus, slot, key, note
    V.wait[i], V.leave[i], V.age[i], V.held[i], V.caught[i] = wait, -1, 0, 0, 0
    V.fade[i], V.fall[i] = 1.0, 1.0 / (RELEASE * rate)
    V.loud[i] = 1.0  # not yet heard: not the first to make room


@compile_kernel
def _depth(H: Hands, key: int, slot: int, loops: bool) -> float:
    """Factor on modulation: what a knob allows, and in loops no more than as designed."""
    depth = float(H.depth[slot])
    return min(depth * float(H.touch[key]), depth if loops else max(depth, DEEPEST))


@compile_kernel
def start(
    V: Voices,
    H: Hands,
    P: Patch,
    limit: int,
    hz: float,
    gain: float,
    rate: float,
    bus: int,
    slot: int,
    key: int,
    note: int,
    wait: int,
) -> None:
    """Start an FM note `wait` samples from now, like `renderers.fm.graph` at `hz` and `gain`."""
    i = _claim(V, limit, 1.0 / (STEAL * rate))
    _begin(V, i, LOOPS if P.loops else TRIANGLE, bus, slot, key, note, wait, rate)
    V.operators[i] = P.operators
    V.bend[i], V.depth[i] = H.bend[key], _depth(H, key, slot, P.loops)
    for v in range(OPERATORS):
        heard = _heard(P.ratio[v] * hz, rate)
        V.cycles[i, v] = P.ratio[v] * hz / rate
        V.attack[i, v], V.decay[i, v] = P.attack[v], P.decay[v]
        V.mix[i, v] = P.mix[v] * gain * heard
        V.u[i, v] = V.phase[i, v] = 0.0
        for w in range(OPERATORS):
            V.matrix[i, w, v] = P.matrix[w, v] * heard
        powers(rate, P.decay[v], V.table[i, v])
    V.last[i] = end(P.attack, P.decay, rate, 1 << 40)


@compile_kernel
def start_sample(
    V: Voices,
    H: Hands,
    limit: int,
    first: int,
    samples: int,
    step: float,
    gain: float,
    rise: float,
    rate: float,
    bus: int,
    slot: int,
    key: int,
    note: int,
    wait: int,
) -> None:
    """Start a sample of the store; `step` is its pitch, 1 as it was rendered; `rise` in samples."""
    i = _claim(V, limit, 1.0 / (STEAL * rate))
    _begin(V, i, SAMPLE, bus, slot, key, note, wait, rate)
    V.first[i], V.last[i], V.place[i], V.step[i] = first, samples, 0.0, step
    V.gain[i], V.rise[i], V.bend[i] = gain, rise, H.bend[key]


@compile_kernel
def _plays(V: Voices, i: int, key: int, slot: int, note: int) -> bool:
    """Whether row i sounds, is not yet let go, and matches; each `ANY` or a number."""
    return (
        V.kind[i] != FREE
        and V.leave[i] < 0
        and (key == ANY or V.key[i] == key)
        and (slot == ANY or V.slot[i] == slot)
        and (note == ANY or V.note[i] == note)
    )


@compile_kernel
def release(V: Voices, key: int, slot: int, note: int, pedal: bool, wait: int) -> None:
    """Let go of what matches; with the pedal down, or where sostenuto holds, it is only noted."""
    for i in range(V.kind.size):
        if _plays(V, i, key, slot, note):
            if pedal or V.caught[i] == 1:
                V.held[i] = 1
            else:
                V.leave[i] = wait


@compile_kernel
def end_strike(V: Voices, key: int, slot: int, note: int, wait: int) -> bool:
    """End what matches, as it is struck again; whether sostenuto held one of them."""
    caught = False
    for i in range(V.kind.size):
        if _plays(V, i, key, slot, note):
            caught = caught or V.caught[i] == 1
            V.leave[i] = wait
    return caught


@compile_kernel
def catch(V: Voices, key: int, slot: int, note: int) -> None:
    """Sostenuto goes down: it holds what matches and sounds now, until `lift`."""
    for i in range(V.kind.size):
        if _plays(V, i, key, slot, note):
            V.caught[i] = 1


@compile_kernel
def lift(V: Voices, key: int, sustain: bool, sostenuto: bool, wait: int) -> None:
    """Pedals of `key` are now as said: what neither holds any more is released."""
    for i in range(V.kind.size):
        if _plays(V, i, key, ANY, ANY):
            if not sostenuto:
                V.caught[i] = 0
            if V.held[i] == 1 and not sustain and V.caught[i] == 0:
                V.leave[i] = wait


@compile_kernel
def silence(V: Voices, key: int, slot: int, rate: float) -> None:
    """Fade out what matches, each `ANY` or a number, in the shortest time without a click."""
    for i in range(V.kind.size):
        if (key == ANY or V.key[i] == key) and (slot == ANY or V.slot[i] == slot):
            V.leave[i], V.fall[i] = 0, 1.0 / (STEAL * rate)
            if V.wait[i] > 0:  # not heard yet
                V.kind[i] = FREE


@compile_kernel
def _towards(now: float, target: float, share: float) -> float:
    if abs(target - now) < 1e-6:
        return target
    return now + (target - now) * share


@compile_kernel
def _fm(V: Voices, i: int, H: Hands, rate: float, y: Array, S: Array) -> None:
    """Go on with FM row i: fill y [K]. S [3, 8, CHUNK] is scratch."""
    count = V.operators[i]
    f, phase, none = S[0], S[1], S[2, :, :0]
    matrix = S[2, :, :OPERATORS]
    loops = V.kind[i] == LOOPS
    bend, depth = H.bend[V.key[i]], _depth(H, V.key[i], V.slot[i], loops)
    n = 0
    while n < y.size:
        moving = V.bend[i] != bend or V.depth[i] != depth
        K = min(MOVING if moving else CHUNK, y.size - n)
        if moving:
            share = 1.0 - np.exp(-K / (GLIDE * rate))
            V.bend[i] = _towards(V.bend[i], bend, share)
            V.depth[i] = _towards(V.depth[i], depth, share)
        for v in range(count):
            envelope(f[v, :K], V.age[i] + n, rate, V.attack[i, v], V.decay[i, v], V.table[i, v])
            c = V.cycles[i, v] * V.bend[i]
            for k in range(K):
                x = V.phase[i, v] + c * k
                phase[v, k] = x - ((x + ROUND) - ROUND)
            x = V.phase[i, v] + c * K
            V.phase[i, v] = x - ((x + ROUND) - ROUND)
            for w in range(count):
                matrix[v, w] = V.matrix[i, v, w] * (V.depth[i] if v != w or loops else 1.0)
        u, mix, out = V.u[i], V.mix[i], y[n : n + K]
        if count == 4:
            four = (u[0], u[1], u[2], u[3])
            if V.kind[i] == LOOPS:
                four = fm_block(four, True, phase, f, matrix, mix, out, none)
            else:
                four = fm_block(four, False, phase, f, matrix, mix, out, none)
            for v in range(4):
                u[v] = four[v]
        else:
            eight = (u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7])
            if V.kind[i] == LOOPS:
                eight = fm_block(eight, True, phase, f, matrix, mix, out, none)
            else:
                eight = fm_block(eight, False, phase, f, matrix, mix, out, none)
            for v in range(8):
                u[v] = eight[v]
        n += K


# Between samples a cubic through the four nearest (Hermite, slopes by central differences).
@compile_kernel
def _sample(V: Voices, i: int, H: Hands, store: Any, y: Array) -> None:
    """Go on with sample row i: fill y [K]."""
    V.bend[i] = H.bend[V.key[i]]
    step, last, at = V.step[i] * V.bend[i], V.last[i], V.first[i]
    place = V.place[i]
    for k in range(y.size):
        j = int(place)
        if j >= last:
            y[k:] = 0.0
            break
        x = place - j
        b = float(store[at + j])
        if x != 0.0:
            a = float(store[at + j - 1]) if j > 0 else 0.0
            c = float(store[at + j + 1]) if j + 1 < last else 0.0
            d = float(store[at + j + 2]) if j + 2 < last else 0.0
            p = 0.5 * (c - a)
            q = a - 2.5 * b + 2.0 * c - 0.5 * d
            r = 0.5 * (d - a) + 1.5 * (b - c)
            b += x * (p + x * (q + x * r))
        n = V.age[i] + k
        if n < V.rise[i]:
            b *= n / V.rise[i]
        y[k] = b * V.gain[i]
        place += step
    V.place[i] = place


@compile_kernel
def advance(V: Voices, H: Hands, store: Any, rate: float, out: Array, y: Array, S: Array) -> int:
    """Add the next T samples of every voice to its row of out [B, T]; how many sound.

    y [T] and S [3, 8, CHUNK] are scratch. A voice that is not finite ends at once, unheard.
    """
    T = out.shape[1]
    sounding = 0
    for i in range(V.kind.size):
        if V.kind[i] == FREE:
            continue
        sounding += 1
        at = min(V.wait[i], T)
        V.wait[i] -= at
        K = T - at
        if K == 0:
            V.leave[i] = max(V.leave[i] - T, min(V.leave[i], 0))
            continue
        if V.kind[i] == SAMPLE:
            _sample(V, i, H, store, y[:K])
            ended = V.place[i] >= V.last[i]
        else:
            _fm(V, i, H, rate, y[:K], S)
            ended = V.age[i] + K >= V.last[i]
        V.age[i] += K
        peak = 0.0
        for k in range(K):
            peak = max(peak, abs(y[k])) if y[k] == y[k] else np.inf
        if not peak < 1e6:
            V.kind[i] = FREE
            continue
        row = out[V.bus[i]]
        stay = K if V.leave[i] < 0 else min(K, max(0, V.leave[i] - at))
        for k in range(stay):
            row[at + k] += y[k]
        s = V.fade[i]
        for k in range(stay, K):
            row[at + k] += y[k] * (s * s * (3.0 - 2.0 * s))
            s = max(0.0, s - V.fall[i])
        V.fade[i] = s
        V.leave[i] = max(V.leave[i] - T, min(V.leave[i], 0))
        V.loud[i] = max(peak, 0.7 * V.loud[i], QUIETEST)
        if ended or s == 0.0:
            V.kind[i] = FREE
    return sounding


@compile_kernel
def clean(x: Any, out: Any) -> int:
    """Copy x [T] to float32 out [T]: finite, within +-`LOUDEST`, no denormals. How many not?"""
    wrong = 0
    for k in range(x.size):
        v = float(x[k])
        if not abs(v) <= LOUDEST:
            v = 0.0 if v != v else (LOUDEST if v > 0.0 else -LOUDEST)
            wrong += 1
        out[k] = v if abs(v) > QUIETEST else 0.0
    return wrong


@compile_kernel
def blend(x: Any, gain: float, to: float, send: float, out: Array, shared: Array) -> float:
    """Add x [T], its gain moving to `to`, to out [T], and `send` times that to shared [T]; peak."""
    peak = 0.0
    for k in range(x.size):
        v = float(x[k]) * (gain + (to - gain) * k / x.size)
        peak = max(peak, abs(v))
        out[k] += v
        shared[k] += send * v
    return peak
