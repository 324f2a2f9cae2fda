"""Patches in tune: the knobs of pitch snapped to what a family of instruments has, while searching.

- "harmonic": every partial is a harmonic of the key. FM: ratios 1, 2, 3 ... 16, detuned so little
  that partials beat slowly; impact: every mode on a harmonic, the loudest on the first.
- "bell": one strong strike note at the key, the rest free. FM: the carrier with the most mix gets
  ratio 1 and little modulation; impact: `tune` puts the loudest mode there. All else is softer, not
  below it, and dies away sooner: an ear that follows the sound is left with the strike note.
- "free": as the patch is.
Where pitch moves (glides, vibrato) it stays about the key, nothing is so fast that it makes tones
of its own, and what is loudest is heard for long enough to have a pitch. What is snapped has no
gradient, what is not keeps its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from presets import Note, Param
from renderers import fm, impact
from renderers.base import Curves, Renderer, physical, positions

FAMILIES = ("harmonic", "bell", "free")
RATIOS = torch.arange(1.0, 17.0, dtype=torch.float64)
DETUNE = 4.0  # cents at ratio 1, and as many Hz at the others: partials beat, none is off the key
OTHERS = 0.3  # of the strike note's: the mixes of the others of a bell in sum, or its modes' rms
SOONER = 0.3  # of the strike note's decay and sustain: what all else of a bell has at most
INDEX = 0.5  # radians by which the strike note of an FM bell is modulated at most
GLIDE = 0.06  # seconds in which a glide arrives
NEAR = 0.25  # semitones: arrived; also the widest vibrato
HEARD = 0.3  # the mix at least of the loudest operator: noise alone has no pitch
DECAY = {"harmonic": 0.15, "bell": 0.5}  # seconds at least, of the loudest operator
RINGS = 0.5  # seconds at least, of modes: what is shorter leaves a room full of noise
# A faster LFO makes tones of its own, hits that come before the last has rung move its pitch, and
# so does a long burst; a breath of noise is wide and soft.
MOST = {
    "lfo_to_pitch": NEAR,
    "lfo_hz": 10.0,
    "noise_level": 0.25,
    "burst_seconds": 0.05,
    "hit_hz": 4.0,
    "hit_jitter": 0.3,
}
LEAST = {"noise_width": 1.0, "dry": 0.5}
# Of bells the filter passes the strike note, and noise is above it.
BELL_MOST = MOST | {"lfo_to_pitch": 0.1, "filter_mode": 0.25}
BELL_LEAST = LEAST | {"filter_hz": 500.0, "noise_hz": 500.0}
ROOM = 0.1  # gain of a band at most: what a loud room answers to a short note wanders in pitch
MIDDLE_C = Note(60).hz


def in_tune(renderer: Renderer, family: str) -> Renderer:
    """A renderer with the same knobs that snaps them as `snap` before it plays.

    Raises `ValueError` when there is no such family.
    """
    _check(family)
    return replace(renderer, render=partial(_render, renderer, family))


def _render(
    renderer: Renderer, family: str, u: Tensor, note: Note, rate: int, samples: int
) -> Tensor:
    return renderer.render(snap(renderer, family, u), note, rate, samples)


def snap(renderer: Renderer, family: str, u: Tensor) -> Tensor:
    """Patches u [B, P] with the knobs of pitch where `family` has them.

    A second time changes nothing. Raises `ValueError` when there is no such family.
    """
    _check(family)
    if family == "free":
        return u
    u = _within_limits(renderer.params, family, u)
    if renderer.name == "impact":
        return _snap_modes(impact.layout(renderer.params), family, u)
    lay = fm.layout(renderer.params)
    u = _lasting(lay, u, DECAY[family])
    u = _snap_harmonic(lay, u) if family == "harmonic" else _snap_bell(lay, u)
    return u if lay.moving is None else _arriving(lay.table, lay.moving.once, u)


def _check(family: str) -> None:
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}")


def _within_limits(params: tuple[Param, ...], family: str, u: Tensor) -> Tensor:
    bands = {p.name: ROOM for p in params if re.fullmatch(r"band\d+_gain", p.name)}
    limits = (BELL_MOST, BELL_LEAST) if family == "bell" else (MOST, LEAST)
    highest, lowest = limits[0] | bands, limits[1]
    most = [p.position(highest[p.name]) if p.name in highest else 1.0 for p in params]
    least = [p.position(lowest[p.name]) if p.name in lowest else 0.0 for p in params]
    ends = torch.tensor([least, most], dtype=torch.float64).to(u)
    return u.clamp(ends[0], ends[1])


def _snap_harmonic(lay: fm.Layout, u: Tensor) -> Tensor:
    ratio = physical(lay.table, u)[:, lay.ratio]
    nearest = (ratio[..., None] / RATIOS).log().abs().argmin(-1)
    whole = RATIOS[nearest]
    u = _put(lay.table, u, lay.ratio, whole)
    if lay.moving is not None:
        columns = lay.moving.detune
        most = DETUNE / whole
        u = _put(lay.table, u, columns, physical(lay.table, u)[:, columns].clamp(-most, most))
    return u


def _snap_bell(lay: fm.Layout, u: Tensor) -> Tensor:
    values = fm.average_shared(lay, physical(lay.table, u))
    mix = values[:, lay.mix]
    loudest, which = mix.max(1, keepdim=True)
    place = lay.carriers[which]  # [B, 1] of the strike note
    here = torch.arange(lay.operators) == place  # [B, V]
    heard = torch.arange(len(lay.mix)) == which
    ratio = values[:, lay.ratio]
    u = _put(lay.table, u, lay.ratio, torch.where(here, 1.0, ratio.clamp_min(1.0)))
    total = (mix.sum(1, keepdim=True) - loudest).detach()
    softer = (OTHERS * loudest.detach() / total.clamp_min(1e-9)).clamp_max(1.0)
    u = _put(lay.table, u, lay.mix, torch.where(heard, mix, softer * mix))
    if lay.moving is not None:
        columns = lay.moving.detune
        detune = values[:, columns]
        u = _put(lay.table, u, columns, torch.where(here, detune.clamp(-DETUNE, DETUNE), detune))
    u = _dying_away(lay, place, u)
    row, column = lay.cells // lay.operators, lay.cells % lay.operators
    into = (row == place) & (row != column)  # [B, E]
    depth = values[:, lay.edges]
    total = torch.where(into, depth, 0.0).sum(1, keepdim=True).detach()
    factor = torch.where(into, (INDEX / total.clamp_min(INDEX)), 1.0)
    if lay.shared is not None:  # a modulator there has one depth for all that it modulates
        factor = torch.where(lay.shared > 0.0, factor[:, None], 1.0).amin(2)
    return _put(lay.table, u, lay.edges, factor * depth)


def _dying_away(lay: fm.Layout, place: Tensor, u: Tensor) -> Tensor:
    """Operators and noise come no later than the operator at `place` [B, 1], and end sooner."""
    kinds = [("attack", lay.attack, 1.0), ("decay", lay.decay, SOONER)]
    if lay.moving is not None:
        kinds += [("sustain", lay.moving.sustain, SOONER), ("release", lay.moving.release, 1.0)]
    values = physical(lay.table, u)
    for kind, columns, share in kinds:
        most = share * values[:, columns].gather(1, place).detach()
        if lay.moving is not None:
            columns = torch.cat([columns, torch.tensor([lay.moving.once[f"noise_{kind}"]])])
        strike = torch.arange(len(columns)) == place
        own = values[:, columns]
        u = _put(lay.table, u, columns, torch.where(strike, own, own.minimum(most)))
    return u


def _lasting(lay: fm.Layout, u: Tensor, shortest: float) -> Tensor:
    """The loudest operator is heard, and for `shortest` seconds at least."""
    values = physical(lay.table, u)
    mix, decay = values[:, lay.mix], values[:, lay.decay]
    which = mix.argmax(1, keepdim=True)
    loudest = torch.arange(len(lay.mix)) == which
    u = _put(lay.table, u, lay.mix, torch.where(loudest, mix.clamp_min(HEARD), mix))
    here = torch.arange(lay.operators) == lay.carriers[which]
    return _put(lay.table, u, lay.decay, torch.where(here, decay.clamp_min(shortest), decay))


def _arriving(table: Curves, where: Mapping[str, int], u: Tensor) -> Tensor:
    """Glides that have arrived after `GLIDE`: |start| exp(-GLIDE / time) <= NEAR."""
    columns = torch.tensor([where["pitch_start"], where["pitch_time"]])
    start, time = physical(table, u)[:, columns].unbind(1)
    longest = GLIDE / (start.detach().abs() / NEAR).clamp_min(1.0 + 1e-6).log()
    return _put(table, u, columns, torch.stack([start, time.minimum(longest)], dim=1))


def _snap_modes(lay: impact.Layout, family: str, u: Tensor) -> Tensor:
    values = physical(lay.table, u)
    modes = values[:, : 3 * lay.modes].view(len(u), -1, 3)
    hz, decay = modes[..., 0], modes[..., 2]
    lasting = decay.maximum(RINGS / values[:, -3:-2].detach())
    decay = lasting if family == "harmonic" else decay
    strength = modes[..., 1] * decay  # the height of a mode's peak
    which = strength.argmax(1, keepdim=True)
    wanted = MIDDLE_C / hz.gather(1, which).detach()
    low = lay.table.low[-4]
    tune = wanted.clamp(low, low * lay.table.log_ratio[-4].exp())
    hz = hz * (wanted / tune)  # what is beyond the reach of `tune`
    mode = torch.arange(lay.modes)
    if family == "harmonic":
        hz = (hz.detach() * tune / MIDDLE_C).round().clamp_min(1.0) * MIDDLE_C / tune
    else:
        here, gain, softest = mode == which, modes[..., 1], lay.table.low[1]
        most = SOONER * lasting.gather(1, which).detach()
        decay = torch.where(here, lasting, decay.minimum(most))
        hz = torch.where(here, hz, hz.maximum(MIDDLE_C / tune))
        rest = torch.where(here, 0.0, gain - softest).square().sum(1, keepdim=True).sqrt().detach()
        softer = (OTHERS * gain.gather(1, which).detach() / rest.clamp_min(1e-9)).clamp_max(1.0)
        gain = torch.where(here, gain, softest + softer * (gain - softest))
        u = _put(lay.table, u, 3 * mode + 1, gain)
    u = _put(lay.table, u, 3 * mode, hz)
    u = _put(lay.table, u, 3 * mode + 2, decay)
    return _put(lay.table, u, torch.tensor([u.shape[1] - 4]), tune)


def _put(table: Curves, u: Tensor, columns: Tensor, values: Tensor) -> Tensor:
    """u [B, P] with physical `values` [B, K] in `columns` [K]."""
    part = Curves(table.low[columns], table.log_ratio[columns], table.span[columns])
    return u.index_copy(1, columns, positions(part, values).to(u.dtype))
