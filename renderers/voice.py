"""Notes in real time: FM by the renderer's own recursion, and samples; one compiled call a block.

A voice is a row of `voice_state.Voices`. What costs time (a patch's limits, a sample's rendering,
a noise) is done before `start`; `start` and `advance` allocate nothing and hold no GIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from presets.export import laws
from renderers.kernels import compile_kernel, end, powers
from renderers.movement import release_powers
from renderers.voice_fm import (
    advance_full,
    advance_paper,
    allowed_depth,
    end_of_full,
    full_rings,
    let_full_go,
)
from renderers.voice_patch import ENVELOPES, NOISE, OPERATORS, Patch
from renderers.voice_state import FREE, LOOPS, PRESSED, SAMPLE, TRIANGLE, Array, Hands, Voices

RELEASE = 0.12  # seconds from note-off to silence of what has no release of its own
STEAL = 0.005  # seconds in which a voice makes room: short, and still no click
LOUDEST = 64.0  # +36 dB, sixteen voices whose peaks meet; more is a fault, not music
QUIETEST = 1e-25  # below this a float32 comes near its denormals
ANY = -1  # every slot, key or note

_heard = compile_kernel(laws.fade)


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
    V.full[i] = 0
    V.wait[i], V.leave[i], V.age[i], V.held[i], V.caught[i] = wait, -1, 0, 0, 0
    V.fade[i], V.fall[i] = 1.0, 1.0 / (RELEASE * rate)
    V.loud[i] = 1.0  # not yet heard: not the first to make room


@compile_kernel
def start(
    V: Voices,
    H: Hands,
    P: Patch,
    limit: int,
    first: int,
    hz: float,
    gain: float,
    rate: float,
    bus: int,
    slot: int,
    key: int,
    note: int,
    wait: int,
) -> None:
    """Start an FM note `wait` samples from now, like `renderers.fm.graph` at `hz` and `gain`.

    `first` is where its noise begins in the store, -1 without noise.
    """
    i = _claim(V, limit, 1.0 / (STEAL * rate))
    _begin(V, i, LOOPS if P.loops else TRIANGLE, bus, slot, key, note, wait, rate)
    V.operators[i], V.first[i] = P.operators, first
    V.bend[i], V.depth[i] = H.bend[key], allowed_depth(H, key, slot, P.loops)
    for v in range(OPERATORS):
        heard = _heard(P.ratio[v] * hz, rate)
        V.cycles[i, v] = P.ratio[v] * hz / rate
        V.attack[i, v], V.decay[i, v] = P.attack[v], P.decay[v]
        V.mix[i, v] = P.mix[v] * gain * heard
        V.u[i, v] = V.phase[i, v] = 0.0
        for w in range(OPERATORS):
            V.matrix[i, w, v] = P.matrix[w, v] * heard
        if v < P.operators:
            powers(rate, P.decay[v], V.table[i, v])
    if P.full:
        _begin_full(V, i, P, gain, rate)
    else:
        V.last[i] = end(P.attack[:OPERATORS], P.decay[:OPERATORS], rate, PRESSED)


@compile_kernel
def _begin_full(V: Voices, i: int, P: Patch, gain: float, rate: float) -> None:
    """What a full FM note has beside its operators."""
    V.full[i], V.let[i], V.fall[i] = 1, PRESSED, 0.0
    V.attack[i, NOISE], V.decay[i, NOISE] = P.attack[NOISE], P.decay[NOISE]
    V.gain[i] = P.noise * gain if V.first[i] >= 0 else 0.0
    powers(rate, P.decay[NOISE], V.table[i, NOISE])
    for v in range(ENVELOPES):
        V.sustain[i, v], V.release[i, v] = P.sustain[v], P.release[v]
        if v < P.operators or v == NOISE:
            release_powers(rate, P.release[v], V.falling[i, v])
    V.moves[i] = P.moves
    V.taps[i] = P.taps
    V.damping[i] = P.damping
    V.filter[i] = 0.0
    V.last[i] = end_of_full(V, i, rate)


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

    y [T] and S, of `voice_state.scratch`, are for work. A voice that is not finite ends at once,
    unheard.
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
        elif V.full[i] == 1:
            if V.let[i] == PRESSED and 0 <= V.leave[i] < at + K:
                let_full_go(V, i, max(0, V.leave[i] - at), rate)
            advance_full(V, i, H, store, rate, y[:K], S)
            ended = V.age[i] + K >= V.last[i] and not full_rings(V, i)
        else:
            advance_paper(V, i, H, rate, y[:K], S)
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
