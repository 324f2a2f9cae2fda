"""The full FM voice: operators that hold, moved by pitch and LFO, with noise, through a filter.

Formulas (t in seconds since the start, l = sin(2 pi lfo_hz t), all taken every `movement.GRID`
samples and straight lines between):
    pitch     2^((pitch_start exp(-t / pitch_time) + lfo_to_pitch l) / 12), times every frequency
    index     1 - lfo_to_index (1 - l) / 2, times <A_v, u[t-1]>
    level     1 - lfo_to_level (1 - l) / 2, times operators and noise, before the filter
    filter    f = filter_hz 2^(filter_env E + lfo_to_filter l + filter_key (note - 60) / 12),
              E the paper's envelope of filter_attack and filter_decay; f stays within 20 Hz and
              0.45 rate; k = 2 - 1.95 filter_resonance
Envelopes of operators and noise: `movement.held_envelope`. Noise: `noise.noise_weights`, times
0.35 noise_level level and the velocity's gain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from presets import Note, Param
from renderers import noise
from renderers.base import each_patch
from renderers.filter import filter_adjoint, filter_forward
from renderers.full_kernels import full_adjoint, full_forward
from renderers.kernels import ATTACK_FLOOR
from renderers.movement import GRID, HIGHEST, LOWEST

T = TypeVar("T")  # torch outside the kernels, numpy inside

STIFFEST, SOFTEST = 0.05, 2.0  # damping k of the filter at resonance 1 and 0


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the knobs stand that only a full voice has."""

    detune: Tensor  # [V]
    sustain: Tensor  # [V]
    release: Tensor  # [V]
    once: Mapping[str, int]  # one for the whole patch


class Sound(NamedTuple, Generic[T]):
    """What the kernels run on, after all limits, float64; J values, one a `movement.GRID`."""

    cycles: T  # [B, V] turns a sample
    envelope: T  # [B, 4, V] attack, decay, sustain, release
    matrix: T  # [B, V, V] turns
    mix: T  # [B, V]
    pitch: T  # [B, J]
    depth: T  # [B, J] times the index
    level: T  # [B, J]
    slope: T  # [B, J] g of the filter
    damping: T  # [B, 1] k of the filter
    taps: T  # [B, 3]
    bands: T  # [B, M] of the noise
    burst: T  # [B, 4] the noise's envelope


def columns(params: Sequence[Param], order: Sequence[int]) -> Columns | None:
    """The columns of a table that `presets.ranges.fm` wrote; None where it is the paper's voice."""
    where = {p.name: i for i, p in enumerate(params)}
    if "pitch_start" not in where:
        return None

    def knob(kind: str) -> Tensor:
        return torch.tensor([where[f"op{v}_{kind}"] for v in order])

    once = {name: i for name, i in where.items() if not re.match(r"op\d_", name)}
    return Columns(knob("detune"), knob("sustain"), knob("release"), once)


def grid(
    values: Tensor, where: Columns, note: Note, rate: int, samples: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pitch, index, level and slope of the filter, each [B, J], from physical values [B, P]."""
    t = torch.arange((samples - 1) // GRID + 2, dtype=torch.float64) * (GRID / rate)

    def knob(name: str) -> Tensor:
        return values[:, where.once[name], None]

    wave = torch.sin(2.0 * np.pi * knob("lfo_hz") * t)
    bent = knob("pitch_start") * torch.exp(-t / knob("pitch_time"))
    pitch = torch.exp2((bent + knob("lfo_to_pitch") * wave) / 12.0)
    low = 0.5 * (1.0 - wave)
    a, d = knob("filter_attack"), knob("filter_decay")
    x = (t - a).clamp_min(0.0)
    falling = torch.exp(-x / d**2) * (1.0 - x / d).clamp_min(0.0)
    swell = torch.minimum(t / (a + ATTACK_FLOOR), falling)
    octaves = knob("filter_env") * swell + knob("lfo_to_filter") * wave
    octaves = octaves + knob("filter_key") * ((note.number - 60.0) / 12.0)
    hz = (knob("filter_hz") * torch.exp2(octaves)).clamp(LOWEST, HIGHEST * rate)
    return (
        pitch,
        1.0 - knob("lfo_to_index") * low,
        1.0 - knob("lfo_to_level") * low,
        torch.tan((np.pi / rate) * hz),
    )


def noise_gains(values: Tensor, where: Columns, rate: int) -> Tensor:
    """What each band [B, M] gets at level 1 and velocity 100, before the noise's envelope."""
    hz, width = values[:, where.once["noise_hz"], None], values[:, where.once["noise_width"], None]
    distance = (torch.from_numpy(np.log2(noise.band_hz())) - torch.log2(hz)) / (0.5 * width)
    weights = torch.exp(-0.5 * distance.square())
    power = (weights @ torch.from_numpy(noise.band_power(rate)) * weights).sum(1, keepdim=True)
    power = power.clamp_min(noise.LEAST_POWER)
    return noise.LOUDNESS * values[:, where.once["noise_level"], None] * weights / power.sqrt()


def filter_taps(values: Tensor, where: Columns) -> tuple[Tensor, Tensor]:
    """The filter's damping [B, 1] and taps [B, 3], as `renderers.filter.mix_modes` has them."""
    mode = values[:, where.once["filter_mode"], None]
    k = SOFTEST - (SOFTEST - STIFFEST) * values[:, where.once["filter_resonance"], None]
    low, high = (1.0 - 2.0 * mode).clamp_min(0.0), (2.0 * mode - 1.0).clamp_min(0.0)
    band = 1.0 - (2.0 * mode - 1.0).abs()
    return k, torch.cat([high, k * (band - high), low - high], dim=1)


def noise_envelope(values: Tensor, where: Columns) -> Tensor:
    """Attack, decay, sustain, release of the noise [B, 4]."""
    kinds = ("attack", "decay", "sustain", "release")
    return values[:, [where.once[f"noise_{kind}"] for kind in kinds]]


def play(sound: Sound[Tensor], held: float, rate: int, samples: int, full: bool) -> Tensor:
    """The compiled voice as one differentiable operation, float64: audio [B, samples].

    `held` in seconds, infinite while the key is down; `full` unless the matrix is triangular.
    """
    audio: Tensor = _Play.apply(  # type: ignore[no-untyped-call]
        *sound, held, rate, samples, full
    )
    return audio


class _Play(torch.autograd.Function):
    """Operators, noise and filter, and their adjoints in turn, one patch a thread."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, held, rate, samples, full = arguments
        B, V = tensors[0].shape
        kept = samples if any(ctx.needs_input_grad) else 0
        columns = Sound(*(np.ascontiguousarray(t.detach().numpy()) for t in tensors))
        bands = noise.noise_bands(noise.BANDS, rate)
        kernel = full_forward(V, full)
        audio, before = np.empty((2, B, samples))
        history, states = np.empty((B, V, kept)), np.empty((B, 2, kept))

        def one(b: int) -> None:
            c = Sound(*(column[b] for column in columns))
            args = (c.cycles, c.envelope, c.matrix, c.mix, c.pitch, c.depth)
            x = before[b]
            last = kernel(*args, held, float(rate), x, history[b])
            last = max(last, noise.noise_forward(c.bands, c.burst, bands, held, float(rate), x))
            filter_forward(x, last, c.level, c.slope, c.damping[0], c.taps, audio[b], states[b])

        each_patch(one, B)
        ctx.save_for_backward(*tensors)
        ctx.kept = (before, history, states, held, rate, full)
        return torch.from_numpy(audio)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        before, history, states, held, rate, full = ctx.kept
        columns = Sound(*(np.ascontiguousarray(t.detach().numpy()) for t in ctx.saved_tensors))
        slopes = Sound(*(np.zeros(column.shape) for column in columns))
        bands = noise.noise_bands(noise.BANDS, rate)
        kernel = full_adjoint(history.shape[1], full)
        given = gradients[0].numpy()

        def one(b: int) -> None:
            c, d = (Sound(*(column[b] for column in all_)) for all_ in (columns, slopes))
            g = given[b].copy()
            filter_adjoint(
                before[b], c.level, c.slope, c.damping[0], c.taps, states[b], g,
                d.level, d.slope, d.damping, d.taps,
            )  # fmt: skip
            noise.noise_adjoint(c.bands, c.burst, bands, held, float(rate), g, d.bands, d.burst)
            kernel(
                c.cycles, c.envelope, c.matrix, c.mix, c.pitch, c.depth, held, float(rate),
                history[b], g, d.cycles, d.envelope, d.matrix, d.mix, d.pitch, d.depth,
            )  # fmt: skip

        each_patch(one, given.shape[0])
        return (*map(torch.from_numpy, slopes), None, None, None, None)
