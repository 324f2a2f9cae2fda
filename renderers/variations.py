"""Patches near a patch: every knob moves by what is a small step for its kind.

A ratio steps by octaves and fifths, so that what was harmonic stays so; times, gains and
frequencies move in octaves, depths in radians. Half of a move is shared by all knobs of a kind: the
whole patch gets longer or brighter, not only one operator of it. The loudest operator keeps its
ratio, and modes stay nearly where they are: a variation plays the same notes.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor

from presets import Param, Preset
from renderers import for_preset, from_values, to_values
from renderers.base import Renderer
from renderers.lift import voice_of

MOST = 1000  # variations at once

# Standard deviation at amount 1: in octaves of knobs on a log scale, else in their unit. The first
# pattern that fits a whole name counts; what is not here stays: `level`, `tune`.
MOVES = {
    r"op\d_ratio": 0.01,
    r"op\d_(attack|decay)": 1.0,
    r"op\d_mix": 0.25,
    r"op(\d)_from_op\1": 0.2,
    r"op\d_from_op\d": 0.8,
    r"mode\d+_hz": 0.03,
    r"mode\d+_(gain|decay)": 0.7,
    r"band\d+_(gain|decay)": 0.7,
    r"ring": 0.7,
    r"dry": 0.2,
}
# The same for what only a full voice has. `pitch_start` stays, as does `lfo_to_pitch`.
FULL_MOVES = {
    r"op\d_detune": 3.0,
    r"op\d_sustain": 0.2,
    r"op\d_release": 0.7,
    r"pitch_time": 0.5,
    r"lfo_hz": 0.4,
    r"lfo_to_(level|index)": 0.15,
    r"lfo_to_filter": 0.4,
    r"noise_(level|sustain)": 0.15,
    r"noise_(hz|width)": 0.4,
    r"noise_(attack|decay|release)": 0.7,
    r"filter_hz": 0.4,
    r"filter_(resonance|key)": 0.1,
    r"filter_env": 0.5,
    r"filter_(attack|decay)": 0.7,
    r"strike_seconds": 0.7,
    r"burst_level": 0.2,
    r"burst_(seconds|hz)": 0.5,
    r"hits": 3.0,
    r"hit_hz": 0.3,
    r"hit_(jitter|spread)": 0.15,
}
CENTRES = {r"band\d+_hz": 0.1}  # the same for what only the impact voice "audio-sds" has
# What is wholly off stays off: a steady tone gets no tremolo, and who knocks once knocks once.
SWITCHES = r"lfo_to_.*|noise_level|burst_level|hits"
STEPS = (-1.0, math.log2(2 / 3), math.log2(3 / 2), 1.0)  # octaves that a ratio may step
OFTEN = 0.5  # of the ratios step at amount 1
TILT = 0.5  # octaves of gain per octave of frequency that modes get brighter or darker


def vary(preset: Preset, count: int, *, amount: float = 0.3, seed: int = 0) -> tuple[Preset, ...]:
    """`count` presets near `preset`; the same seed gives the same ones.

    `amount` in 0..1 scales every move: 0.1 is another strike, 0.3 a sibling, 1 another instrument
    of the same family. Raises `ValueError` when count is not in 1..1000 or amount not in 0..1.
    """
    if not 1 <= count <= MOST:
        raise ValueError(f"count must be in 1..{MOST}, got {count}")
    if not 0.0 < amount <= 1.0:
        raise ValueError(f"amount must be above 0 and at most 1, got {amount:g}")
    renderer = for_preset(preset)
    u = from_values(renderer, preset.values)
    generator = torch.Generator().manual_seed(seed)
    rows = around(renderer, u, count, amount=amount, generator=generator)
    method = f"variation/{amount:g}"
    return tuple(
        preset.model_copy(
            update={
                "name": f"{preset.name[:180]} {i}",
                "values": to_values(renderer, row),
                "seed": seed,
                "provenance": preset.provenance.model_copy(
                    update={"method": method, "score_before": None, "score_after": None}
                ),
            }
        )
        for i, row in enumerate(rows, start=1)
    )


def pitch_knobs(renderer: Renderer) -> Tensor:
    """Which knobs [P] say what note is heard, or at what frequencies: an edit leaves them alone."""
    pattern = r"op\d_(ratio|detune)|mode\d+_hz|tune"
    return torch.tensor([re.fullmatch(pattern, p.name) is not None for p in renderer.params])


def around(
    renderer: Renderer, u: Tensor, count: int, *, amount: float, generator: torch.Generator
) -> Tensor:
    """Patches [count, P], float64, near u [P]; with the same draws, moves grow with `amount`."""
    params = renderer.params
    u = u.detach().double()
    octaves = torch.tensor([_octaves(p) for p in params], dtype=torch.float64)  # per unit of u
    moves = MOVES | {"full": FULL_MOVES, "audio-sds": CENTRES}.get(voice_of(renderer), {})
    kinds, deviations = zip(*(_move(p, moves) for p in params), strict=True)
    deviation = torch.tensor(deviations, dtype=torch.float64) / octaves
    switch = torch.tensor([re.fullmatch(SWITCHES, p.name) is not None for p in params])
    deviation[switch & (u <= 0.0)] = 0.0
    shared = torch.randn(count, len(moves), generator=generator, dtype=torch.float64)
    own = torch.randn(count, len(params), generator=generator, dtype=torch.float64)
    move = math.sqrt(0.5) * (own + shared[:, list(kinds)]) * deviation
    move = move + _tilt(params, u, octaves, generator, count)
    stepped = _steps(params, u, octaves, generator, count, amount)
    return (u + amount * move + stepped).clamp(0.0, 1.0)


def _steps(
    params: tuple[Param, ...],
    u: Tensor,
    octaves: Tensor,
    generator: torch.Generator,
    count: int,
    amount: float,
) -> Tensor:
    """Moves [count, P] of whole musical steps: ratios that step and stay within their range."""
    which = torch.randint(len(STEPS), (count, len(params)), generator=generator)
    step = torch.tensor(STEPS, dtype=torch.float64)[which] / octaves
    chance = torch.rand(count, len(params), generator=generator)
    names = [p.name for p in params]
    mixes = {i: float(u[i]) for i, name in enumerate(names) if name.endswith("_mix")}
    root = names[max(mixes, key=mixes.__getitem__)][:3] if mixes else ""
    free = [name.endswith("_ratio") and not name.startswith(root) for name in names]
    taken = (chance < OFTEN * amount) & torch.tensor(free) & (u + step >= 0.0) & (u + step <= 1.0)
    return torch.where(taken, step, 0.0)


def _tilt(
    params: tuple[Param, ...], u: Tensor, octaves: Tensor, generator: torch.Generator, count: int
) -> Tensor:
    """Moves [count, P] at amount 1 that make all modes together brighter or darker."""
    where = {p.name: i for i, p in enumerate(params)}
    modes = [name for name in where if re.fullmatch(r"mode\d+_hz", name)]
    pairs = [(where[name], where[f"{name[:-2]}gain"]) for name in modes]
    move = torch.zeros(count, len(params), dtype=torch.float64)
    slope = TILT * torch.randn(count, 1, generator=generator, dtype=torch.float64)
    if pairs:
        hz, gain = (torch.tensor(column) for column in zip(*pairs, strict=True))
        pitch = u[hz] * octaves[hz]
        move[:, gain] = slope * (pitch - pitch.mean()) / octaves[gain]
    return move


def _octaves(p: Param) -> float:
    """How many octaves, or of its unit, a knob goes from end to end."""
    return math.log2(p.high / p.low) if p.scale == "log" else p.high - p.low


def _move(p: Param, moves: dict[str, float]) -> tuple[int, float]:
    """The row of `moves` for a knob and its deviation, 0 for one that stays."""
    for row, (pattern, deviation) in enumerate(moves.items()):
        if re.fullmatch(pattern, p.name):
            return row, deviation
    return 0, 0.0
