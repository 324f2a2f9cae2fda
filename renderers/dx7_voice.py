"""A DX7 voice as sound, near enough to rank what the exporter tries: no engine is needed for it.

Operators, algorithms, envelopes and feedback by the laws of `presets.dx7`, stepped every 64 samples
as the hardware and Dexed do. Left out is what our exporter never writes: LFO, pitch envelope and
keyboard scaling; and velocity, which moves all carriers alike.
"""

from __future__ import annotations

import math

import numpy as np

from presets.dx7 import (
    ALGORITHMS,
    CONTROL_RATE,
    NO_TRANSPOSE,
    OCTAVE_DB,
    TOP_INDEX,
    Operator,
    Voice,
    detune_cents,
    fixed_hz,
    level_db,
    octaves_per_second,
    ratio,
    steps,
)
from presets.export.dx7 import QUIET_ALGORITHMS
from presets.export.dx7_envelope import held_samples
from renderers.kernels import Array, compiled, sin_turns

STEP = 64  # samples between two points of an envelope
TOP, JUMP, BOTTOM = 15.0, 1716.0 / 256.0, 16.0 / 256.0  # octaves above what envelopes call zero
TURNS = TOP_INDEX / (2.0 * math.pi)  # by which output level 99 moves a phase


def render(voice: Voice, hz: float, samples: int, rate: int) -> Array:
    """A held key that sounds at `hz` Hz: `samples` at `rate`, one carrier at 99 peaks at 1."""
    algorithm = ALGORITHMS[voice.algorithm]
    heard, to = algorithm.feedback
    root = hz * 2.0 ** ((voice.transpose - NO_TRANSPOSE) / 12.0)
    blocks = -(-samples // STEP)
    out, silent = np.zeros(blocks * STEP), np.zeros(blocks * STEP)
    u: dict[int, Array] = {}
    slots = [slot for slot in range(6, 0, -1) if voice.operators[slot - 1].output]
    cycles = {s: _hz(voice.operators[s - 1], root) / rate for s in slots}
    gains = {s: _gain(voice.operators[s - 1], blocks, rate) for s in slots}
    # a loop is the slots from where it enters down to where it is heard: 6 5 4, 6 5, or one
    loop = [slot for slot in range(to, heard - 1, -1)] if voice.feedback else []
    if loop and all(slot in slots for slot in loop):
        quiet = 4.0 if voice.algorithm in QUIET_ALGORITHMS else 1.0
        rows = np.stack([gains[slot] for slot in loop])
        around(np.array([cycles[s] for s in loop]), rows, 2.0 ** (voice.feedback - 8) / quiet)
        u[heard] = rows[-1]
    for slot in slots:
        if slot not in u:
            turns = sum((u[m] for m, t in algorithm.edges if t == slot and m in u), silent)
            u[slot] = oscillate(cycles[slot], gains[slot], turns)
    for slot in algorithm.carriers:
        if slot in u:
            out += u[slot]
    return out[:samples] / TURNS


@compiled
def oscillate(cycles: float, gain: Array, turns: Array) -> Array:
    """sin(2 pi (cycles t + turns[t])) gain[t] [T]; cycles per sample."""
    out = np.empty_like(gain)
    for t in range(gain.size):
        out[t] = sin_turns(cycles * t + turns[t]) * gain[t]
    return out


@compiled
def around(cycles: Array, rows: Array, share: float) -> None:
    """A chain of operators whose last feeds the first: rows [N, T] are gains, and become sound.

    What goes back is `share` of the mean of the last two samples, and so in turns.
    """
    N, T = rows.shape
    before = last = 0.0
    for t in range(T):
        x = share * 0.5 * (before + last)
        for n in range(N):
            x = sin_turns(cycles[n] * t + x) * rows[n, t]
            rows[n, t] = x
        before, last = last, x


def _hz(operator: Operator, root: float) -> float:
    if operator.fixed:
        return fixed_hz(operator.coarse, operator.fine)
    cents = detune_cents(operator.detune, root)
    tuned = ratio(operator.coarse, operator.fine) * 2.0 ** (cents / 1200.0)
    return root * float(tuned)


def _gain(operator: Operator, blocks: int, rate: int) -> Array:
    """Turns by which an operator moves a phase, [64 blocks]: straight lines in octaves."""
    top = TOP - (127 - steps(operator.output)) / 8.0
    targets = np.array([max(BOTTOM, top + level_db(n) / OCTAVE_DB) for n in operator.levels[:3]])
    scale = 44100.0 / rate
    speeds = np.array([octaves_per_second(r) / CONTROL_RATE * scale for r in operator.rates[:3]])
    holds = np.array([held_samples(r) / scale for r in operator.rates[:3]])
    gain = np.empty(blocks * STEP)
    fill(gain, targets, speeds, holds)
    return gain


# A rise of the envelope is quicker the lower it is: times 17 less its octave, rounded down.
@compiled
def fill(gain: Array, targets: Array, speeds: Array, holds: Array) -> None:
    """Fill gain [64 B] from three segments: octaves, octaves a step, samples a level is held."""
    at, ix, hold = 0.0, 0, 0.0
    before = 0.0
    for block in range(gain.size // STEP):
        if hold > 0.0:
            hold -= STEP
            if hold <= 0.0:
                ix += 1
                if ix < 3 and targets[ix] == at:
                    hold = holds[ix]
        if ix < 3 and hold <= 0.0:
            arrived = False
            if targets[ix] > at:
                at = max(at, JUMP)
                at += np.floor(17.0 - at) * speeds[ix]
                arrived = at >= targets[ix]
            else:
                at -= speeds[ix]
                arrived = at <= targets[ix]
            if arrived:
                at = targets[ix]
                ix += 1
                if ix < 3 and targets[ix] == at:
                    hold = holds[ix]
        value = TURNS * np.exp2(before - TOP)
        factor = np.exp2((at - before) / STEP)
        for k in range(block * STEP, block * STEP + STEP):
            value *= factor
            gain[k] = value
        before = at
