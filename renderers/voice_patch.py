"""FM presets as the columns that a real-time note starts from: limits applied, knobs turned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from presets.export import laws
from renderers.filter import mix_modes
from renderers.noise import BANDS, LOUDNESS, noise_bands, noise_weights

Array = NDArray[np.float64]

OPERATORS = 8
NOISE = OPERATORS  # the place of the noise among the envelopes
ENVELOPES = OPERATORS + 1
MOVES = (
    "pitch_start",
    "pitch_time",
    "lfo_hz",
    "lfo_to_pitch",
    "lfo_to_level",
    "lfo_to_index",
    "lfo_to_filter",
    "filter_hz",
    "filter_key",
    "filter_env",
    "filter_attack",
    "filter_decay",
)


class Patch(NamedTuple):
    """An FM patch, limits applied, for `voice.start`: columns padded to `OPERATORS`."""

    operators: int  # 4 or 8: what is computed
    loops: bool
    full: bool  # the paper's voice has only what stands above `sustain`
    ratio: Array  # [8] x note, with detune
    attack: Array  # [9] seconds, the last the noise's
    decay: Array  # [9] seconds
    matrix: Array  # [8, 8] turns
    mix: Array  # [8] at velocity 100
    sustain: Array  # [9]
    release: Array  # [9] seconds
    noise: float  # gain at velocity 100
    moves: Array  # [12] `MOVES`
    damping: float  # k of the filter
    taps: Array  # [3] of the filter

    @property
    def holds(self) -> bool:
        """Whether it sounds for as long as the key is down."""
        return bool(((self.mix > 0.0) & (self.sustain[:OPERATORS] > 0.0)).any()) or (
            self.noise > 0.0 and bool(self.sustain[NOISE] > 0.0)
        )


def patch(
    values: Mapping[str, float], *, attack: float = 1.0, decay: float = 1.0, damping: float = 1.0
) -> Patch:
    """The FM patch of a preset's `values`: `presets.export.laws`, operators put in their order.

    Factors: on all attacks, on all decays and releases, and on decays of operators that are not
    heard themselves. Raises `ValueError` when it is not a patch of 1..8 operators.
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
    full = "pitch_start" in values

    def knob(kind: str, padding: float) -> Array:
        column = np.full(ENVELOPES, padding)
        column[:V] = [values.get(f"op{v + 1}_{kind}", padding) for v in at]
        column[NOISE] = values.get(f"noise_{kind}", padding)
        return column

    ratio, mix = np.zeros((2, OPERATORS))
    ratio[:V] = knob("ratio", 0.0)[:V] * 2.0 ** (knob("detune", 0.0)[:V] / 1200.0)
    mix[:V] = np.array(voice.mix)[at]
    fall = knob("decay", voice.decay[at[0]]) * decay  # padding ends nothing later
    fall[:V] *= np.where(mix[:V] == 0.0, damping, 1.0)
    matrix = np.zeros((OPERATORS, OPERATORS))
    matrix[:V, :V] = np.array(voice.matrix)[np.ix_(at, at)] / (2.0 * np.pi)
    k, taps = 2.0 - 1.95 * values.get("filter_resonance", 0.0), np.zeros(3)
    mix_modes(values.get("filter_mode", 0.0), k, taps)
    factors = {"filter_attack": attack, "filter_decay": decay}
    return Patch(
        4 if V <= 4 else 8,
        order is None,
        full,
        ratio,
        knob("attack", 0.0) * attack,
        fall,
        matrix,
        mix,
        knob("sustain", 0.0),
        knob("release", 1.0) * decay,
        values.get("noise_level", 0.0) * values["level"],
        np.array([values.get(name, 0.0) * factors.get(name, 1.0) for name in MOVES]),
        k,
        taps,
    )


def noise_loop(values: Mapping[str, float], rate: int) -> NDArray[np.float32]:
    """The noise of a full voice's `values`, float32 [`renderers.noise.PERIOD`], without an end."""
    weights = LOUDNESS * noise_weights(values["noise_hz"], values["noise_width"], rate)
    loop: NDArray[np.float32] = weights.astype(np.float32) @ noise_bands(BANDS, rate)
    return loop


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
